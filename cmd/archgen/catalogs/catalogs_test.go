package catalogs_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/archipelago-os/archipelago/cmd/archgen/catalogs"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/catalog/index"
	"github.com/archipelago-os/archipelago/units/podman/podmantest"
	"github.com/archipelago-os/archipelago/units/statedir"
)

var alice, bob, mallory = signer("alice"), signer("bob"), signer("mallory")

func signer(seed string) ssh.Signer {
	sum := sha256.Sum256([]byte(seed))
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(sum[:]))
	if err != nil {
		panic(err)
	}
	return s
}

func keysOf(signers ...ssh.Signer) (keys []index.Key) {
	for _, s := range signers {
		key, err := index.ParseKey(string(ssh.MarshalAuthorizedKey(s.PublicKey())))
		if err != nil {
			panic(err)
		}
		keys = append(keys, key)
	}
	return keys
}

func day(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

// machine is catalogs in a temporary directory, on the seventh day.
type machine struct {
	*testing.T
	catalogs.Catalogs
	podmantest.Podman
	root string
	// clock is that of the machine.
	clock time.Time
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{T: t, root: t.TempDir(), clock: day(7)}
	now := func() time.Time { return m.clock }
	m.Catalogs = catalogs.Catalogs{
		Dirs:   []string{filepath.Join(m.root, "config"), filepath.Join(m.root, "usr")},
		Store:  statedir.Store{State: filepath.Join(m.root, "state"), Now: now},
		Podman: m.Podman.Run, Now: now,
	}
	return m
}

// web is the manifest of an app.
func web(version string) string {
	return "app: {id: web, name: Web, version: '" + version + "', container: {image: localhost/web:1, files: [{template: web.conf, target: /web.conf}]}}\n"
}

// files is those of a catalog with one app.
func files(version string) map[string]string {
	return map[string]string{"web.yaml": web(version), "web.files/web.conf": "version " + version + "\n"}
}

// write writes files below a directory.
func (m *machine) write(dir string, files map[string]string) {
	m.Helper()
	for name, text := range files {
		path := filepath.Join(m.root, dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			m.Fatal(err)
		}
	}
}

// indexOf is an index that is issued on the day of its sequence, and good for a hundred days.
func indexOf(sequence int, files map[string]string, keys ...ssh.Signer) *index.Index {
	x := &index.Index{
		Format: 1, Name: "nodes", Sequence: sequence, Issued: day(sequence), Expires: day(sequence + 100), Threshold: 1, Keys: keysOf(keys...),
		Files: map[string]index.Sum{},
	}
	for name, text := range files {
		x.Files[name] = index.SumOf([]byte(text))
	}
	return x
}

// signed is the files of a catalog with its index, signed by the keys.
func signed(x *index.Index, files map[string]string, by ...ssh.Signer) map[string]string {
	text := x.Text()
	all := maps.Clone(files)
	all[index.File] = string(text)
	for _, s := range by {
		signature, err := sshsig.Sign(bytes.NewReader(text), s, sshsig.HashSHA512, index.Namespace)
		if err != nil {
			panic(err)
		}
		all[index.SignatureFile] += string(sshsig.Armor(signature))
	}
	return all
}

// publish replaces the directory source by a release that alice has signed.
func (m *machine) publish(sequence int, version string) {
	m.Helper()
	if err := os.RemoveAll(filepath.Join(m.root, "source")); err != nil {
		m.Fatal(err)
	}
	m.write("source", signed(indexOf(sequence, files(version), alice), files(version), alice))
}

func (m *machine) config(source string, keys ...ssh.Signer) catalogs.Config {
	return catalogs.Config{Name: "nodes", Settings: catalogs.Settings{Source: source, Keys: keysOf(keys...), Threshold: 1}}
}

func (m *machine) dir() string { return "dir:" + filepath.Join(m.root, "source") }

// added is a machine that trusts alice and has read release 5, version 1.
func added(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.publish(5, "1")
	if _, err := m.Add(t.Context(), m.config(m.dir(), alice)); err != nil {
		t.Fatal(err)
	}
	return m
}

// version is that of the app in the catalog as it can be installed, with the content of its
// template.
func (m *machine) version() (version, template string) {
	m.Helper()
	remotes, diags := m.Remotes()
	if len(diags) > 0 || len(remotes) > 1 {
		m.Fatal(remotes, diags)
	}
	entries, diags, err := catalog.Entries(nil, remotes...)
	if err != nil || len(diags) > 0 {
		m.Fatal(diags, err)
	}
	e, err := catalog.Find(entries, "nodes/web")
	if err != nil {
		return "", err.Error()
	}
	return e.Version, string(e.Templates["web.conf"])
}

// state is all files below the state directory but the lock.
func (m *machine) state() map[string]string {
	m.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(m.Store.State, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ".lock" {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.Fatal(err)
	}
	return all
}

func reasonOf(err error) index.Reason {
	if refused, ok := errors.AsType[*index.RefusedError](err); ok {
		return refused.Reason
	}
	if err != nil {
		return index.Reason(err.Error())
	}
	return ""
}

// TestRefresh: the next release replaces the one before, files and state in one step.
func TestRefresh(t *testing.T) {
	t.Parallel()
	m := added(t)
	if version, template := m.version(); version != "1" || template != "version 1\n" {
		t.Errorf("added: %q, %q", version, template)
	}
	st, err := m.Refresh(t.Context(), "nodes")
	if err != nil || st.IsChanged {
		t.Errorf("refreshed without a change: %+v, %v", st, err)
	}
	m.publish(6, "2")
	st, err = m.Refresh(t.Context(), "nodes")
	want := catalogs.Status{
		Name: "nodes", Source: m.dir(), State: catalogs.Good, Apps: 1, Sequence: 6, Read: day(7), Issued: day(6), Expires: day(106),
		Keys: []string{string(keysOf(alice)[0])}, Threshold: 1, IsChanged: true,
	}
	if d := cmp.Diff(want, st); err != nil || d != "" {
		t.Errorf("%v -want +got:\n%s", err, d)
	}
	if version, template := m.version(); version != "2" || template != "version 2\n" {
		t.Errorf("refreshed: %q, %q", version, template)
	}
	want.IsChanged = false
	if list, diags := m.List(); len(diags) > 0 || cmp.Diff([]catalogs.Status{want}, list) != "" {
		t.Errorf("listed: %v, %v", list, diags)
	}
	if left, err := os.ReadDir(filepath.Join(m.Store.State, "catalogs/nodes")); err != nil || len(left) != 1 {
		t.Errorf("old content stays: %v, %v", left, err)
	}
}

// TestAttacks: what is not what the author signed is refused as a whole, with a reason, and what
// was accepted before stays as it is.
func TestAttacks(t *testing.T) {
	t.Parallel()
	elsewhere := func(m *machine, name string) string {
		m.write("elsewhere", map[string]string{"secret": web("2"), "web.conf": "version 2\n"})
		return filepath.Join(m.root, "elsewhere", name)
	}
	two := files("2")
	with := func(name, text string) map[string]string {
		all := files("2")
		all[name] = text
		return all
	}
	for name, c := range map[string]struct {
		// release is the files of the source, release 6 with version 2 as alice signed it if nil.
		release map[string]string
		change  func(m *machine, source string) error
		clock   time.Time
		want    index.Reason
	}{
		"a changed byte of a manifest": {
			change: func(_ *machine, source string) error {
				return os.WriteFile(filepath.Join(source, "web.yaml"), []byte(web("3")), 0o600)
			}, want: index.FileDiffers,
		},
		"a changed byte of the index": {
			release: func() map[string]string {
				all := signed(indexOf(6, two, alice), two, alice)
				all[index.File] = strings.Replace(all[index.File], "threshold = 1", "threshold = 1 ", 1)
				return all
			}(), want: index.Changed,
		},
		"a file and its checksum changed": {
			release: func() map[string]string {
				all := with("web.yaml", web("3"))
				was := signed(indexOf(6, two, alice), two, alice)
				all[index.File], all[index.SignatureFile] = string(indexOf(6, all, alice).Text()), was[index.SignatureFile]
				return all
			}(), want: index.Changed,
		},
		"an older index":         {release: signed(indexOf(4, two, alice), two, alice), want: index.Older},
		"the sequence again":     {release: signed(indexOf(5, two, alice), two, alice), want: index.Forked},
		"an expired index":       {clock: day(106), want: index.Stale},
		"a clock years ahead":    {clock: day(7).AddDate(30, 0, 0), want: index.Stale},
		"another key":            {release: signed(indexOf(6, two, mallory), two, mallory), want: index.UnknownKey},
		"keys taken over":        {release: signed(indexOf(6, two, alice, mallory), two, mallory), want: index.UnknownKey},
		"keys not signed by new": {release: signed(indexOf(6, two, bob), two, alice), want: index.Rotation},
		"no signature":           {change: func(_ *machine, source string) error { return os.Remove(filepath.Join(source, index.SignatureFile)) }, want: index.Unsigned},
		"no index":               {change: func(_ *machine, source string) error { return os.Remove(filepath.Join(source, index.File)) }, want: index.Unsigned},
		"a missing file":         {change: func(_ *machine, source string) error { return os.Remove(filepath.Join(source, "web.files/web.conf")) }, want: index.FileMissing},
		"a path that leads out":  {release: signed(indexOf(6, map[string]string{"../elsewhere/secret": web("2")}, alice), two, alice), want: index.Malformed},
		"an absolute path":       {release: signed(indexOf(6, map[string]string{"/etc/hostname": web("2")}, alice), two, alice), want: index.Malformed},
		"a manifest that is a link": {change: func(m *machine, source string) error {
			return relink(elsewhere(m, "secret"), filepath.Join(source, "web.yaml"))
		}, want: index.FileOdd},
		"a directory that is a link": {
			change: func(m *machine, source string) error {
				return relink(filepath.Dir(elsewhere(m, "secret")), filepath.Join(source, "web.files"))
			}, want: index.FileOdd,
		},
		"a link within the directory": {
			change: func(_ *machine, source string) error {
				path := filepath.Join(source, "web.yaml")
				return errors.Join(os.Rename(path, path+".real"), os.Symlink("web.yaml.real", path))
			}, want: index.FileOdd,
		},
		"a directory that is a link within it": {
			change: func(_ *machine, source string) error {
				path := filepath.Join(source, "web.files")
				return errors.Join(os.Rename(path, path+".real"), os.Symlink("web.files.real", path))
			}, want: index.FileOdd,
		},
		"a FIFO": {
			change: func(_ *machine, source string) error {
				path := filepath.Join(source, "web.yaml")
				return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600))
			}, want: index.FileOdd,
		},
		"a huge file":  {release: signed(indexOf(6, with("web.files/x", strings.Repeat("x", index.MaxFileSize+1)), alice), with("web.files/x", strings.Repeat("x", index.MaxFileSize+1)), alice), want: index.FileOdd},
		"a huge index": {release: with(index.File, strings.Repeat("x", index.MaxFileSize+1)), want: index.Unsigned},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := added(t)
			before := m.state()
			if c.release == nil {
				c.release = signed(indexOf(6, two, alice), two, alice)
			}
			source := filepath.Join(m.root, "source")
			if err := os.RemoveAll(source); err != nil {
				t.Fatal(err)
			}
			m.write("source", c.release)
			if c.change != nil {
				if err := c.change(m, source); err != nil {
					t.Fatal(err)
				}
			}
			if !c.clock.IsZero() {
				m.clock = c.clock
			}
			_, err := m.Refresh(t.Context(), "nodes")
			if reason := reasonOf(err); reason != c.want {
				t.Errorf("%q, want %q: %v", reason, c.want, err)
			}
			if d := cmp.Diff(before, m.state()); d != "" {
				t.Errorf("what was accepted before changed: -before +after:\n%s", d)
			}
			if version, _ := m.version(); version != "1" {
				t.Errorf("version %q can be installed", version)
			}
		})
	}
}

