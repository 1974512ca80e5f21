package install_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/cmd/archgen/install/images"
	"github.com/archipelago-os/archipelago/units"
)

// TestCompareImages: an app that can't run in its image is found before it is installed.
// An image that can't be pulled is left to the pass.
func TestCompareImages(t *testing.T) {
	t.Parallel()
	const other = `[{"Architecture": "m68k"}]`
	plain := manifest("web", "")
	for what, c := range map[string]struct {
		text    string
		put     map[string]string
		answers map[string]string
		// finding is the file and the message, pulled the image and how that ended.
		finding, pulled, fetched, err string
	}{
		"another processor": {
			text: plain, answers: map[string]string{"image exists": "", "image inspect": other},
			finding: "other/web.yaml: the image is built for m68k", fetched: "web: <nil>",
		},
		"an image that is pulled": {
			text: plain, answers: map[string]string{"pull": ""}, pulled: "localhost/web:1", fetched: "web: <nil>",
		},
		"an image that can't be pulled": {
			text: plain, pulled: "localhost/web:1", fetched: "web: podman pull --quiet localhost/web:1: it failed",
		},
		"an image that is never pulled": {
			text: strings.Replace(plain, "{image", "{pull: never, image", 1), fetched: "web: <nil>",
		},
		"Podman fails": {
			text: plain, answers: map[string]string{"image exists": ""}, err: "returned no image", fetched: "web: <nil>",
		},
		"the same manifest as before": {text: plain, put: map[string]string{"web.yaml": plain}},
		"a new manifest": {
			text: strings.Replace(plain, "1.0.0", "2.0.0", 1), put: map[string]string{"web.yaml": plain},
			answers: map[string]string{"image exists": "", "image inspect": other},
			finding: "other/web.yaml: the image is built for m68k", fetched: "web: <nil>",
		},
		"an overlay with an error": {text: plain, put: map[string]string{"web.d/mine.yaml": "app: {colour: red}\n"}},
		"an error of another app": {
			text: plain, put: map[string]string{"broken.yaml": "app: {id: broken, colour: red}"},
			answers: map[string]string{"image exists": "", "image inspect": other},
			finding: "other/web.yaml: the image is built for m68k", fetched: "web: <nil>",
		},
	} {
		w := newWorld(t)
		w.put(c.put)
		w.Answers = c.answers
		s := w.stage(w.install(nil, w.entry("web.yaml", c.text)))
		pulled := ""
		fetched, err := s.CompareImages(t.Context(), &images.Reader{Podman: w.podman, Scope: units.User}, func(_, image string) { pulled = image })
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", what, err)
		}
		found := make([]string, 0, len(s.Diags))
		for _, d := range s.Diags {
			rel, _ := filepath.Rel(w.home, d.File)
			found = append(found, rel+": "+d.Message)
			if s.Loaded.Sources[d.File] == nil {
				t.Errorf("%s: there is no text of %s", what, d.File)
			}
		}
		finding := strings.Join(found, "\n")
		if (finding != "") != (c.finding != "") || !strings.HasPrefix(finding, c.finding) {
			t.Errorf("%s: found %q", what, finding)
		}
		ended := ""
		if err, ok := fetched["web"]; ok {
			ended = "web: <nil>"
			if err != nil {
				ended = "web: " + err.Error()
			}
		}
		if pulled != c.pulled || ended != c.fetched {
			t.Errorf("%s: pulled %q, fetched %q", what, pulled, ended)
		}
	}
}

// TestCompareNothingBefore: an app that is installed and only started is not compared.
func TestCompareNothingBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(map[string]string{"web.yaml": manifest("web", "")})
	in := w.install(nil)
	if err := in.Choose("web"); err != nil {
		t.Fatal(err)
	}
	fetched, err := w.stage(in).CompareImages(t.Context(), &images.Reader{Podman: w.podman, Scope: units.User}, nil)
	if len(fetched) > 0 || err != nil || slices.ContainsFunc(w.Asked, func(command string) bool { return strings.HasPrefix(command, "image") }) {
		t.Errorf("%v, %v; Podman was asked %q", fetched, err, w.Asked)
	}
}
