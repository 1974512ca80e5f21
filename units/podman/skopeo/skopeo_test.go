package skopeo

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// program puts a skopeo into PATH, or none without a script.
func program(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if script == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, "skopeo"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
}

// TestTags: the answer is a list of tags, or the last words of skopeo.
func TestTags(t *testing.T) {
	for what, c := range map[string]struct {
		script, err string
		tags        []string
	}{
		"tags":      {`[ "$*" = "list-tags docker://docker.io/x" ] && echo '{"Repository": "docker.io/x", "Tags": ["1", "2"]}'`, "", []string{"1", "2"}},
		"no tags":   {`echo '{"Tags": []}'`, "", []string{}},
		"a failure": {"echo first >&2; echo 'FATA unauthorized' >&2; exit 1", "skopeo list-tags docker.io/x: exit status 1: FATA unauthorized", nil},
		"a log":     {`echo 'time="2026-12-01" level=fatal msg="listing: \"x\""' >&2; exit 1`, `skopeo list-tags docker.io/x: exit status 1: listing: "x"`, nil},
		"no JSON":   {"echo '<html>'", "skopeo list-tags docker.io/x: invalid character '<' looking for beginning of value", nil},
	} {
		program(t, c.script)
		tags, err := Tags(t.Context(), "docker.io/x")
		if text := errorText(err); text != c.err || !slices.Equal(tags, c.tags) {
			t.Errorf("%s: %q, %q", what, tags, text)
		}
	}
	program(t, "")
	if _, err := Tags(t.Context(), "docker.io/x"); !errors.Is(err, ErrAbsent) {
		t.Errorf("without skopeo: %v", err)
	}
}

// TestDigest: the answer has the digest among much else.
func TestDigest(t *testing.T) {
	program(t, `[ "$*" = "inspect --no-tags docker://docker.io/x:1" ] && echo '{"Name": "docker.io/x", "Digest": "sha256:00"}'`)
	if digest, err := Digest(t.Context(), "docker.io/x:1"); digest != "sha256:00" || err != nil {
		t.Errorf("%q, %v", digest, err)
	}
	program(t, "echo 'FATA no image for this platform' >&2; exit 1")
	if digest, err := Digest(t.Context(), "docker.io/x:1"); digest != "" || errorText(err) != "skopeo inspect docker.io/x:1: exit status 1: FATA no image for this platform" {
		t.Errorf("%q, %v", digest, err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