func relink(target, path string) error {
	return errors.Join(os.RemoveAll(path), os.Symlink(target, path))
}

// TestUnlisted: a file that the index does not list is no part of the catalog.
func TestUnlisted(t *testing.T) {
	t.Parallel()
	m := added(t)
	m.publish(6, "2")
	m.write("source", map[string]string{"evil.yaml": strings.ReplaceAll(web("9"), "web", "evil"), "web.files/more.conf": "x"})
	if _, err := m.Refresh(t.Context(), "nodes"); err != nil {
		t.Fatal(err)
	}
	for path := range m.state() {
		if strings.Contains(path, "evil") || strings.Contains(path, "more.conf") {
			t.Errorf("%s was taken", path)
		}
	}
}

// TestKeysRotate: what is trusted is in the state, and not in the file of the catalog any more.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	m := added(t)
	for sequence, c := range []struct {
		keys, by []ssh.Signer
		want     index.Reason
	}{
		{[]ssh.Signer{bob}, []ssh.Signer{alice, bob}, ""},
		{[]ssh.Signer{bob}, []ssh.Signer{bob}, ""},
		{[]ssh.Signer{alice}, []ssh.Signer{alice}, index.UnknownKey},
	} {
		m.write("source", signed(indexOf(6+sequence, files("2"), c.keys...), files("2"), c.by...))
		_, err := m.Refresh(t.Context(), "nodes")
		if reason := reasonOf(err); reason != c.want {
			t.Errorf("release %d: %q, want %q: %v", 6+sequence, reason, c.want, err)
		}
	}
}

