package manifests

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/parallel"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// MaxFileSize is the most bytes that a manifest, overlay or settings file may
// have.
const MaxFileSize = syntax.MaxFileSize

// Loaded is what Load found.
type Loaded struct {
	// Manifests is in order of their file names. One with errors may be among them.
	Manifests []*Manifest
	// Grants is what the operator grants to apps, by id.
	Grants map[string]Granted
	// Absent is the directories of manifests that do not exist.
	Absent []string
	// Sources is the text of every file that was read, for excerpts.
	Sources map[string][]byte
	// Root is taken off paths that end up in unit files, for image builds.
	Root string
}

// LoadFile reads one manifest and the overlays beside it, in NAME.d/.
func (l *Loaded) LoadFile(path string) diag.List {
	return l.load(path, []string{filepath.Dir(path)})
}

// LoadDirs reads every manifest of the directories. Where two directories hold
// a file of the same app the first wins, and a link to /dev/null masks it.
// Overlays are taken from all directories; of those with one name the first
// wins. A directory that does not exist is empty.
func (l *Loaded) LoadDirs(dirs []string) diag.List {
	files, diags := l.Files(dirs)
	return append(diags, l.loadAll(files, dirs)...)
}

// Files lists the manifests that LoadDirs reads, by the ids of their apps.
func (l *Loaded) Files(dirs []string) (files []string, diags diag.List) {
	chosen := map[string]string{}
	for _, dir := range dirs {
		names, isAbsent, err := l.manifestFiles(dir)
		if err != nil {
			diags = append(diags, Unreadable(dir, err))
		}
		if isAbsent {
			l.Absent = append(l.Absent, dir)
		}
		here := map[string]bool{}
		for _, name := range names {
			stem := strings.TrimSuffix(name, filepath.Ext(name))
			if chosen[stem] != "" && !here[stem] {
				continue
			}
			if here[stem] {
				// Both ID.yaml and ID.toml: load both, Resolve reports the clash.
				stem = name
			}
			here[stem] = true
			chosen[stem] = filepath.Join(dir, name)
		}
	}
	for _, stem := range slices.Sorted(maps.Keys(chosen)) {
		if !isMask(chosen[stem]) {
			files = append(files, chosen[stem])
		}
	}
	return files, diags
}

// loadAll loads manifests on all cores; it is a third of the work of a render.
func (l *Loaded) loadAll(paths, overlayDirs []string) (diags diag.List) {
	parts, found := make([]Loaded, len(paths)), make([]diag.List, len(paths))
	parallel.Each(len(paths), func(i int) {
		parts[i].Root = l.Root
		found[i] = parts[i].load(paths[i], overlayDirs)
	})
	for i := range parts {
		l.Manifests = append(l.Manifests, parts[i].Manifests...)
		for name, data := range parts[i].Sources {
			l.note(Source{name, data})
		}
		for id, granted := range parts[i].Grants {
			l.noteGrants(id, granted)
		}
		diags = append(diags, found[i]...)
	}
	return diags
}

// manifestFiles lists a directory's manifests, sorted. Hidden files are editors'.
func (l *Loaded) manifestFiles(dir string) (names []string, isAbsent bool, err error) {
	entries, isAbsent, err := list(l.Root, dir)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && isManifestName(e.Name()) && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, isAbsent, err
}

func isManifestName(name string) bool {
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".toml":
		return true
	}
	return false
}

func (l *Loaded) load(path string, overlayDirs []string) diag.List {
	stem := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	diags := l.LoadGrants(overlayDirs, stem)
	source, problems := l.read(path)
	if problems != nil {
		return append(diags, problems...)
	}
	in := Input{Manifest: source, Dir: targetDir(l.Root, path)}
	files, problems := l.overlays(overlayDirs, OverlaysDir(stem))
	diags = append(diags, problems...)
	for _, overlay := range files {
		source, problems := l.read(overlay)
		if problems != nil {
			diags = append(diags, problems...)
			continue
		}
		in.Overlays = append(in.Overlays, source)
	}
	m, problems := Parse(in)
	diags = append(diags, problems...)
	if m != nil {
		l.Manifests = append(l.Manifests, m)
		diags = append(diags, l.templates(m, filepath.Dir(path), overlayDirs)...)
		diags = append(diags, m.envFiles()...)
		diags = append(diags, l.seeds(m, filepath.Dir(path), overlayDirs)...)
		m.digestFiles()
		diags = append(diags, Validate(m)...)
	}
	return diags
}

// overlays lists the overlay files for one manifest in the order they apply.
func (l *Loaded) overlays(dirs []string, name string) (list []string, diags diag.List) {
	chosen := map[string]string{}
	for _, dir := range dirs {
		names, _, err := l.manifestFiles(filepath.Join(dir, name))
		if err != nil {
			diags = append(diags, Unreadable(filepath.Join(dir, name), err))
		}
		for _, n := range names {
			if chosen[n] == "" && n != GrantsFile {
				chosen[n] = filepath.Join(dir, name, n)
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(chosen)) {
		if !isMask(chosen[n]) {
			list = append(list, chosen[n])
		}
	}
	return list, diags
}

// read reads one file. It never blocks on a FIFO and never reads more than a
// manifest may have.
func (l *Loaded) read(path string) (Source, diag.List) {
	data, err := ReadInside(l.Root, path)
	if err != nil {
		return Source{}, diag.List{Unreadable(path, err)}
	}
	source := Source{Name: path, Data: data}
	l.note(source)
	return source, nil
}

func (l *Loaded) note(s Source) {
	if l.Sources == nil {
		l.Sources = map[string][]byte{}
	}
	l.Sources[s.Name] = s.Data
}

// Unreadable is the finding that a file or directory can't be read.
func Unreadable(path string, err error) diag.Diagnostic {
	return diag.Diagnostic{Code: diag.Unreadable, File: path, Message: fmt.Sprintf("it can't be read: %v", CauseOf(err))}
}

// CauseOf is an error without the path, for a message that names it already.
func CauseOf(err error) error {
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
