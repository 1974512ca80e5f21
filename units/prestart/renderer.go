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

// Host is where configuration comes from and goes to.
type Host struct {
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
func (h Host) Dir(container string) string { return filepath.Join(h.Runtime, "files", container) }

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

// Write puts the files of a recipe into place, and notes what the container that
// is about to start is started with. A file that is right already is not written.
func (h Host) Write(container string, r units.Recipe) error {
	key, err := h.key()
	if err != nil {
		return err
	}
	texts, err := h.render(r)
	if err != nil {
		return err
	}
	before := h.read(container)
	now := record{Files: map[string]string{}, Seen: h.seen(key, r, nil)}
	for i, f := range r.Files {
		now.Files[f.Name] = digest(key, fmt.Sprintf("%o", f.Mode), string(texts[i]))
		if before.Files[f.Name] == now.Files[f.Name] && h.isThere(container, f, len(texts[i])) {
			continue
		}
		if err := durable.ReplacePrivate(h.Dir(container), f.Name, texts[i], fs.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	if err := h.removeOthers(container, r); err != nil {
		return err
	}
	now.Config, err = h.configDigest(key, r, now.Files)
	now.Watched = watchedDigest(key, now.Seen)
	now.Reloadable = reloadableDigest(key, r, now.Files)
	return errors.Join(err, h.note(container, now))
}

// Reload gives a running container the files that it can read again: put overwrites one
// in place, as the container has it mounted, and tell has the program read them. What
// changed of all else waits for the next start. A file is noted once the program was
// told, so a reload that fails half-way is seen as not made.
func (h Host) Reload(container string, r units.Recipe, put func(f units.RecipeFile, content []byte) error, tell func() error) error {
	key, err := h.key()
	if err != nil {
		return err
	}
	texts, err := h.render(r)
	if err != nil {
		return err
	}
	now := h.read(container)
	fresh := map[string]string{}
	for i, f := range r.Files {
		if !r.IsReloadable(f.Name) {
			continue
		}
		fresh[f.Name] = digest(key, fmt.Sprintf("%o", f.Mode), string(texts[i]))
		if now.Files[f.Name] == fresh[f.Name] && h.isThere(container, f, len(texts[i])) {
			continue
		}
		delete(now.Files, f.Name)
		now.Reloadable = ""
		if err := h.note(container, now); err != nil {
			return err
		}
		if err := put(f, texts[i]); err != nil {
			return err
		}
	}
	if err := tell(); err != nil {
		return err
	}
	if now.Files == nil {
		now.Files = map[string]string{}
	}
	maps.Copy(now.Files, fresh)
	now.Reloadable = reloadableDigest(key, r, now.Files)
	return h.note(container, now)
}

// Look notes what is watched again, of which a step before the start may have
// waited for one.
func (h Host) Look(container string, r units.Recipe) error {
	key, err := h.key()
	if err != nil || len(r.Watch)+len(r.Follow) == 0 {
		return err
	}
	now := h.read(container)
	now.Seen = h.seen(key, r, now.Seen)
	now.Watched = watchedDigest(key, now.Seen)
	return h.note(container, now)
}

func (h Host) note(container string, now record) error {
	text, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("writing down what %s is started with: %w", container, err)
	}
	return durable.ReplacePrivate(h.Dir(container), recordFile, append(text, '\n'), 0o600)
}

// Compare says what a container would be started with now, and what it was started
// with. What can't be read of the watched files counts as it was: an app that is
// down has often taken its file away, and others need not restart for that.
func (h Host) Compare(container string, r units.Recipe) (want, have units.ConfigDigests, err error) {
	if !r.IsConfigured() {
		return want, have, nil
	}
	key, err := h.key()
	if err != nil {
		return want, have, err
	}
	texts, err := h.render(r)
	if err != nil {
		return want, have, err
	}
	before := h.read(container)
	files := map[string]string{}
	for i, f := range r.Files {
		files[f.Name] = digest(key, fmt.Sprintf("%o", f.Mode), string(texts[i]))
	}
	want.Config, err = h.configDigest(key, r, files)
	want.Watched = watchedDigest(key, h.seen(key, r, before.Seen))
	want.Reloadable = reloadableDigest(key, r, files)
	return want, units.ConfigDigests{Config: before.Config, Watched: before.Watched, Reloadable: before.Reloadable}, err
}

// OfService is Compare for the container of a service.
func (h Host) OfService(service string, r units.Recipe) (want, have units.ConfigDigests, err error) {
	return h.Compare(units.ContainerOf(service), r)
}

// render renders the files of a recipe.
func (h Host) render(r units.Recipe) ([][]byte, error) {
	if len(r.Files) == 0 {
		return nil, nil
	}
	var data configfile.Data
	if err := json.Unmarshal(r.Data, &data); err != nil {
		return nil, fmt.Errorf("reading what the templates may name: %w; archgen apply writes it anew", err)
	}
	machine := h.Machine()
	texts := make([][]byte, 0, len(r.Files))
	for _, f := range r.Files {
		text, err := configfile.Render(f.Template, data, machine, h.Secret)
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

// isThere reports whether a file lies there as it was written. It may belong to the
// container's user and be closed to us, so its text can't be asked.
func (h Host) isThere(container string, f units.RecipeFile, size int) bool {
	info, err := os.Lstat(filepath.Join(h.Dir(container), f.Name))
	return err == nil && info.Mode() == fs.FileMode(f.Mode).Perm() && info.Size() == int64(size)
}

func (h Host) removeOthers(container string, r units.Recipe) error {
	names, err := durable.Names(h.Dir(container))
	if err != nil {
		return err
	}
	for _, name := range names {
		isOurs := func(f units.RecipeFile) bool { return f.Name == name }
		if name == recordFile || slices.ContainsFunc(r.Files, isOurs) {
			continue
		}
		if err := durable.Remove(h.Dir(container), name); err != nil {
			return err
		}
	}
	return nil
}

// read is what the container was started with, nothing where that can't be told.
func (h Host) read(container string) record {
	var r record
	text, err := os.ReadFile(filepath.Join(h.Dir(container), recordFile))
	if err != nil || json.Unmarshal(text, &r) != nil {
		return record{}
	}
	return r
}

// configDigest sums up the values of mounted secrets, and rendered files less those that
// can be read again.
func (h Host) configDigest(key []byte, r units.Recipe, files map[string]string) (string, error) {
	parts := make([]string, 0, 2*(len(files)+len(r.Secrets)))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !r.IsReloadable(name) {
			parts = append(parts, name, files[name])
		}
	}
	for _, name := range r.Secrets {
		value, err := h.Secret(name)
		if err != nil {
			return "", err
		}
		parts = append(parts, name, value)
	}
	return digest(key, parts...), nil
}

// reloadableDigest sums up the files that can be read again, empty where there are none.
func reloadableDigest(key []byte, r units.Recipe, files map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if r.IsReloadable(name) {
			parts = append(parts, name, files[name])
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return digest(key, parts...)
}

// watchedDigest sums up what is watched, empty where nothing is.
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

// seen is the digests of the watched files, of those that can't be read what they
// were. A service that is followed has another container after each start.
func (h Host) seen(key []byte, r units.Recipe, before map[string]string) map[string]string {
	list := map[string]string{}
	for _, w := range r.Watch {
		name := w.Volume + "/" + w.Path
		list[name] = before[name]
		if text, err := h.content(w); err == nil {
			list[name] = digest(key, text)
		}
	}
	for _, container := range r.Follow {
		name := "follow " + container
		list[name] = before[name]
		if id, err := h.Started(container); err == nil && id != "" {
			list[name] = digest(key, id)
		}
	}
	return list
}

// largest is far more than a file has that holds a password.
const largest = 1 << 20

// content reads a file in a volume, never what lies outside of it.
func (h Host) content(w units.VolumeFile) (string, error) {
	root, err := os.OpenRoot(VolumeDir(h.Storage, w.Volume))
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

// digest sums texts up so that nobody without the key can tell them by trying.
func digest(key []byte, parts ...string) string {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		m.Write(fmt.Appendf(nil, "%d:%s", len(p), p))
	}
	return hex.EncodeToString(m.Sum(nil))[:32]
}

func (h Host) keyPath() string { return filepath.Join(h.State, keyFile) }

// key is that of this machine's digests, made when it is first needed.
func (h Host) key() ([]byte, error) {
	for {
		key, err := os.ReadFile(h.keyPath())
		if err == nil && len(key) >= sha256.Size {
			return key, nil
		}
		if err == nil {
			return nil, fmt.Errorf("%s is cut short: remove it; apps with configuration files restart once then", h.keyPath())
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the key of digests: %w", err)
		}
		fresh := make([]byte, sha256.Size)
		if _, err := rand.Read(fresh); err != nil {
			return nil, fmt.Errorf("making a key for digests: %w", err)
		}
		if err := durable.CreatePrivate(filepath.Dir(h.keyPath()), filepath.Base(h.keyPath()), fresh, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
}
