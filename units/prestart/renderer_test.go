package prestart_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/generator/configfile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/prestart"
)

// place is a machine with one app, ui, whose secret is `ui.token`.
type place struct {
	prestart.Renderer
	t       *testing.T
	secrets map[string]string
	// sets is how often a secret of Podman was changed.
	sets int
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	p := &place{t: t, secrets: map[string]string{"ui.token": "canary"}}
	p.Renderer = prestart.Renderer{
		State: filepath.Join(dir, "state"), Runtime: filepath.Join(dir, "run"), Storage: filepath.Join(dir, "storage"), Volumes: filepath.Join(dir, "storage/volumes"),
		Machine: func() configfile.Machine { return configfile.Machine{Memory: 1024, Cores: 2} },
		Secret: func(name string) (string, error) {
			if value, ok := p.secrets[name]; ok {
				return value, nil
			}
			return "", errors.New("it has no value")
		},
		SetSecret: func(_ context.Context, name, value string) error {
			p.secrets[name] = value
			p.sets++
			return nil
		},
	}
	return p
}

func recipe(template string) units.Prestart {
	data, err := json.Marshal(configfile.Data{App: map[string]string{"id": "ui"}, Secrets: map[string]string{"token": "ui.token"}})
	if err != nil {
		panic(err)
	}
	return units.Prestart{Data: data, Files: []units.PrestartFile{{Name: "ui.conf", Mode: 0o400, Template: template, Source: "ui.files/ui.conf"}}}
}

func (p *place) write(r units.Prestart) {
	p.t.Helper()
	if err := p.Write(p.t.Context(), "ui", r); err != nil {
		p.t.Fatal(err)
	}
}

// differs reports whether the app's configuration differs from the one it was started with.
func (p *place) differs(r units.Prestart) bool {
	p.t.Helper()
	want, have, err := p.Compare("ui", r)
	if err != nil {
		p.t.Fatal(err)
	}
	return want != have
}

func (p *place) read(name string) (string, fs.FileInfo) {
	p.t.Helper()
	path := filepath.Join(p.Dir("ui"), name)
	text, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text), info
}