// TestClock: a clock that was reset takes no expired catalog for a good one.
func TestClock(t *testing.T) {
	t.Parallel()
	m := added(t)
	state := func(clock time.Time) catalogs.State {
		m.clock = clock
		list, _ := m.List()
		remotes, _ := m.Remotes()
		if remotes[0].IsStale != (list[0].State == catalogs.Stale) {
			t.Errorf("on %v the list says %s, the catalog %v", clock, list[0].State, remotes[0].IsStale)
		}
		return list[0].State
	}
	for _, c := range []struct {
		clock time.Time
		want  catalogs.State
	}{{day(7), catalogs.Good}, {day(105).Add(-time.Second), catalogs.Good}, {day(105), catalogs.Stale}, {time.Unix(0, 0), catalogs.Good}} {
		if got := state(c.clock); got != c.want {
			t.Errorf("on %v it is %s, want %s", c.clock, got, c.want)
		}
	}
	m.clock = day(7)
	x := indexOf(6, files("2"), alice)
	x.Issued, x.Expires = day(200), day(300)
	m.write("source", signed(x, files("2"), alice))
	if _, err := m.Refresh(t.Context(), "nodes"); err != nil {
		t.Fatal(err)
	}
	if known, err := m.Store.Catalog("nodes"); err != nil || !known.Newest.Equal(day(200)) {
		t.Errorf("%+v, %v", known, err)
	}
	x = indexOf(7, files("2"), alice) // it expired before release 6 was issued
	m.write("source", signed(x, files("2"), alice))
	if _, err := m.Refresh(t.Context(), "nodes"); reasonOf(err) != index.Stale {
		t.Errorf("%v", err)
	}
}

