// Package index owns the signed index of a catalog: its format, the hashes of the files that it
// lists, its signatures, and whether it may replace the index before it.
//
// It reads no file, has no clock, and never decides where a catalog is from or what its manifests
// may do.
package index

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

const (
	// File is the name of the index in a catalog.
	File = "catalog.toml"
	// SignatureFile is the name of its signatures.
	SignatureFile = "catalog.toml.sig"
	// MaxFileSize is the most bytes of one file.
	MaxFileSize = manifests.MaxFileSize
	// MaxFiles is the most files of a catalog.
	MaxFiles = 10_000
	// MaxSize is the most bytes of all files.
	MaxSize = 64 << 20
	// maxValues is more than MaxFiles files and what an index says of apps.
	maxValues = 2 * MaxFiles
	// format is the newest format that is known.
	format = 1
)

// Index is what catalog.toml says.
type Index struct {
	// Format of the file.
	Format int `key:"format" need:"required" min:"1"`
	// Name of the catalog.
	Name string `key:"name" need:"required" pattern:"id"`
	// Sequence grows with each release of the catalog.
	Sequence int `key:"sequence" need:"required" min:"1"`
	// Issued is when the release was signed, Expires until when it is good.
	Issued  time.Time `key:"issued" need:"required"`
	Expires time.Time `key:"expires" need:"required"`
	// Threshold is how many of Keys have to sign.
	Threshold int `key:"threshold" min:"1" max:"16" default:"1"`
	// Keys is the keys of the catalog's authors.
	Keys []Key `key:"keys" need:"required"`
	// Files is the checksums of the files of the catalog by their paths.
	Files map[string]Sum `key:"files"`
	// Apps is what the author says of apps, by id.
	Apps map[string]App `key:"apps"`
}

// App is what an index says of an app beside its manifest.
type App struct {
	// Security is the revision below which every one has a known hole.
	Security int `key:"security" min:"1"`
	// Withdrawn is why the app must not be installed.
	Withdrawn string `key:"withdrawn" pattern:"line"`
	// Rollout is the time over which machines take a release.
	Rollout manifests.Duration `key:"rollout" max:"30d"`
}

// Sum is a SHA-256 checksum in lower-case hex.
type Sum string

// SumOf is the checksum of a content.
func SumOf(content []byte) Sum {
	sum := sha256.Sum256(content)
	return Sum(hex.EncodeToString(sum[:]))
}

// UnmarshalText reads a checksum.
func (s *Sum) UnmarshalText(text []byte) error {
	if raw, err := hex.DecodeString(string(text)); err != nil || len(raw) != sha256.Size || string(text) != strings.ToLower(string(text)) {
		return fmt.Errorf("write a SHA-256 checksum of %d lower-case hexadecimal digits", 2*sha256.Size)
	}
	*s = Sum(text)
	return nil
}