func TestWrite(t *testing.T) {
	p := newPlace(t)
	r := recipe(`token {{secret "token"}}`)
	if !p.differs(r) {
		t.Error("what was never written is as it should be")
	}
	p.write(r)
	text, info := p.read("ui.conf")
	if text != "token canary" || info.Mode() != 0o400 {
		t.Errorf("%q with mode %v", text, info.Mode())
	}
	if dir, err := os.Stat(p.Dir("ui")); err != nil || dir.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", dir.Mode(), err)
	}
	if p.differs(r) {
		t.Error("what was just written differs")
	}
	// A complete file is not written again, a truncated one is.
	p.write(r)
	if _, again := p.read("ui.conf"); !os.SameFile(info, again) || !again.ModTime().Equal(info.ModTime()) {
		t.Error("it was written although it was right")
	}
	if err := os.Chmod(filepath.Join(p.Dir("ui"), "ui.conf"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.write(r)
	if _, again := p.read("ui.conf"); again.Mode() != 0o400 {
		t.Errorf("mode %v", again.Mode())
	}
}

// TestDigests: a digest covers the text, not the template, and reveals no secret.
func TestDigests(t *testing.T) {
	p := newPlace(t)
	p.write(recipe(`token {{secret "token"}}`))
	if p.differs(recipe(`{{/* a comment */}}token {{secret "token"}}`)) {
		t.Error("a template that gives the same text differs")
	}
	if !p.differs(recipe(`tokens {{secret "token"}}`)) {
		t.Error("another text does not differ")
	}
	p.secrets["ui.token"] = "other"
	if !p.differs(recipe(`token {{secret "token"}}`)) {
		t.Error("another secret does not differ")
	}
	mounted := units.Prestart{Secrets: []string{"ui.token"}}
	p.write(mounted)
	if p.differs(mounted) {
		t.Error("the same secret differs")
	}
	p.secrets["ui.token"] = "third"
	if !p.differs(mounted) {
		t.Error("another value of a mounted secret does not differ")
	}
	if names, err := os.ReadDir(p.Dir("ui")); err != nil || len(names) != 1 {
		t.Errorf("files of earlier recipes stay: %v, %v", names, err)
	}
	if text, _ := p.read(".started"); strings.Contains(text, "other") {
		t.Errorf("%s", text)
	}
}

// reloadable is a recipe with a file that can be read again, and one that can't.
func reloadable(again, once string) units.Prestart {
	r := recipe(again)
	r.Reload, r.Files[0].Reload = "SIGHUP", true
	r.Files = append(r.Files, units.PrestartFile{Name: "once.conf", Mode: 0o400, Template: once, Source: "ui.files/once.conf"})
	return r
}

// compare reports which digests differ.
func (p *place) compare(r units.Prestart) (config, reload bool) {
	p.t.Helper()
	want, have, err := p.Compare("ui", r)
	if err != nil {
		p.t.Fatal(err)
	}
	return want.Config != have.Config, want.Reloadable != have.Reloadable
}

// TestReload: files that can be read again are written in place and signalled, others wait
// for the next start. After a failure the reload counts as not done.
func TestReload(t *testing.T) {
	p := newPlace(t)
	p.write(reloadable("one", "first"))
	_, before := p.read("ui.conf")
	var done []string
	put := func(f units.PrestartFile, content []byte) error {
		done = append(done, "put "+f.Name+" "+string(content))
		if err := os.Chmod(filepath.Join(p.Dir("ui"), f.Name), 0o600); err != nil { // root could write it without this
			return err
		}
		return durable.Overwrite(p.Dir("ui"), f.Name, content, fs.FileMode(f.Mode))
	}
	var told error
	tell := func() error { done = append(done, "tell"); return told }
	failure := errors.New("it fails")
	next := reloadable("two", "second")
	if config, reload := p.compare(next); !config || !reload {
		t.Errorf("both files changed: %v %v", config, reload)
	}
	for name, broken := range map[string]func() error{
		"put": func() error {
			return p.Reload("ui", next, func(units.PrestartFile, []byte) error { return failure }, tell)
		},
		"tell": func() error {
			told = failure
			defer func() { told = nil }()
			return p.Reload("ui", next, put, tell)
		},
	} {
		if err := broken(); !errors.Is(err, failure) {
			t.Errorf("%s: %v", name, err)
		}
		if _, reload := p.compare(next); !reload {
			t.Errorf("a reload that failed at %s counts as made", name)
		}
	}
	done = nil
	for range 2 {
		if err := p.Reload("ui", next, put, tell); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]string{"put ui.conf two", "tell", "tell"}, done); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if text, after := p.read("ui.conf"); text != "two" || !os.SameFile(before, after) || after.Mode() != 0o400 {
		t.Errorf("%q, %v; the same file: %v", text, after.Mode(), os.SameFile(before, after))
	}
	if text, _ := p.read("once.conf"); text != "first" {
		t.Errorf("what is read at a start only is %q", text)
	}
	if config, reload := p.compare(next); !config || reload {
		t.Errorf("after the reload: %v %v", config, reload)
	}
	p.write(next)
	if config, reload := p.compare(next); config || reload {
		t.Errorf("after a start: %v %v", config, reload)
	}
}

func TestNoValue(t *testing.T) {
	p := newPlace(t)
	delete(p.secrets, "ui.token")
	err := p.Write(t.Context(), "ui", recipe("a\n{{secret \"token\"}}"))
	if err == nil || !strings.HasPrefix(err.Error(), "ui.files/ui.conf:2:3: ") {
		t.Errorf("%v", err)
	}
	if _, _, err := p.Compare("ui", recipe(`{{secret "token"}}`)); err == nil {
		t.Error("it can be told")
	}
}

