// Package update owns the updates of apps to newer releases of their manifests: the values that
// an update keeps, the decision whether a release may be installed and why not, and the order of
// the steps that install it or restore the earlier one.
//
// It reads no file, no clock and no manifest: the caller says what differs between two releases,
// and gives the machine on which the steps are carried out. It prints nothing.
package update

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Release is a manifest with the files that belong to it.
type Release struct {
	Origin
	// File is the name of the manifest's file, and Manifest its text.
	File     string `json:"file"`
	Manifest []byte `json:"manifest"`
	// Templates is the text of the templates by name, Seeds the files of the seeds by their paths in
	// ID.files/.
	Templates map[string][]byte `json:"templates,omitempty"`
	Seeds     []Seed            `json:"seeds,omitempty"`
}

// Seed is a file of a seed.
type Seed struct {
	Path         string `json:"path"`
	IsExecutable bool   `json:"executable,omitempty"`
	Data         []byte `json:"data"`
}

// Origin says which release of which catalog it is.
type Origin struct {
	// Catalog is a directory, or the word for the catalog that archgen includes. It is empty for a
	// manifest that is from no catalog.
	Catalog string `json:"catalog,omitempty"`
	// Revision orders the releases of a catalog. It is 0 for a manifest without one.
	Revision int    `json:"revision,omitempty"`
	Version  string `json:"version"`
	// Digest identifies the content of the release, see Release.Sum.
	Digest string `json:"digest"`
}

// String is the version for people. The revision tells releases of one version apart.
func (o Origin) String() string {
	if o.Revision == 0 {
		return o.Version
	}
	return fmt.Sprintf("%s (revision %d)", o.Version, o.Revision)
}

// Sum returns the checksum of the content of a release, in lower-case hex. It does not depend on
// where the release is from.
func (r Release) Sum() string {
	h := sha256.New()
	add := func(data []byte) {
		_ = binary.Write(h, binary.BigEndian, uint64(len(data))) // a hash takes everything
		h.Write(data)
	}
	add([]byte(r.File))
	add(r.Manifest)
	for _, name := range slices.Sorted(maps.Keys(r.Templates)) {
		add([]byte(name))
		add(r.Templates[name])
	}
	for _, s := range r.Seeds {
		add(fmt.Appendf(nil, "%s %v", s.Path, s.IsExecutable))
		add(s.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// isMixOf reports whether each file of a release is that of one of two others. It is while one
// replaces the other.
func (r Release) isMixOf(a, b Release) bool {
	isOfOne := func(name string, text []byte) bool {
		return bytes.Equal(a.Templates[name], text) || bytes.Equal(b.Templates[name], text)
	}
	for name, text := range r.Templates {
		if !isOfOne(name, text) {
			return false
		}
	}
	isOther := func(s Seed) bool {
		is := func(o Seed) bool {
			return o.Path == s.Path && o.IsExecutable == s.IsExecutable && bytes.Equal(o.Data, s.Data)
		}
		return !slices.ContainsFunc(a.Seeds, is) && !slices.ContainsFunc(b.Seeds, is)
	}
	return !slices.ContainsFunc(r.Seeds, isOther) && (bytes.Equal(r.Manifest, a.Manifest) || bytes.Equal(r.Manifest, b.Manifest))
}

// Refusal is a release that was installed and rolled back.
type Refusal struct {
	App string `json:"app"`
	Origin
	At  time.Time `json:"at"`
	Why string    `json:"why"`
	// Log is the last lines that the app wrote.
	Log []string `json:"log,omitempty"`
}

// Refused is the refused releases by their digests.
type Refused map[string]Refusal

// Seen is when this machine first saw releases, by their digests.
type Seen map[string]time.Time
