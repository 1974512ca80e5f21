package updates

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/installed"
	"github.com/archipelago-os/archipelago/manifests/tags"
	"github.com/archipelago-os/archipelago/units/update"
)

// own completes an app whose manifest is from no catalog. Its release is what is installed, and another
// one is the same manifest with the newer images that registries had last.
func (s *Survey) own(a *App) error {
	a.IsOwn = true
	a.From.Version = cmp.Or(pinIn(a.From.Pin).Version, a.From.Version)
	a.From.Digest = a.From.Sum()
	a.Version, a.Digest, a.Origin = a.From.Version, a.From.Digest, &a.From.Origin
	isBehind := false
	for _, image := range s.Images(a.ID) {
		t, isKnown := s.Tags(image)
		a.Facts.IsAsked = a.Facts.IsAsked || isKnown
		if t.Next() == image { // it was taken
			continue
		}
		if isBehind = isBehind || t.Next() != ""; t.IsNews() && !slices.Contains(a.Facts.Newer, t) {
			a.Facts.Newer = append(a.Facts.Newer, t)
		}
	}
	if !isBehind {
		return nil
	}
	if err := s.inspect(); err != nil {
		return err
	}
	to := s.nextOwn(a)
	a.candidate = s.candidate(a, to)
	return nil
}

// nextOwn is the release that has the newer images of an own manifest.
func (s *Survey) nextOwn(a *App) update.Release {
	to, now := a.From, pinIn(a.From.Pin)
	next := pin{now.Version, map[string]string{}}
	var news []string
	for _, p := range s.resolved(a.ID).Parts {
		t, _ := s.Tags(p.Image)
		image := cmp.Or(t.Next(), now.Images[p.Path])
		if image == "" {
			continue
		}
		if next.Images[p.Path] = image; image == p.Image || t.Next() == "" {
			continue
		}
		_, was := update.SplitImage(p.Image)
		_, is := update.SplitImage(image)
		version := tags.Version(was, is, a.Version)
		switch {
		case was == is:
			_, digest, _ := strings.Cut(image, "@")
			news = append(news, digest[:min(len(digest), len("sha256:")+12)])
		case version != "" && next.Version == now.Version:
			next.Version = version
		default:
			news = append(news, is)
		}
	}
	to.Pin = next.text(a.From.File)
	to.Version = cmp.Or(next.Version, a.Version)
	if to.Version == a.Version && len(news) > 0 {
		slices.Sort(news)
		to.Version += " (" + strings.Join(slices.Compact(news), ", ") + ")"
	}
	to.Digest = to.Sum()
	return to
}

// pin is what the overlay of an own manifest's images says.
type pin struct {
	// Version is empty where that of the manifest stays.
	Version string
	// Images is the images by the paths of the parts in the manifest.
	Images map[string]string
}

// pinIn reads the overlay. What is not understood is missing: the overlay is compiled with the manifest.
func pinIn(text []byte) pin {
	p := pin{Images: map[string]string{}}
	if len(text) == 0 {
		return p
	}
	m, _ := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: installed.PinOverlay, Data: text}})
	if m == nil {
		return p
	}
	p.Version = m.Document.App.Version
	for _, part := range m.Document.App.Parts() {
		p.Images[part.Path] = part.Image
	}
	return p
}

// text is the overlay for a manifest's file.
func (p pin) text(file string) []byte {
	text := fmt.Appendf(nil, "# The images that archgen update has taken for %s. Without this file they are those of the manifest.\napp:\n", file)
	if p.Version != "" {
		text = fmt.Appendf(text, "  version: %s\n", quoted(p.Version))
	}
	isList := false
	for _, path := range slices.Sorted(maps.Keys(p.Images)) {
		name, isPart := strings.CutPrefix(path, "app.containers.")
		if !isPart {
			text = fmt.Appendf(text, "  container: {image: %s}\n", quoted(p.Images[path]))
			continue
		}
		if !isList {
			text, isList = append(text, "  containers:\n"...), true
		}
		text = fmt.Appendf(text, "    %s: {image: %s}\n", name, quoted(p.Images[path]))
	}
	return text
}

// quoted is a text in YAML.
func quoted(text string) []byte {
	list, _ := json.Marshal(text) // a string can always be
	return list
}

// hiddenPins is the newer images of an own manifest that overlays keep from being used.
func hiddenPins(a *App, is *manifests.Resolved) (places []place) {
	next := pinIn(a.To.Pin).Images
	for _, p := range is.Parts {
		if want := next[p.Path]; want != "" && p.Image != want {
			path := p.Path + ".image"
			file, line, _ := is.Position(path)
			places = append(places, place{path, file, line})
		}
	}
	return places
}
