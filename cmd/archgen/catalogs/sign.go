package catalogs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/catalog/index"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units/durable"
)

// Draft is an index of a directory that is about to be signed.
type Draft struct {
	*index.Index
	// Text is what is signed.
	Text []byte
	// IsNew: it is another release than that in the directory.
	IsNew bool

	dir string
	// signatures is those that the text has already.
	signatures []byte
}

// Prepare makes the index that a key signs. That is the index in the directory if another key has
// signed it and nothing has changed since, and otherwise the next one.
func Prepare(dir string, key index.Key, now time.Time) (*Draft, error) {
	files, err := Files(dir)
	if err != nil {
		return nil, err
	}
	sums := make(map[string]index.Sum, len(files))
	for name, content := range files {
		sums[name] = index.SumOf(content)
	}
	text, x, err := readIndex(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if x, err = first(dir, key); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		file, _ := readIn(dir, index.SignatureFile) // without it the index is not signed
		by := index.Signers(text, file)
		if len(by) > 0 && !slices.Contains(by, key) && maps.Equal(x.Files, sums) {
			return &Draft{Index: x, Text: text, dir: dir, signatures: file}, nil
		}
	}
	next := x.Next(sums, now)
	return &Draft{Index: next, Text: next.Text(), IsNew: true, dir: dir}, nil
}

// first is the index before the first release.
func first(dir string, key index.Key) (*index.Index, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	if !manifests.Fits("id", name) || isReserved(name) {
		return nil, fmt.Errorf("the catalog gets the name of its directory, and %q can't be one: rename the directory; lower-case letters, digits and dashes make a name", name)
	}
	return &index.Index{Name: name, Threshold: 1, Keys: []index.Key{key}}, nil
}

// readIndex reads the index of a directory.
func readIndex(dir string) ([]byte, *index.Index, error) {
	file := filepath.Join(dir, index.File)
	text, err := readIn(dir, index.File)
	if err != nil {
		return nil, nil, fmt.Errorf("%s can't be read: %w", file, manifests.CauseOf(err))
	}
	x, diags := index.Parse(file, text)
	if x == nil {
		return nil, nil, &index.RefusedError{Reason: index.Malformed, Message: file + " has errors", Diags: diags}
	}
	return text, x, nil
}

// Write writes the index with a further signature. It demands that the key has made it.
func (d *Draft) Write(key index.Key, signature []byte) error {
	if !slices.Contains(index.Signers(d.Text, signature), key) {
		return fmt.Errorf("the signature is not one of the key %s", key.Fingerprint())
	}
	all := append(bytes.TrimRight(d.signatures, "\n"), '\n')
	d.signatures = append(bytes.TrimLeft(all, "\n"), signature...)
	if err := durable.Replace(d.dir, index.File, d.Text); err != nil {
		return err
	}
	return durable.Replace(d.dir, index.SignatureFile, d.signatures)
}

// Signed is those of the index's keys that have signed it.
func (d *Draft) Signed() []index.Key { return signedBy(d.Index, d.Text, d.signatures) }

func signedBy(x *index.Index, text, signatures []byte) []index.Key {
	return slices.DeleteFunc(index.Signers(text, signatures), func(k index.Key) bool { return !slices.Contains(x.Keys, k) })
}

// Verify verifies a directory as a machine would that trusts the keys in its index, and returns
// those that have signed it.
func Verify(dir string, now time.Time) (*index.Index, []index.Key, error) {
	text, x, err := readIndex(dir)
	if err != nil {
		return nil, nil, err
	}
	read := func(file string) ([]byte, error) { return readIn(dir, file) }
	x, _, err = verify(read, index.Trusted{Name: x.Name, Keys: x.Keys, Threshold: x.Threshold}, now)
	if err != nil {
		return nil, nil, fmt.Errorf("%s is refused: %w", dir, err)
	}
	if _, err := x.Read(read); err != nil {
		return nil, nil, fmt.Errorf("%s is refused: %w", dir, err)
	}
	signatures, err := read(index.SignatureFile)
	return x, signedBy(x, text, signatures), err
}

// Check reads the manifests of a directory, and counts its apps.
func Check(dir string) (apps int, diags diag.List, err error) {
	const name = "checked"
	list, diags, err := catalog.Entries(nil, catalog.Remote{Name: name, Dir: dir})
	for _, e := range list {
		if e.Catalog == name {
			apps++
		}
	}
	return apps, diags, err
}
