package prestart

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/archipelago-os/archipelago/generator/configfile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
)

// Renderer renders the configuration files of parts to the paths that their containers
// mount, and records the digests of the files that each container was started with.
type Renderer struct {
	// State is the directory that outlives a boot, Runtime the one that does not.
	State, Runtime string
	// Storage is the directory of Podman's database, Volumes that of its volumes.
	Storage, Volumes string
	// Secret reads a secret by its full name.
	Secret func(name string) (string, error)
	// SetSecret changes the value that containers get of a secret.
	SetSecret func(ctx context.Context, name, value string) error
	// Started returns systemd's InvocationID of the last start of a container's service. It
	// is empty if systemd has none.
	Started func(container string) (invocation string, err error)
	// Machine returns the facts about the machine that templates and values may use.
	Machine func() configfile.Machine
	// Subnet returns the subnet of a network of Podman. It is empty if there is no such network.
	Subnet func(network string) string
	// inNamespace reads a file in a volume as root of Podman's user namespace. It is nil where no
	// process may be started.
	inNamespace func(w units.VolumeFile) (string, error)
	// before is the facts that a container was started with, by variable.
	before map[string]string
}

// Dir returns the directory of a container's files.
func (r Renderer) Dir(container string) string { return filepath.Join(r.filesDir(), container) }

// filesDir returns the directory that has the files of all containers.
func (r Renderer) filesDir() string { return filepath.Join(r.Runtime, "files") }

const (
	// recordFile can't be the name of a template.
	recordFile = ".started"
	keyFile    = "keys/config"
)

// record is the configuration that a container was started with.
type record struct {
	Config     string `json:"config"`
	Watched    string `json:"watched"`
	Reloadable string `json:"reloadable,omitempty"`
	// Address is that of the machine in its network.
	Address string `json:"address,omitempty"`
	// Facts is the facts of the recipe by variable.
	Facts map[string]string `json:"facts,omitempty"`
	// Files is the digest of each file and its mode. Seen is the digest of each watched
	// file.
	Files map[string]string `json:"files"`
	Seen  map[string]string `json:"seen"`
}

