package manifests

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// MaxSeed is the most bytes that the seeds of an app have together, and MaxSeedFiles the most
// files, each as often as it is used. A recipe holds them, and archgen reads it at each start.
const (
	MaxSeed      = 4 << 20
	MaxSeedFiles = 1000
)

// SeedFile is a file of a seed.
type SeedFile struct {
	// Path is relative to the volume; of a file that is not in a volume yet, to ID.files/.
	Path         string
	IsExecutable bool
	Data         []byte
}

// SeedNames lists the files and folders beside the manifest that are seeds of an app, sorted.
func (a *App) SeedNames() []string {
	var names []string
	for _, o := range a.Volumes {
		if o != nil {
			names = append(names, slices.Collect(maps.Values(o.Seed))...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// seeds reads the seeds of a manifest, each from the first of the overlays' directories that
// has it, or else from beside the manifest.
func (l *Loaded) seeds(m *Manifest, dir string, overlayDirs []string) (diags diag.List) {
	a := &m.Document.App
	r := seedLoader{Loaded: l, own: filepath.Join(dir, FilesDir(a.ID))}
	for _, d := range overlayDirs {
		r.places = append(r.places, filepath.Join(d, OverlayFilesDir(a.ID)))
	}
	for _, volume := range sortedKeys(a.Volumes) {
		o := a.Volumes[volume]
		if o == nil || len(o.Seed) == 0 {
			continue
		}
		files, problems := r.seed(m, "app.volumes."+volume+".seed.", o.Seed)
		diags = append(diags, problems...)
		if m.Seeds == nil {
			m.Seeds = map[string][]SeedFile{}
		}
		m.Seeds[volume] = files
	}
	return diags
}

// seedLoader reads the seeds of one app.
type seedLoader struct {
	*Loaded
	SeedReader
	places []string
	own    string
}

// seed is the files of one seed by their paths in the volume. A longer path takes precedence, so
// that one file of a folder can be another.
func (r *seedLoader) seed(m *Manifest, at string, seed map[string]string) (list []SeedFile, diags diag.List) {
	byPath, from := map[string]SeedFile{}, map[string]string{}
	for _, target := range slices.SortedFunc(maps.Keys(seed), byDepth) {
		if seed[target] == "" { // which was said
			continue
		}
		files, err := r.find(seed[target])
		if err == nil && target == "." && files[0].Path == seed[target] {
			err = errNoName
		}
		if err != nil {
			diags = append(diags, m.ofSeed(at+target, seed[target], r.own, err))
			continue
		}
		for _, f := range files {
			f.Path = path.Join(target, strings.TrimPrefix(f.Path, seed[target]))
			byPath[f.Path], from[f.Path] = f, target
		}
	}
	for _, p := range sortedKeys(byPath) {
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			if _, isFile := byPath[dir]; isFile {
				diags = append(diags, m.Diag(diag.Error, diag.NameClash, at+from[p], "", "%s can't be in %s, which is a file of the seed", p, dir))
			}
		}
		list = append(list, byPath[p])
	}
	return list, diags
}

// byDepth orders paths in a volume: those of folders before those in them.
func byDepth(a, b string) int {
	depth := func(p string) int {
		if p == "." {
			return -1
		}
		return strings.Count(p, "/")
	}
	return cmp.Or(cmp.Compare(depth(a), depth(b)), cmp.Compare(a, b))
}

// find reads a seed from the first place that has it.
func (r *seedLoader) find(name string) ([]SeedFile, error) {
	for _, place := range append(slices.Clone(r.places), r.own) {
		if err := StaysInside(r.Root, filepath.Join(place, name)); err != nil {
			return nil, err
		}
		files, err := r.Read(place, name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return files, err
		}
	}
	return nil, fs.ErrNotExist
}

var errNoName = errors.New("a file needs a name in the volume")

// ofSeed is the finding that a seed can't be used.
func (m *Manifest) ofSeed(at, name, own string, err error) diag.Diagnostic {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m.Diag(diag.Error, diag.Unreadable, at, "put it into "+own, "there is no file or folder %s", name)
	case errors.Is(err, errSeedTooLarge):
		return m.Diag(diag.Error, diag.TooLarge, at, "have the app fetch large data when it starts", "the seeds of an app may have %d bytes in %d files together, each as often as it is used", MaxSeed, MaxSeedFiles)
	case errors.Is(err, errNoName):
		return m.Diag(diag.Error, diag.BadValue, at, fmt.Sprintf("write `%s: %[1]s`", name), "%s is a file, and a file needs a name in the volume", name)
	}
	return m.Diag(diag.Error, diag.Unreadable, at, "", "the seed %s can't be read: %v", name, CauseOf(err))
}

// digestFiles adds the files beside the manifest to its digest.
func (m *Manifest) digestFiles() {
	var all strings.Builder
	add := func(name string, data []byte) {
		sum := sha256.Sum256(data)
		all.WriteString("\n" + name + " " + hex.EncodeToString(sum[:]))
	}
	for _, name := range sortedKeys(m.Templates) {
		add(name, m.Templates[name].Data)
	}
	for _, volume := range sortedKeys(m.Seeds) {
		for _, f := range m.Seeds[volume] {
			add(fmt.Sprintf("%s/%s %v", volume, f.Path, f.IsExecutable), f.Data)
		}
	}
	if all.Len() == 0 {
		return
	}
	sum := sha256.Sum256([]byte(m.Digest + all.String()))
	m.Digest = hex.EncodeToString(sum[:])[:32]
}
