package prestart

import (
	"bytes"
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

// Renderer renders the configuration files of parts to where their containers mount them,
// and records the digests of what each was started with.
type Renderer struct {
	// State is what outlives a boot, Runtime what does not.
	State, Runtime string
	// Storage is where Podman keeps volumes.
	Storage string
	// Secret reads a secret by its full name.
	Secret func(name string) (string, error)
	// Started is systemd's InvocationID of the last start of a container's service, empty
	// where systemd knows of none.
	Started func(container string) (invocation string, err error)
	// Machine is what templates may know of the machine.
	Machine func() configfile.Machine
}

// Dir is the directory of a container's files.
func (r Renderer) Dir(container string) string { return filepath.Join(r.filesDir(), container) }

// filesDir is the directory of all containers' files.
func (r Renderer) filesDir() string { return filepath.Join(r.Runtime, "files") }

const (
	// recordFile can't be the name of a template.
	recordFile = ".started"
	keyFile    = "keys/config"
)

// record is what a container was started with.
type record struct {
	Config     string `json:"config"`
	Watched    string `json:"watched"`
	Reloadable string `json:"reloadable,omitempty"`
	// Files is the digest of each file with its mode, Seen that of each watched one.
	Files map[string]string `json:"files"`
	Seen  map[string]string `json:"seen"`
}

// Write renders the files of a recipe, and records what the container that is about to
// start is started with. It does not write a file that is right already.
func (r Renderer) Write(container string, recipe units.Prestart) error {
	key, texts, digests, err := r.renderDigested(recipe)
	if err != nil {
		return err
	}
	before := r.load(container)
	now := record{Files: digests, Seen: r.watched(key, recipe, nil)}
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
	now.Config, err = r.configDigest(key, recipe, now.Files)
	now.Watched = watchedDigest(key, now.Seen)
	now.Reloadable = reloadableDigest(key, recipe, now.Files)
	return errors.Join(err, r.save(container, now))
}

// Reload renders the files that a running container can read again: overwrite writes one
// in place, as the container has it mounted, and signal makes the program read them.
// Other changes wait for the next start. A file is recorded once the program has its
// signal, so a reload that fails half-way counts as not done.
func (r Renderer) Reload(container string, recipe units.Prestart, overwrite func(f units.PrestartFile, content []byte) error, signal func() error) error {
	key, texts, digests, err := r.renderDigested(recipe)
	if err != nil {
		return err
	}
	now := r.load(container)
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

// RecordWatched records the digests of the watched files again: a step before the start may
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
		return fmt.Errorf("writing down what %s is started with: %w", container, err)
	}
	return durable.ReplacePrivate(r.Dir(container), recordFile, append(text, '\n'), 0o600)
}

// Compare returns the digests of what a container would be started with now, and of what
// it was started with. A watched file that can't be read counts as unchanged: an app that
// is down has often removed its file, and others need not restart for that.
func (r Renderer) Compare(container string, recipe units.Prestart) (want, have units.ConfigDigests, err error) {
	if !recipe.IsConfigured() {
		return want, have, nil
	}
	key, _, digests, err := r.renderDigested(recipe)
	if err != nil {
		return want, have, err
	}
	before := r.load(container)
	want.Config, err = r.configDigest(key, recipe, digests)
	want.Watched = watchedDigest(key, r.watched(key, recipe, before.Seen))
	want.Reloadable = reloadableDigest(key, recipe, digests)
	return want, units.ConfigDigests{Config: before.Config, Watched: before.Watched, Reloadable: before.Reloadable}, err
}

// CompareService is Compare for the container of a service.
func (r Renderer) CompareService(service string, recipe units.Prestart) (want, have units.ConfigDigests, err error) {
	return r.Compare(units.ContainerOf(service), recipe)
}

// renderDigested renders the files of a recipe, with the digest of each with its mode by
// name, and the key with which digests are made.
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
		return nil, fmt.Errorf("reading what the templates may name: %w; archgen apply writes it anew", err)
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

// isIntact reports whether a file is as it was written, by its mode and size: it may
// belong to the container's user, so that we can't read it.
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
		if name == recordFile || slices.ContainsFunc(recipe.Files, isOurs) {
			continue
		}
		if err := durable.Remove(r.Dir(container), name); err != nil {
			return err
		}
	}
	return nil
}

// load returns what the container was started with, nothing where that can't be told.
func (r Renderer) load(container string) record {
	var started record
	text, err := os.ReadFile(filepath.Join(r.Dir(container), recordFile))
	if err != nil || json.Unmarshal(text, &started) != nil {
		return record{}
	}
	return started
}

// configDigest covers the values of mounted secrets, and rendered files less those that
// can be read again.
func (r Renderer) configDigest(key []byte, recipe units.Prestart, files map[string]string) (string, error) {
	parts := make([]string, 0, 2*(len(files)+len(recipe.Secrets)))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !recipe.IsReloadable(name) {
			parts = append(parts, name, files[name])
		}
	}
	for _, name := range recipe.Secrets {
		value, err := r.Secret(name)
		if err != nil {
			return "", err
		}
		parts = append(parts, name, value)
	}
	return digest(key, parts...), nil
}

// reloadableDigest covers the files that can be read again, empty where there are none.
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

// watchedDigest covers what is watched, empty where nothing is.
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

// watched returns the digests of the watched files, for one that can't be read the digest
// before. A service that is followed has another one after each start.
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

// largest is far more than a file has that holds a password.
const largest = 1 << 20

// content reads a file in a volume, never what lies outside of it.
func (r Renderer) content(w units.VolumeFile) (string, error) {
	root, err := os.OpenRoot(VolumeDir(r.Storage, w.Volume))
	if err != nil {
		return "", err
	}
	f, err := root.OpenFile(w.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	err = errors.Join(err, root.Close())
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(err, errors.New("it is no regular file"))
	}
	var text bytes.Buffer
	_, err = text.ReadFrom(io.LimitReader(f, largest))
	return text.String(), err
}

// VolumeDir is where a volume of Podman lies; a directory of the host is itself.
func VolumeDir(storage, volume string) string {
	if strings.HasPrefix(volume, "/") {
		return volume
	}
	return filepath.Join(storage, "volumes", volume, "_data")
}

// digest is a keyed hash: without the key, texts can't be found by trying.
func digest(key []byte, parts ...string) string {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		m.Write(fmt.Appendf(nil, "%d:%s", len(p), p))
	}
	return hex.EncodeToString(m.Sum(nil))[:32]
}

func (r Renderer) keyPath() string { return filepath.Join(r.State, keyFile) }

// key returns the key of this machine's digests, and makes it when it is first needed.
func (r Renderer) key() ([]byte, error) {
	for {
		key, err := os.ReadFile(r.keyPath())
		if err == nil && len(key) >= sha256.Size {
			return key, nil
		}
		if err == nil {
			return nil, fmt.Errorf("%s is cut short: remove it; apps with configuration files restart once then", r.keyPath())
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the key of digests: %w", err)
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