// TestWhatTheIndexSays: what the author says of apps arrives at the list of them.
func TestWhatTheIndexSays(t *testing.T) {
	t.Parallel()
	m := added(t)
	x := indexOf(6, files("2"), alice)
	x.Apps = map[string]index.App{"web": {Withdrawn: "it loses data", Security: 4, Rollout: manifests.Duration(time.Hour)}}
	m.write("source", signed(x, files("2"), alice))
	if _, err := m.Refresh(t.Context(), "nodes"); err != nil {
		t.Fatal(err)
	}
	remotes, _ := m.Remotes()
	if r := remotes[0]; r.Withdrawn["web"] != "it loses data" || r.Security["web"] != 4 || r.Rollout["web"] != time.Hour {
		t.Errorf("%+v", r)
	}
}

// TestOwnDirectory: without keys a directory is taken as it is.
func TestOwnDirectory(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("source", files("1"))
	m.write("source", map[string]string{"README.md": "x", "drafts/web.yaml": "x", "web.d/grants.toml": "allow = ['privileged']"})
	st, err := m.Add(t.Context(), m.config(m.dir()))
	if err != nil || st.State != catalogs.Own || st.Apps != 1 || st.Sequence != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	m.write("source", files("2"))
	if version, _ := m.version(); version != "1" {
		t.Errorf("version %s before it is refreshed", version)
	}
	if st, err := m.Refresh(t.Context(), "nodes"); err != nil || !st.IsChanged {
		t.Errorf("%+v, %v", st, err)
	}
	if version, template := m.version(); version != "2" || template != "version 2\n" {
		t.Errorf("%s, %s", version, template)
	}
	for path := range m.state() {
		if strings.Contains(path, "README") || strings.Contains(path, "grants") || strings.Contains(path, "drafts") {
			t.Errorf("%s was taken", path)
		}
	}
}

