// Package update owns the updates of apps to newer releases of their manifests: the values that
// an update keeps, the decision whether a release may be installed and why not, and the order of
// the steps that install it or restore the earlier one.
//
// It reads no file, no clock and no manifest: the caller says what differs between two releases,
// and gives the machine on which the steps are carried out. It prints nothing.
package update

import (
	"bytes"
	"cmp"
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
	// Edits is the text of the overlay that holds what an operator edited in the manifests of earlier
	// releases, empty for none.
	Edits []byte `json:"edits,omitempty"`
	// Pin is the text of the overlay that holds the images of a manifest that is from no catalog, empty for
	// those that the manifest names.
	Pin []byte `json:"pin,omitempty"`
	// Base is the release as its catalog had it, nil unless an operator has edited it since.
	Base *Release `json:"base,omitempty"`
}

// AsReleased is the release as its catalog had it, without an overlay.
func (r Release) AsReleased() Release {
	if r.Base != nil {
		r = *r.Base
	}
	r.Edits = nil
	return r
}

// IsTextEdited reports whether an operator has edited the manifest.
func (r Release) IsTextEdited() bool {
	return r.Base != nil && !bytes.Equal(r.Base.Manifest, r.Manifest)
}

// Of returns an installed release with the release that it was installed as. What lies no more beside
// the manifest was moved away, to replace it in each release, and is not an edit.
func (r Release) Of(base Release) Release {
	base = base.AsReleased()
	r.Origin, r.Templates = base.Origin, maps.Clone(r.Templates)
	if r.Templates == nil {
		r.Templates = map[string][]byte{}
	}
	for name, text := range base.Templates {
		if _, isThere := r.Templates[name]; !isThere {
			r.Templates[name] = text
		}
	}
	have := r.folders()
	for name, files := range base.folders() {
		if len(have[name]) == 0 {
			r.Seeds = append(slices.Clone(r.Seeds), files...)
		}
	}
	if r.Base = nil; r.Sum() != base.Sum() {
		r.Base = &base
	}
	return r
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
// where the release is from, nor on the overlay of edits.
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
	for _, s := range slices.SortedFunc(slices.Values(r.Seeds), byPath) {
		add(fmt.Appendf(nil, "%s %v", s.Path, s.IsExecutable))
		add(s.Data)
	}
	if len(r.Pin) > 0 {
		add(r.Pin)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func byPath(a, b Seed) int { return cmp.Compare(a.Path, b.Path) }

func (s Seed) equal(o Seed) bool {
	return s.Path == o.Path && s.IsExecutable == o.IsExecutable && bytes.Equal(s.Data, o.Data)
}

// isMixOf reports whether each file of a release is that of one of two others. It is while one
// replaces the other. An overlay that is the same with both is the operator's.
func (r Release) isMixOf(a, b Release) bool {
	for _, of := range overlays {
		mine, was, is := *of(&r), *of(&a), *of(&b)
		if !bytes.Equal(was, is) && !bytes.Equal(mine, was) && !bytes.Equal(mine, is) {
			return false
		}
	}
	isOfOne := func(name string, text []byte) bool {
		return bytes.Equal(a.Templates[name], text) || bytes.Equal(b.Templates[name], text)
	}
	for name, text := range r.Templates {
		if !isOfOne(name, text) {
			return false
		}
	}
	isOther := func(s Seed) bool {
		return !slices.ContainsFunc(a.Seeds, s.equal) && !slices.ContainsFunc(b.Seeds, s.equal)
	}
	return !slices.ContainsFunc(r.Seeds, isOther) && (bytes.Equal(r.Manifest, a.Manifest) || bytes.Equal(r.Manifest, b.Manifest))
}

// Earlier is the release that an app had before its last update.
type Earlier struct {
	Release
	// Left is the checksum of what the update installed, and LeftEdits the overlay of edits then. Left is
	// empty if an earlier archgen recorded it.
	Left      string `json:"left,omitempty"`
	LeftEdits []byte `json:"left_edits,omitempty"`
}

// IsUntouched reports whether an app is installed as its last update has left it.
func (e Earlier) IsUntouched(installed Release) bool {
	if e.Left == "" {
		return installed.Base == nil
	}
	return installed.Sum() == e.Left && bytes.Equal(installed.Edits, e.LeftEdits)
}

// overlays is the overlays that an update may replace. It leaves one alone that is the same with both
// releases.
var overlays = []func(*Release) *[]byte{
	func(r *Release) *[]byte { return &r.Edits },
	func(r *Release) *[]byte { return &r.Pin },
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
