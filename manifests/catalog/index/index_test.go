package index_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog/index"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// whole is an index with every key.
func whole() *index.Index {
	x := release(3, 2, alice, bob)
	x.Files["web.files/web.conf"] = index.SumOf([]byte("conf"))
	x.Apps = map[string]index.App{
		"web": {Security: 9, Rollout: manifests.Duration(72 * time.Hour)},
		"old": {Withdrawn: `it says "hello" to strangers`},
	}
	return x
}

// TestText: an index is read as it was written.
func TestText(t *testing.T) {
	t.Parallel()
	for _, want := range []*index.Index{whole(), release(1, 1, carol)} {
		got, diags := index.Parse(index.File, want.Text())
		if d := cmp.Diff(want, got); d != "" || len(diags) > 0 {
			t.Errorf("%v -want +got:\n%s", diags, d)
		}
	}
}

// TestParseRefuses: each error has its place.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	text := string(whole().Text())
	sum := string(index.SumOf(nil))
	file := func(name string) [2]string {
		return [2]string{"[files]\n", "[files]\n" + name + " = \"" + sum + "\"\n"}
	}
	for name, c := range map[string]struct {
		edit [2]string
		want string
	}{
		"an unknown key":           {[2]string{"format = 1", "format = 1\ncolour = 2"}, `catalog.toml:5:1: error: the file has no key "colour"`},
		"an unknown key of an app": {[2]string{"security = 9", "security = 9\ncolour = 2"}, `catalog.toml:20:1: error: apps.web has no key "colour"`},
		"a key twice":              {[2]string{"format = 1", "format = 1\nformat = 1"}, "catalog.toml:5:1: error: the key"},
		"no name":                  {[2]string{"name = \"nodes\"\n", ""}, "the file needs the key name"},
		"a name that is a path":    {[2]string{`"nodes"`, `"../nodes"`}, "catalog.toml:5:8: error: name must be an id"},
		"a later format":           {[2]string{"format = 1", "format = 2\ncolour = 2"}, "the index has format 2; this archgen knows 1"},
		"sequence zero":            {[2]string{"sequence = 3", "sequence = 0"}, "catalog.toml:6:12: error: sequence must be at least 1"},
		"no time":                  {[2]string{"issued = 2026-01-03T00:00:00Z", "issued = 2026-01-03T00:00:00"}, "catalog.toml:7:10: error: issued is not understood"},
		"expired when issued":      {[2]string{"expires = 2026-04-13", "expires = 2026-01-03"}, "expires must be later than issued"},
		"more keys than there are": {[2]string{"threshold = 2", "threshold = 3"}, "threshold is 3, and there are 2 keys"},
		"one key twice":            {[2]string{string(keyOf(bob)), string(keyOf(alice))}, "keys has the same key twice"},
		"a key that is none":       {[2]string{string(keyOf(bob)), "bob"}, "keys[1] is not understood: \"bob\""},
		"no checksum":              {[2]string{string(index.SumOf([]byte("web"))), "00"}, "write a SHA-256 checksum of 64 lower-case hexadecimal digits"},
		"a checksum in capitals":   {[2]string{string(index.SumOf([]byte("web"))), strings.ToUpper(sum)}, "write a SHA-256 checksum"},
		"a path that leads out":    {file(`"../web.yaml"`), `the name "../web.yaml" must be a relative path without ..`},
		"a path within that does":  {file(`"web.files/../../x"`), "must be a relative path"},
		"an absolute path":         {file(`"/etc/passwd"`), "must be a relative path"},
		"a path that is not clean": {file(`"web.files//x"`), "must be a relative path"},
		"a path with a NUL":        {file(`"web\u0000.yaml"`), "must be a relative path"},
		"a path with a line break": {file(`"web\n.yaml"`), "must be a relative path"},
		"itself":                   {file(`"catalog.toml"`), "the index can't list catalog.toml"},
		"a file and a directory":   {file(`"web.files"`), "a file where its directory is"},
		"a file below a file":      {file(`"web.yaml/x/y"`), "a file where its directory is"},
		"a rollout of years":       {[2]string{`"3d"`, `"3000d"`}, "apps.web.rollout must be at most 30d"},
		"a withdrawal of lines":    {[2]string{`to strangers`, `\n`}, "apps.old.withdrawn must be one line"},
	} {
		edited := strings.Replace(text, c.edit[0], c.edit[1], 1)
		if edited == text {
			t.Errorf("%s: there is no %q in\n%s", name, c.edit[0], text)
		}
		x, diags := index.Parse(index.File, []byte(edited))
		var all strings.Builder
		for _, d := range diags {
			all.WriteString(d.String() + "\n")
		}
		if x != nil || !strings.Contains(all.String(), c.want) {
			t.Errorf("%s: want %q, got\n%s", name, c.want, all.String())
		}
	}
}