// TestAddRefuses: nothing stays of a catalog that can't be added.
func TestAddRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*catalogs.Config)
		want   string
	}{
		"a name that is a path":    {func(c *catalogs.Config) { c.Name = "../x" }, `a catalog can't be called "../x"`},
		"archgen's own name":       {func(c *catalogs.Config) { c.Name = "archipelago" }, "archipelago is archgen's own catalog"},
		"another name":             {func(c *catalogs.Config) { c.Name = "apps" }, "it is the index of the catalog nodes (other-name)"},
		"another kind of source":   {func(c *catalogs.Config) { c.Source = "https://example.org" }, "write oci:IMAGE or dir:PATH"},
		"an image without a key":   {func(c *catalogs.Config) { c.Source, c.Keys = "oci:localhost/x:1", nil }, "can be anything without a key"},
		"an image that is a flag":  {func(c *catalogs.Config) { c.Source = "oci:--all" }, `"--all" is not the reference of an image`},
		"a relative path":          {func(c *catalogs.Config) { c.Source = "dir:x" }, `"x" is not a clean absolute path`},
		"a missing directory":      {func(c *catalogs.Config) { c.Source = "dir:/nowhere" }, "/nowhere can't be read"},
		"more keys than there are": {func(c *catalogs.Config) { c.Threshold = 2 }, "threshold is 2, and there are 1 keys"},
		"a key of another":         {func(c *catalogs.Config) { c.Keys = keysOf(mallory) }, "(unknown-key)"},
	} {
		m := newMachine(t)
		m.publish(5, "1")
		config := m.config(m.dir(), alice)
		c.change(&config)
		_, err := m.Add(t.Context(), config)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if state := m.state(); len(state) > 0 {
			t.Errorf("%s: %v stays", name, slices.Sorted(maps.Keys(state)))
		}
		if _, err := os.Stat(m.Dirs[0]); err == nil {
			t.Errorf("%s: it is configured", name)
		}
	}
	m := added(t)
	if _, err := m.Add(t.Context(), m.config(m.dir(), alice)); err == nil || !strings.Contains(err.Error(), "there is a catalog nodes already") {
		t.Errorf("a second time: %v", err)
	}
}

// TestRemove: a catalog goes with all that is known of it; one that the system ships is masked.
func TestRemove(t *testing.T) {
	t.Parallel()
	m := added(t)
	if err := m.Remove(t.Context(), "nodes"); err != nil || len(m.state()) > 0 {
		t.Errorf("%v stays, %v", m.state(), err)
	}
	if err := m.Remove(t.Context(), "nodes"); err == nil || !strings.Contains(err.Error(), `there is no catalog "nodes"`) {
		t.Errorf("again: %v", err)
	}
	m.write("usr", map[string]string{"nodes.toml": "source = '" + m.dir() + "'\n"})
	if list, diags := m.List(); len(list) != 1 || list[0].State != catalogs.Unread || len(diags) > 0 {
		t.Errorf("shipped: %v, %v", list, diags)
	}
	if err := m.Remove(t.Context(), "nodes"); err != nil {
		t.Error(err)
	}
	if list, _ := m.List(); len(list) > 0 {
		t.Errorf("masked: %v", list)
	}
	if _, err := os.Stat(filepath.Join(m.root, "usr/nodes.toml")); err != nil {
		t.Error(err)
	}
}

// TestConfigs: a file with an error is reported, and hides no other.
func TestConfigs(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("usr", map[string]string{"nodes.toml": "source = 'dir:/usr'\n", "apps.toml": "source = 'dir:/apps'\nallow = ['use']\n"})
	m.write("config", map[string]string{
		"nodes.toml": "source = 'dir:/own'\n", "typo.toml": "sauce = 'dir:/x'\n", "kind.toml": "source = 'x'\n",
		"key.toml": "source = 'dir:/x'\nkeys = ['x']\n", "right.toml": "source = 'dir:/x'\nallow = ['everything']\n",
	})
	configs, diags := m.Configs()
	got := map[string]string{}
	for _, c := range configs {
		got[c.Name] = fmt.Sprint(c.Source, c.Allow)
	}
	if d := cmp.Diff(map[string]string{"nodes": "dir:/own[]", "apps": "dir:/apps[use]"}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	var all strings.Builder
	for _, d := range diags {
		all.WriteString(d.String() + "\n")
	}
	for _, want := range []string{
		`config/typo.toml:1:1: error: the file has no key "sauce"`, `config/kind.toml: error: "x" is no source: write oci:IMAGE or dir:PATH`,
		`config/key.toml:2:9: error: keys[0] is not understood`, `config/right.toml: error: "everything" is no right`,
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, all.String())
		}
	}
	if _, err := m.Refresh(context.Background(), "typo"); err == nil || !strings.Contains(err.Error(), "the catalog typo can't be used") {
		t.Errorf("refreshing one with an error: %v", err)
	}
}