// Write renders the files of a recipe, makes its composed secrets, and records their digests
// for the container that is about to start. It does not write what is up to date.
func (r Renderer) Write(ctx context.Context, container string, recipe units.Prestart) error {
	key, texts, digests, err := r.renderDigested(recipe)
	if err != nil {
		return err
	}
	before := r.load(container)
	now := record{Files: digests, Seen: r.watched(key, recipe, nil), Address: r.Machine().Address}
	for i, f := range recipe.Files {
		if before.Files[f.Name] == now.Files[f.Name] && r.isIntact(container, f, len(texts[i])) {
			continue
		}
		if err := durable.ReplacePrivate(r.Dir(container), f.Name, texts[i], fs.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	if err := r.removeOthers(container, recipe); err != nil {
		return err
	}
	if now.Facts, err = r.facts(recipe); err != nil {
		return err
	}
	if err := r.writeFacts(container, recipe, now.Facts); err != nil {
		return err
	}
	r.before = now.Facts
	if err := r.compose(ctx, recipe); err != nil {
		return err
	}
	now.Config, err = r.configDigest(key, recipe, now.Files)
	now.Watched = watchedDigest(key, now.Seen)
	now.Reloadable = reloadableDigest(key, recipe, now.Files)
	return errors.Join(err, r.save(container, now))
}

// Reload renders the files that a running container can read again. overwrite writes a file
// in place, because the container has it mounted. signal makes the program read the files.
// Other changes wait for the next start. A file is recorded only after the signal, so a
// reload that fails half-way counts as not done.
func (r Renderer) Reload(container string, recipe units.Prestart, overwrite func(f units.PrestartFile, content []byte) error, signal func() error) error {
	now := r.load(container)
	key, texts, digests, err := r.since(now).renderDigested(recipe)
	if err != nil {
		return err
	}
	fresh := map[string]string{}
	for i, f := range recipe.Files {
		if !recipe.IsReloadable(f.Name) {
			continue
		}
		fresh[f.Name] = digests[f.Name]
		if now.Files[f.Name] == fresh[f.Name] && r.isIntact(container, f, len(texts[i])) {
			continue
		}
		delete(now.Files, f.Name)
		now.Reloadable = ""
		if err := r.save(container, now); err != nil {
			return err
		}
		if err := overwrite(f, texts[i]); err != nil {
			return err
		}
	}
	if err := signal(); err != nil {
		return err
	}
	if now.Files == nil {
		now.Files = map[string]string{}
	}
	maps.Copy(now.Files, fresh)
	now.Reloadable = reloadableDigest(key, recipe, now.Files)
	return r.save(container, now)
}

// RecordWatched records the digests of the watched files again, because a prestart step may
// have waited for one of them.
func (r Renderer) RecordWatched(container string, recipe units.Prestart) error {
	key, err := r.key()
	if err != nil || len(recipe.Watch)+len(recipe.Follow) == 0 {
		return err
	}
	now := r.load(container)
	now.Seen = r.watched(key, recipe, now.Seen)
	now.Watched = watchedDigest(key, now.Seen)
	return r.save(container, now)
}

func (r Renderer) save(container string, now record) error {
	text, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("recording the configuration of %s: %w", container, err)
	}
	return durable.ReplacePrivate(r.Dir(container), recordFile, append(text, '\n'), 0o600)
}

// Compare returns the digests of the current configuration of a container, and of the one
// that it was started with. A watched file that can't be read counts as unchanged: many
// apps remove such a file when they stop, and that is no reason to restart others.
func (r Renderer) Compare(container string, recipe units.Prestart) (want, have units.ConfigDigests, err error) {
	if !recipe.IsConfigured() {
		return want, have, nil
	}
	before := r.load(container)
	r = r.since(before)
	key, _, digests, err := r.renderDigested(recipe)
	if err != nil {
		return want, have, err
	}
	want.Config, err = r.configDigest(key, recipe, digests)
	want.Watched = watchedDigest(key, r.watched(key, recipe, before.Seen))
	want.Reloadable = reloadableDigest(key, recipe, digests)
	return want, units.ConfigDigests{Config: before.Config, Watched: before.Watched, Reloadable: before.Reloadable}, err
}

// CompareService is Compare for the container of a service, by the text of its recipe.
func (r Renderer) CompareService(service string, text []byte) (want, have units.ConfigDigests, err error) {
	if !units.MayBeConfigured(text) {
		return want, have, nil
	}
	recipe, err := units.ReadPrestart(text)
	if err != nil {
		return want, have, err
	}
	return r.Compare(units.ContainerOf(service), recipe)
}

// renderDigested renders the files of a recipe. It returns their texts, their digests by
// name (each with the file's mode), and the key of the digests.
func (r Renderer) renderDigested(recipe units.Prestart) (key []byte, texts [][]byte, digests map[string]string, err error) {
	if key, err = r.key(); err != nil {
		return nil, nil, nil, err
	}
	if texts, err = r.render(recipe); err != nil {
		return nil, nil, nil, err
	}
	digests = make(map[string]string, len(texts))
	for i, f := range recipe.Files {
		digests[f.Name] = digest(key, fmt.Sprintf("%o", f.Mode), string(texts[i]))
	}
	return key, texts, digests, nil
}

// render renders the files of a recipe.
func (r Renderer) render(recipe units.Prestart) ([][]byte, error) {
	if len(recipe.Files) == 0 {
		return nil, nil
	}
	var data configfile.Data
	if err := json.Unmarshal(recipe.Data, &data); err != nil {
		return nil, fmt.Errorf("reading the template data: %w; archgen apply rewrites it", err)
	}
	machine := r.Machine()
	texts := make([][]byte, 0, len(recipe.Files))
	for _, f := range recipe.Files {
		text, err := configfile.Render(f.Template, data, machine, r.Secret)
		if err != nil {
			if e, ok := errors.AsType[*configfile.Error](err); ok {
				err = fmt.Errorf("%s:%d:%d: %s", f.Source, e.Line, e.Column, e.Message)
			}
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// isIntact reports whether a file has the mode and size that it was written with. Its
// content may be unreadable, because the file can belong to the container's user.
func (r Renderer) isIntact(container string, f units.PrestartFile, size int) bool {
	info, err := os.Lstat(filepath.Join(r.Dir(container), f.Name))
	return err == nil && info.Mode() == fs.FileMode(f.Mode).Perm() && info.Size() == int64(size)
}

func (r Renderer) removeOthers(container string, recipe units.Prestart) error {
	names, err := durable.Names(r.Dir(container))
	if err != nil {
		return err
	}
	for _, name := range names {
		isOurs := func(f units.PrestartFile) bool { return f.Name == name }
		if name == recordFile || name == units.FactsFile && len(recipe.Facts) > 0 || slices.ContainsFunc(recipe.Files, isOurs) {
			continue
		}
		if err := durable.Remove(r.Dir(container), name); err != nil {
			return err
		}
	}
	return nil
}

// load returns the record of a container, or an empty one if it can't be read.
func (r Renderer) load(container string) record {
	var started record
	text, err := os.ReadFile(filepath.Join(r.Dir(container), recordFile))
	if err != nil || json.Unmarshal(text, &started) != nil {
		return record{}
	}
	return started
}

// configDigest covers the values of mounted and composed secrets, what the recipe names of the
// machine, and the rendered files that can't be read again.
func (r Renderer) configDigest(key []byte, recipe units.Prestart, files map[string]string) (string, error) {
	parts := make([]string, 0, 2*(len(files)+len(recipe.Secrets)))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !recipe.IsReloadable(name) {
			parts = append(parts, name, files[name])
		}
	}
	for _, f := range recipe.Facts {
		value, err := r.fact(f)
		if err != nil {
			return "", err
		}
		parts = append(parts, f.Variable, value)
	}
	for _, name := range recipe.Secrets {
		value, err := r.Secret(name)
		if err != nil {
			return "", err
		}
		parts = append(parts, name, value)
	}
	for _, c := range recipe.Composed {
		value, err := r.composed(c, recipe)
		if err != nil {
			return "", err
		}
		parts = append(parts, c.Name, value)
	}
	return digest(key, parts...), nil
}

// reloadableDigest covers the files that can be read again. It is empty if there are none.
func reloadableDigest(key []byte, recipe units.Prestart, files map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if recipe.IsReloadable(name) {
			parts = append(parts, name, files[name])
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return digest(key, parts...)
}

// watchedDigest covers the watched files. It is empty if there are none.
func watchedDigest(key []byte, seen map[string]string) string {
	if len(seen) == 0 {
		return ""
	}
	parts := make([]string, 0, 2*len(seen))
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		parts = append(parts, name, seen[name])
	}
	return digest(key, parts...)
}

// watched returns the digests of the watched files. For one that can't be read it returns
// the previous digest. For a tracked service the digest changes with each start.
func (r Renderer) watched(key []byte, recipe units.Prestart, before map[string]string) map[string]string {
	list := map[string]string{}
	for _, w := range recipe.Watch {
		name := w.Volume + "/" + w.Path
		list[name] = before[name]
		if text, err := r.content(w); err == nil {
			list[name] = digest(key, text)
		}
	}
	for _, container := range recipe.Follow {
		name := "follow " + container
		list[name] = before[name]
		if id, err := r.Started(container); err == nil && id != "" {
			list[name] = digest(key, id)
		}
	}
	return list
}

// largest is far more than the size of a file with a password.
const largest = 1 << 20

// content reads a file in a volume. It never reads outside of the volume.
func (r Renderer) content(w units.VolumeFile) (string, error) {
	return contentBelow(VolumeDir(r.Volumes, w.Volume), w.Path)
}

// contentBelow reads a regular file below a directory.
func contentBelow(dir, path string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	f, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	err = errors.Join(err, root.Close())
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(err, errors.New("it is not a regular file"))
	}
	var text bytes.Buffer
	_, err = text.ReadFrom(io.LimitReader(f, largest))
	return text.String(), err
}

// VolumeDir returns the directory of a volume's content. For a directory of the host it
// returns the directory itself.
func VolumeDir(volumes, volume string) string {
	if strings.HasPrefix(volume, "/") {
		return volume
	}
	return filepath.Join(volumes, volume, "_data")
}

// digest is a keyed hash. Without the key, a text can't be found by trying candidates.
func digest(key []byte, parts ...string) string {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		m.Write(fmt.Appendf(nil, "%d:%s", len(p), p))
	}
	return hex.EncodeToString(m.Sum(nil))[:32]
}

func (r Renderer) keyPath() string { return filepath.Join(r.State, keyFile) }

// key returns the key of this machine's digests. It creates the key on first use.
func (r Renderer) key() ([]byte, error) {
	for {
		key, err := os.ReadFile(r.keyPath())
		if err == nil && len(key) >= sha256.Size {
			return key, nil
		}
		if err == nil {
			return nil, fmt.Errorf("%s is truncated: remove it; apps with configuration files then restart once", r.keyPath())
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the key for digests: %w", err)
		}
		fresh := make([]byte, sha256.Size)
		if _, err := rand.Read(fresh); err != nil {
			return nil, fmt.Errorf("making a key for digests: %w", err)
		}
		if err := durable.CreatePrivate(filepath.Dir(r.keyPath()), filepath.Base(r.keyPath()), fresh, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
}
