// Package catalogs owns catalogs from sources: the files that name them, how they are read from an
// image or a directory, and what of them is kept once it is verified.
//
// It uses no network itself: Podman pulls images, and ssh-keygen signs. manifests/catalog/index decides
// what is accepted.
// It installs no app and prints nothing.
package catalogs

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/catalog/index"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units/durable"
)

// Config is a file NAME.toml, which names the source of a catalog.
type Config struct {
	Name string
	// File is where it was read.
	File string
	Settings
}

// Settings is the content of the file.
type Settings struct {
	// Source is oci:IMAGE or dir:PATH.
	Source string `key:"source" need:"required" pattern:"line"`
	// Keys is the keys that are trusted before the first index is accepted, Threshold how many of
	// them have to sign it. A directory without keys is the operator's own.
	Keys      []index.Key `key:"keys"`
	Threshold int         `key:"threshold" min:"1" max:"16" default:"1"`
	// Allow is the rights that the apps of the catalog have without being asked for.
	Allow []string `key:"allow" pattern:"right"`
}

// NewConfig is the configuration of a catalog that an operator adds: its name, its source, the public
// keys that are trusted, and how many of them have to sign. A relative directory is one of the current
// directory.
func NewConfig(name, source string, keys []string, threshold int) (Config, error) {
	c := Config{Name: name, Settings: Settings{Source: source, Threshold: threshold}}
	if dir, isDir := strings.CutPrefix(source, "dir:"); isDir {
		path, err := filepath.Abs(dir)
		if err != nil {
			return c, err
		}
		c.Source = "dir:" + path
	}
	for _, text := range keys {
		key, err := index.ParseKey(text)
		if err != nil {
			return c, &KeyError{text, err}
		}
		c.Keys = append(c.Keys, key)
	}
	return c, nil
}

// KeyError is why a text is no public key that can sign a catalog.
type KeyError struct {
	Text string
	Err  error
}

func (e *KeyError) Error() string { return fmt.Sprintf("%q: %v", e.Text, e.Err) }

// Unwrap returns the reason.
func (e *KeyError) Unwrap() error { return e.Err }

// Configs lists the catalogs by name. One whose file has errors is left out: the diagnostics say
// why.
func (s Catalogs) Configs() (list []Config, diags diag.List) {
	var loaded manifests.Loaded // the files have the precedence and the masks of manifests
	files, diags := loaded.Files(s.Dirs)
	for _, file := range files {
		text, err := manifests.ReadFile(file)
		if err != nil {
			diags = append(diags, manifests.Unreadable(file, err))
			continue
		}
		c, found := parseConfig(file, text)
		diags = append(diags, found...)
		if !found.HasErrors() {
			list = append(list, c)
		}
	}
	return list, diags
}

func parseConfig(file string, text []byte) (Config, diag.List) {
	settings, diags := manifests.ParseAs[Settings](manifests.Source{Name: file, Data: text}, 0)
	c := Config{Name: manifests.AppOf(file), File: file, Settings: settings}
	if !diags.HasErrors() {
		if err := c.check(); err != nil {
			diags = append(diags, diag.Diagnostic{Code: diag.BadValue, File: file, Message: err.Error()})
		}
	}
	return c, diags
}

// isReserved reports whether a name is that of archgen's own catalog, in one of its spellings.
func isReserved(name string) bool { return name == catalog.Own || name == catalog.Embedded }

// check demands what no key demands by itself.
func (c Config) check() error {
	switch {
	case !manifests.Fits("id", c.Name):
		return fmt.Errorf("a catalog can't be called %q: its name must be made of lower-case letters, digits and dashes", c.Name)
	case isReserved(c.Name):
		return fmt.Errorf("%s is archgen's own catalog: choose another name", c.Name)
	case c.Threshold > max(1, len(c.Keys)):
		return fmt.Errorf("threshold is %d, and there are %d keys", c.Threshold, len(c.Keys))
	}
	kind, place, _ := strings.Cut(c.Source, ":")
	switch {
	case kind == "oci" && !manifests.Fits("image", place):
		return fmt.Errorf("%q is not the reference of an image", place)
	case kind == "oci" && len(c.Keys) == 0:
		return fmt.Errorf("the image %s can be anything without a key that signs it: give the key of its author", place)
	case kind == "dir" && (!filepath.IsAbs(place) || filepath.Clean(place) != place):
		return fmt.Errorf("%q is not a clean absolute path", place)
	case kind != "oci" && kind != "dir":
		return fmt.Errorf("%q is no source: write oci:IMAGE or dir:PATH", c.Source)
	}
	return rights.CheckGrants(c.Allow)
}

// text is the file.
func (c Config) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# A catalog of apps: see archgen catalog sources.\nsource = %q\n", c.Source)
	if len(c.Keys) > 0 {
		b.WriteString("# Trusted until the first index is accepted; from then on its keys are.\nkeys = [\n")
		for _, k := range c.Keys {
			fmt.Fprintf(&b, "  %q,\n", k)
		}
		fmt.Fprintf(&b, "]\nthreshold = %d\n", c.Threshold)
	}
	b.WriteString("# Rights that its apps have without a question, such as \"use\".\nallow = []\n")
	return b.Bytes()
}

// Find is the catalog of a name.
func (s Catalogs) Find(name string) (Config, error) {
	list, diags := s.Configs()
	if i := slices.IndexFunc(list, func(c Config) bool { return c.Name == name }); i >= 0 {
		return list[i], nil
	}
	for _, d := range diags {
		if manifests.AppOf(d.File) == name {
			return Config{}, fmt.Errorf("the catalog %s can't be used: %s", name, d)
		}
	}
	return Config{}, fmt.Errorf("there is no catalog %q; see archgen catalog sources", name)
}

// unconfigure removes the file of a catalog. One that the operating system ships is masked.
func (s Catalogs) unconfigure(c Config) error {
	own, name := s.Dirs[0], filepath.Base(c.File)
	if filepath.Dir(c.File) == filepath.Clean(own) {
		return durable.Remove(own, name)
	}
	return durable.Mask(own, name)
}