// TestDamagedState: without the sequence that was accepted, an old index could be taken for a new
// one.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	for _, junk := range []string{"", "{", "null", `{"content": "../x"}`} {
		m := added(t)
		m.write("state/catalogs", map[string]string{"nodes.json": junk})
		if _, err := m.Refresh(t.Context(), "nodes"); err == nil || !strings.Contains(err.Error(), "nodes.json is damaged") {
			t.Errorf("of %q: %v", junk, err)
		}
		if _, diags := m.Remotes(); len(diags) != 1 {
			t.Errorf("of %q: %v", junk, diags)
		}
		if err := m.Remove(t.Context(), "nodes"); err != nil {
			t.Error(err)
		}
	}
}

// TestWithoutHome: no file is read or written where no directory is known.
func TestWithoutHome(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.publish(5, "1")
	m.write("usr", map[string]string{"nodes.toml": "source = '" + m.dir() + "'\n"})
	m.Store.State = ""
	_, added := m.Add(t.Context(), catalogs.Config{Name: "apps", Settings: catalogs.Settings{Source: m.dir(), Threshold: 1}})
	_, refreshed := m.Refresh(t.Context(), "nodes")
	_, listed := m.List()
	remotes, diags := m.Remotes()
	for _, got := range []string{fmt.Sprint(added), fmt.Sprint(refreshed), fmt.Sprint(m.Remove(t.Context(), "nodes")), fmt.Sprint(listed), fmt.Sprint(diags)} {
		if !strings.Contains(got, "HOME is not set") || len(remotes) > 0 {
			t.Errorf("%s, %v", got, remotes)
		}
	}
}

// TestNewConfig: a relative directory is one of the current directory, and each key has to be one.
func TestNewConfig(t *testing.T) {
	t.Parallel()
	key := string(ssh.MarshalAuthorizedKey(alice.PublicKey()))
	c, err := catalogs.NewConfig("nodes", "dir:nodes", []string{key}, 1)
	here, _ := filepath.Abs("nodes")
	if err != nil || c.Source != "dir:"+here || !slices.Equal(c.Keys, keysOf(alice)) {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = catalogs.NewConfig("nodes", "oci:localhost/nodes:1", []string{key, "ssh-rsa"}, 1)
	if refused, isKey := errors.AsType[*catalogs.KeyError](err); !isKey || refused.Text != "ssh-rsa" {
		t.Errorf("%v", err)
	}
}

// TestRefreshAll: a catalog that is refused does not keep the others from being read.
func TestRefreshAll(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for name, text := range map[string]string{"gone": "source = \"dir:/no/such\"\n", "mine": "source = \"dir:" + m.root + "/mine\"\n", "odd": "sauce = 1\n"} {
		file := filepath.Join(m.root, "usr", name+".toml")
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	site := filepath.Join(m.root, "mine/site.yaml")
	if err := errors.Join(os.Mkdir(filepath.Dir(site), 0o755), os.WriteFile(site, []byte("app: {id: site, name: Site, version: 1.0.0, container: {image: localhost/site:1}}\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	var read []string
	accepted, err := m.RefreshAll(t.Context(), nil, func(st catalogs.Status) { read = append(read, st.Name) })
	if accepted != 1 || !slices.Equal(read, []string{"mine"}) || err == nil {
		t.Fatalf("%d, %q, %v", accepted, read, err)
	}
	for _, text := range []string{"the catalog gone is refused: ", "odd.toml:1:"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("no %q in %v", text, err)
		}
	}
}

// TestPublicKey: the public key is beside the private one, or in the file itself.
func TestPublicKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	public := ssh.MarshalAuthorizedKey(alice.PublicKey())
	for name, text := range map[string][]byte{"beside": nil, "beside.pub": public, "itself": public, "neither": nil} {
		if err := os.WriteFile(file(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"beside": "", "itself": "", "neither": "holds no public key", "missing": "can't be read: "} {
		key, err := catalogs.PublicKey(file(name))
		if want == "" && (err != nil || key != keysOf(alice)[0]) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
}
