package catalogs_test

import (
	"archive/tar"
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/manifests/catalog/index"
)

// archive is a tar archive. A content that begins with -> is the target of a link.
func archive(files map[string]string) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(files[name]))}
		target, isLink := strings.CutPrefix(files[name], "->")
		if isLink {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, target, 0
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if !isLink {
			_, _ = w.Write([]byte(files[name]))
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

// image is an image in Docker's format, as podman save writes it: layers from the lowest.
func image(layers ...map[string]string) string {
	files, names := map[string]string{}, make([]string, 0, len(layers))
	for i, layer := range layers {
		name := string(rune('a'+i)) + ".tar"
		files[name] = archive(layer)
		files["legacy/"+name] = "->../" + name
		names = append(names, `"`+name+`"`)
	}
	files["config.json"] = "{}"
	files["manifest.json"] = `[{"Config": "config.json", "Layers": [` + strings.Join(names, ",") + `]}]`
	return archive(files)
}

// serve has Podman pull an image.
func (m *machine) serve(id, saved string) {
	m.Answers = map[string]string{
		"pull --quiet example.org/nodes:1": id + "\n", "save --quiet --format docker-archive " + id: saved, "image rm -- ": "",
	}
}

// TestImage: a catalog is read from an image that Podman pulls, and the image before is removed.
func TestImage(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	config := m.config("oci:example.org/nodes:1", alice)
	m.serve("1111", image(signed(indexOf(5, files("1"), alice), files("1"), alice)))
	if _, err := m.Add(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if version, template := m.version(); version != "1" || template != "version 1\n" {
		t.Errorf("%s, %s", version, template)
	}
	// The next release is in layers above the one before.
	next := signed(indexOf(6, files("2"), alice), files("2"), alice)
	m.serve("2222", image(signed(indexOf(5, files("1"), alice), files("1"), alice), next))
	if _, err := m.Refresh(t.Context(), "nodes"); err != nil {
		t.Fatal(err)
	}
	if version, template := m.version(); version != "2" || template != "version 2\n" {
		t.Errorf("%s, %s", version, template)
	}
	if got := m.Asked[len(m.Asked)-1]; got != "image rm -- 1111" {
		t.Errorf("the last command is podman %s", got)
	}
	// A registry that can't be reached changes nothing.
	before := m.state()
	m.Answers = nil
	if _, err := m.Refresh(t.Context(), "nodes"); err == nil || !strings.Contains(err.Error(), "podman pull --quiet example.org/nodes:1") {
		t.Error(err)
	}
	if len(before) != len(m.state()) {
		t.Error("the content changed")
	}
}

// TestHostileImage: an image that is no catalog is refused, and costs little.
func TestHostileImage(t *testing.T) {
	t.Parallel()
	good := func() map[string]string { return signed(indexOf(5, files("1"), alice), files("1"), alice) }
	with := func(name, text string) map[string]string {
		all := good()
		all[name] = text
		return all
	}
	many := map[string]string{}
	for i := range 3 * index.MaxFiles {
		many["x/"+strings.Repeat("y", i%50)+string(rune('A'+i%26))+string(rune(0x4e00+i))] = ""
	}
	for name, c := range map[string]struct{ saved, want string }{
		"a link instead of a file":   {image(with("web.yaml", "->/etc/hostname")), "web.yaml can't be read: it is a link (file-odd)"},
		"a link instead of an index": {image(with(index.File, "->web.yaml")), "catalog.toml can't be read: it is a link (unsigned)"},
		"a huge file":                {image(with("web.yaml", strings.Repeat("x", index.MaxFileSize+1))), "web.yaml can't be read: it has more than 1048576 bytes (file-odd)"},
		"a higher layer":             {image(good(), map[string]string{"./web.yaml": web("3")}), "(file-differs)"},
		"no index":                   {image(files("1")), "catalog.toml can't be read: file does not exist (unsigned)"},
		"no image":                   {"nonsense", "the image example.org/nodes:1 can't be read: unexpected EOF"},
		"no list of layers":          {archive(map[string]string{"manifest.json": "[]"}), "manifest.json: it describes no image"},
		"a layer that is missing":    {archive(map[string]string{"manifest.json": `[{"Layers": ["a.tar"]}]`}), `its layer "a.tar" is missing`},
		"a layer that is cut off":    {image(good())[:4096], "can't be read"},
		"many files":                 {image(good(), many), "it has more than 20000 files"},
		"many bytes":                 {image(good(), map[string]string{"x": strings.Repeat("x", index.MaxSize+33<<20)}), "it has more than 96 MiB"},
	} {
		m := newMachine(t)
		m.serve("1111", c.saved)
		_, err := m.Add(t.Context(), m.config("oci:example.org/nodes:1", alice))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if state := m.state(); len(state) > 0 {
			t.Errorf("%s: state %v", name, slices.Sorted(maps.Keys(state)))
		}
	}
	m := newMachine(t)
	m.serve("1111", image(with("link", "->/"), map[string]string{"README": "x", "../web.yaml": web("3"), "x/../../web.yaml": web("3")}))
	if _, err := m.Add(t.Context(), m.config("oci:example.org/nodes:1", alice)); err != nil {
		t.Errorf("with what the index does not list: %v", err)
	}
	if version, _ := m.version(); version != "1" {
		t.Errorf("version %s", version)
	}
}