// TestBounds: a hostile index costs little.
func TestBounds(t *testing.T) {
	t.Parallel()
	x := release(1, 1, alice)
	for i := range index.MaxFiles - 1 {
		x.Files[fmt.Sprintf("a%d", i)] = index.SumOf(nil)
	}
	if got, diags := index.Parse(index.File, x.Text()); got == nil {
		t.Errorf("an index of %d files: %v", len(x.Files), diags)
	}
	x.Files["b"] = index.SumOf(nil)
	if _, diags := index.Parse(index.File, x.Text()); len(diags) == 0 || diags[0].Code != diag.TooLarge {
		t.Errorf("an index of %d files: %v", len(x.Files), diags)
	}
	huge := append(release(1, 1, alice).Text(), "#"+strings.Repeat(" ", index.MaxFileSize)...)
	if _, diags := index.Parse(index.File, huge); len(diags) != 1 || diags[0].Code != diag.TooLarge {
		t.Errorf("an index of %d bytes: %v", len(huge), diags)
	}
}

// TestRead: all files that the index lists are there with their content, or none is taken.
func TestRead(t *testing.T) {
	t.Parallel()
	x := whole()
	good := map[string]string{"web.yaml": "web", "web.files/web.conf": "conf", "unlisted.yaml": "x"}
	odd := errors.New("it is a link")
	for name, c := range map[string]struct {
		change map[string]string
		err    error
		want   index.Reason
	}{
		"as it is":        {},
		"a file is gone":  {change: map[string]string{"web.files/web.conf": ""}, want: index.FileMissing},
		"a changed byte":  {change: map[string]string{"web.yaml": "wex"}, want: index.FileDiffers},
		"a byte more":     {change: map[string]string{"web.yaml": "web "}, want: index.FileDiffers},
		"it is no file":   {err: odd, want: index.FileOdd},
		"an unlisted one": {change: map[string]string{"more.yaml": "more"}},
	} {
		files := maps.Clone(good)
		maps.Copy(files, c.change)
		got, err := x.Read(func(file string) ([]byte, error) {
			if files[file] == "" {
				return nil, fmt.Errorf("reading %s: %w", file, fs.ErrNotExist)
			}
			return []byte(files[file]), c.err
		})
		if reason := reasonOf(t, err); reason != c.want {
			t.Errorf("%s: %q, want %q: %v", name, reason, c.want, err)
		}
		if c.want == "" && len(got) != len(x.Files) {
			t.Errorf("%s: read %v", name, got)
		}
	}
}

// TestReadIsBounded: the files together have a bound, too.
func TestReadIsBounded(t *testing.T) {
	t.Parallel()
	full := make([]byte, index.MaxFileSize)
	x := release(1, 1, alice)
	clear(x.Files)
	for i := range index.MaxSize/index.MaxFileSize + 1 {
		x.Files[fmt.Sprintf("a%d", i)] = index.SumOf(full)
	}
	_, err := x.Read(func(string) ([]byte, error) { return full, nil })
	if reason := reasonOf(t, err); reason != index.FileOdd {
		t.Errorf("%q: %v", reason, err)
	}
}

// TestNext: the next release has the next sequence, and lives as long as the one before.
func TestNext(t *testing.T) {
	t.Parallel()
	before := whole()
	files := map[string]index.Sum{"new.yaml": index.SumOf([]byte("new"))}
	next := before.Next(files, day(50).Add(time.Millisecond))
	want := whole()
	want.Sequence, want.Issued, want.Expires, want.Files = 4, day(50), day(150), files
	if d := cmp.Diff(want, next); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	first := (&index.Index{Name: "nodes", Keys: keysOf(alice), Threshold: 1}).Next(files, day(1))
	if first.Sequence != 1 || !first.Expires.Equal(day(1).Add(index.DefaultLife)) {
		t.Errorf("the first release: %+v", first)
	}
	if x, diags := index.Parse(index.File, first.Text()); x == nil {
		t.Errorf("the first release: %v", diags)
	}
}

func TestIsOfCatalog(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]bool{
		"web.yaml": true, "web.yml": true, "web.toml": true, "web.files/a/b.conf": true, "web.files/.hidden": true,
		"catalog.toml": false, "catalog.toml.sig": false, "README.md": false, "Containerfile": false, ".web.yaml": false, "Web.yaml": false,
		"web.d/grants.toml": false, ".files/x": false, "web.files": false, "apps/web.yaml": false,
	} {
		if got := index.IsOfCatalog(file); got != want {
			t.Errorf("%s: %v", file, got)
		}
	}
}

// FuzzParse: whatever an index holds, there is no panic, and what is read is what is written again.
func FuzzParse(f *testing.F) {
	for _, x := range []*index.Index{whole(), release(1, 1, alice)} {
		f.Add(x.Text())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		x, diags := index.Parse(index.File, text)
		if (x == nil) != diags.HasErrors() {
			t.Fatalf("%v, and %v", x, diags)
		}
		if x == nil {
			return
		}
		again, diags := index.Parse(index.File, x.Text())
		if d := cmp.Diff(x, again, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%v -first +again:\n%s", diags, d)
		}
	})
}

// FuzzSignatures: whatever a file of signatures holds, there is no panic, and nothing is signed by
// a key that did not sign.
func FuzzSignatures(f *testing.F) {
	text := whole().Text()
	f.Add(sign(text, index.Namespace, alice, bob, dave))
	f.Add(sign(text, "file", alice))
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, k := range index.Signers([]byte("another text"), file) {
			t.Errorf("signed by %s", k)
		}
	})
}