// TestWatched: changed content differs. A file that is gone does not differ, nor does one
// that reappears with the same content.
func TestWatched(t *testing.T) {
	p := newPlace(t)
	volume := prestart.VolumeDir(p.Volumes, "node.data")
	if err := os.MkdirAll(volume, 0o755); err != nil {
		t.Fatal(err)
	}
	set := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(volume, "cookie"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := units.Prestart{Watch: []units.VolumeFile{{Volume: "node.data", Path: "cookie"}}}
	p.write(r)
	if p.differs(r) {
		t.Error("a file that is not there yet differs")
	}
	set("one")
	if !p.differs(r) {
		t.Error("a file that appeared does not differ")
	}
	p.write(r)
	if err := os.Remove(filepath.Join(volume, "cookie")); err != nil {
		t.Fatal(err)
	}
	if p.differs(r) {
		t.Error("a file that is gone differs")
	}
	set("one")
	if p.differs(r) {
		t.Error("the same content differs")
	}
	set("two")
	if !p.differs(r) {
		t.Error("another content does not differ")
	}
	if err := p.RecordWatched("ui", r); err != nil || p.differs(r) {
		t.Errorf("after a step that waited for it: %v", err)
	}
}

// TestFollowed: a restart of the tracked service differs. A service that is down does not.
func TestFollowed(t *testing.T) {
	p := newPlace(t)
	r := units.Prestart{Follow: []string{"tor"}}
	starts := func(id string, err error) {
		p.Started = func(container string) (string, error) {
			if container != "tor" {
				t.Errorf("asked for %s", container)
			}
			return id, err
		}
	}
	starts("f81f9002e5e94b5a8b2dec753df828e4", nil)
	p.write(r)
	if p.differs(r) {
		t.Error("the same start differs")
	}
	starts("", nil)
	if p.differs(r) {
		t.Error("a service that systemd unloaded differs")
	}
	starts("", errors.New("no answer"))
	if p.differs(r) {
		t.Error("a service that can't be queried differs")
	}
	starts("c35e4f51aa1c4b30b90e4be3ac04d10e", nil)
	if !p.differs(r) {
		t.Error("another start does not differ")
	}
	p.write(r)
	if p.differs(r) {
		t.Error("the recorded start differs")
	}
}

// TestWatchedOddities: no file in place of a watched one leads out of its volume or blocks
// a pass, as reading a FIFO would.
func TestWatchedOddities(t *testing.T) {
	p := newPlace(t)
	volume := prestart.VolumeDir(p.Volumes, "node.data")
	if err := os.MkdirAll(filepath.Join(volume, "directory"), 0o755); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(os.WriteFile(secret, nil, 0o600), os.Symlink(secret, filepath.Join(volume, "link")), syscall.Mkfifo(filepath.Join(volume, "fifo"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "fifo", "directory", "directory/none"} {
		r := units.Prestart{Watch: []units.VolumeFile{{Volume: "node.data", Path: name}}}
		p.write(r)
		if err := os.WriteFile(secret, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if p.differs(r) {
			t.Errorf("%s was read", name)
		}
	}
}

// TestKey: a truncated key would make all digests differ at every pass.
func TestKey(t *testing.T) {
	p := newPlace(t)
	r := recipe("a")
	p.write(r)
	key := filepath.Join(p.State, "keys/config")
	if info, err := os.Stat(key); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.Truncate(key, 3); err != nil {
		t.Fatal(err)
	}
	want := key + " is truncated: remove it; apps with configuration files then restart once"
	_, _, compared := p.Compare("ui", r)
	for _, err := range []error{p.Write(t.Context(), "ui", r), compared, p.RecordWatched("ui", r), p.Reload("ui", r, nil, nil)} {
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if !p.differs(r) {
		t.Error("with another key the digests are the same")
	}
}

// TestDamagedData: the error about damaged template data says how to repair it.
func TestDamagedData(t *testing.T) {
	r := recipe("a")
	r.Data = []byte("{")
	const want = "reading the template data: unexpected end of JSON input; archgen apply rewrites it"
	if err := newPlace(t).Write(t.Context(), "ui", r); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestThisMachine: templates that scale with the machine never get zero.
func TestThisMachine(t *testing.T) {
	if m := prestart.ThisMachine(); m.Memory < 64 || m.Cores < 1 {
		t.Errorf("%+v", m)
	}
}