// Parse reads an index. It is nil if the file has errors.
func Parse(file string, text []byte) (*Index, diag.List) {
	// The format is that of catalog.toml, whatever the file is called.
	x, diags := manifests.ParseAs[Index](manifests.Source{Name: file, Data: text}, maxValues)
	fail := func(code diag.Code, hint, format string, args ...any) {
		diags = append(diags, diag.Diagnostic{Code: code, File: file, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	if x.Format > format {
		diags = nil // what looks wrong may be right there
		fail(diag.SchemaVersion, "update archgen", "the index has format %d; this archgen knows %d", x.Format, format)
	}
	if diags.HasErrors() {
		return nil, diags
	}
	distinct := len(slices.Compact(slices.Sorted(slices.Values(x.Keys))))
	switch {
	case distinct < len(x.Keys):
		fail(diag.DuplicateKey, "remove one of them", "keys has the same key twice")
	case x.Threshold > distinct:
		fail(diag.OutOfRange, "", "threshold is %d, and there are %d keys", x.Threshold, distinct)
	}
	if !x.Expires.After(x.Issued) {
		fail(diag.OutOfRange, "", "expires must be later than issued")
	}
	if len(x.Files) > MaxFiles {
		fail(diag.TooLarge, "", "the index lists more than %d files", MaxFiles)
	}
	for name := range x.Files {
		switch dir := path.Dir(name); {
		case name == File || name == SignatureFile:
			fail(diag.BadValue, "", "the index can't list %s", name)
		case dir != "." && hasFile(x.Files, dir):
			fail(diag.NameClash, "", "the index lists %s, and a file where its directory is", diag.Quote(name))
		}
	}
	if diags.HasErrors() {
		return nil, diags
	}
	return &x, nil
}

// hasFile reports whether a directory or one above it is listed as a file.
func hasFile(files map[string]Sum, dir string) bool {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, is := files[dir]; is {
			return true
		}
	}
	return false
}

// IsOfCatalog reports whether a file of a directory belongs into the index of its catalog: it is a
// manifest, or in the directory ID.files of one.
func IsOfCatalog(file string) bool {
	top, _, isBelow := strings.Cut(file, "/")
	if isBelow {
		id, isFiles := strings.CutSuffix(top, manifests.FilesDir(""))
		return isFiles && manifests.Fits("id", id)
	}
	ext := path.Ext(file)
	return file != File && slices.Contains([]string{".yaml", ".yml", ".toml"}, ext) && manifests.Fits("id", strings.TrimSuffix(file, ext))
}

// Read reads the files that the index lists, and compares their checksums.
func (x *Index) Read(read func(file string) ([]byte, error)) (map[string][]byte, error) {
	files, size := make(map[string][]byte, len(x.Files)), 0
	for _, name := range slices.Sorted(maps.Keys(x.Files)) {
		content, err := read(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, refuse(FileMissing, "the index lists %s, which is missing", name)
		case err != nil:
			return nil, refuse(FileOdd, "%s can't be read: %v", name, manifests.CauseOf(err))
		case SumOf(content) != x.Files[name]:
			return nil, refuse(FileDiffers, "the content of %s differs from its checksum in the index", name)
		}
		if size += len(content); size > MaxSize {
			return nil, refuse(FileOdd, "the files of the catalog have more than %d MiB", MaxSize>>20)
		}
		files[name] = content
	}
	return files, nil
}

// DefaultLife is how long the first release of a catalog is good.
const DefaultLife = 180 * 24 * time.Hour

// Next is the release of a catalog after an index. It lives as long as that one does.
func (x *Index) Next(files map[string]Sum, issued time.Time) *Index {
	next := *x
	life := x.Expires.Sub(x.Issued)
	next.Format, next.Sequence, next.Files = format, x.Sequence+1, files
	next.Issued = issued.UTC().Truncate(time.Second)
	next.Expires = next.Issued.Add(cmp.Or(life, DefaultLife))
	return &next
}

// Text is the index as catalog.toml.
func (x *Index) Text() []byte {
	var b bytes.Buffer
	b.WriteString("# The index of a catalog. archgen catalog sign rewrites this file: it sets sequence, issued,\n" +
		"# expires and [files]. The rest is yours to change; expires stays as far from issued as it is.\n\n")
	fmt.Fprintf(&b, "format = %d\nname = %q\nsequence = %d\nissued = %s\nexpires = %s\nthreshold = %d\nkeys = [\n",
		x.Format, x.Name, x.Sequence, x.Issued.Format(time.RFC3339Nano), x.Expires.Format(time.RFC3339Nano), x.Threshold)
	for _, k := range x.Keys {
		fmt.Fprintf(&b, "  %q,\n", k)
	}
	b.WriteString("]\n")
	for _, id := range slices.Sorted(maps.Keys(x.Apps)) {
		x.Apps[id].write(&b, id)
	}
	b.WriteString("\n[files]\n")
	for _, name := range slices.Sorted(maps.Keys(x.Files)) {
		fmt.Fprintf(&b, "%s = %q\n", strconv.Quote(name), x.Files[name])
	}
	return b.Bytes()
}

func (a App) write(b *bytes.Buffer, id string) {
	fmt.Fprintf(b, "\n[apps.%s]\n", id)
	if a.Security > 0 {
		fmt.Fprintf(b, "security = %d\n", a.Security)
	}
	if a.Withdrawn != "" {
		fmt.Fprintf(b, "withdrawn = %q\n", a.Withdrawn)
	}
	if a.Rollout > 0 {
		fmt.Fprintf(b, "rollout = %q\n", a.Rollout)
	}
}
