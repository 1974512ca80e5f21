package secret_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/secret"
)

// creds replaces systemd-creds by a script: rot13 is a cipher, after all.
func creds(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "systemd-creds"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

const rot13 = `tr A-Za-z N-ZA-Mn-za-m`

func newStore(t *testing.T) secret.Store {
	t.Helper()
	return secret.Store{Dir: filepath.Join(t.TempDir(), "secrets"), Runtime: t.TempDir()}
}

// podman is the secrets stored in Podman.
type podman struct {
	values map[string]string
	sets   int
}

func (p *podman) Secret(name string) (string, error) {
	if value, ok := p.values[name]; ok {
		return value, nil
	}
	return "", secret.ErrNone
}

func (p *podman) SetSecret(_ context.Context, name, value string) error {
	p.values[name] = value
	p.sets++
	return nil
}

func newPodman() *podman { return &podman{values: map[string]string{}} }

// Stored values are readable by their owner only, and encrypted if possible.
func TestStore(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		plain  bool
	}{
		"encrypted": {script: rot13},
		"plain":     {script: "echo \"unrecognized option '--user'\" >&2; exit 1", plain: true},
	} {
		t.Run(name, func(t *testing.T) {
			creds(t, tt.script)
			s := newStore(t)
			if _, err := s.Get(t.Context(), "a.b"); !errors.Is(err, secret.ErrNone) {
				t.Errorf("before it is set: %v", err)
			}
			for _, value := range []string{"hush", "two\nlines\x00\xff\n", "hush"} {
				if err := s.Set(t.Context(), "a.b", value); err != nil {
					t.Fatal(err)
				}
				if got, err := s.Get(t.Context(), "a.b"); got != value || err != nil {
					t.Errorf("%q, %v, want %q", got, err, value)
				}
			}
			kept, err := os.ReadFile(filepath.Join(s.Dir, "a.b"))
			if err != nil || strings.Contains(string(kept), "hush") != tt.plain {
				t.Errorf("%v, kept: %q", err, kept)
			}
			if open, err := s.Plain(); err != nil || (len(open) == 1) != tt.plain || (s.Sealing(t.Context()) != nil) != tt.plain {
				t.Errorf("not encrypted: %v, %v; %v", open, err, s.Sealing(t.Context()))
			}
			for path, want := range map[string]os.FileMode{s.Dir: 0o700, filepath.Join(s.Dir, "a.b"): 0o600} {
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
					t.Errorf("%s: %v, %v", path, info.Mode(), err)
				}
			}
			if err := s.Remove("a.b"); err != nil || s.Has("a.b") {
				t.Errorf("after it was removed: %v, %v", err, s.Has("a.b"))
			}
		})
	}
}

func TestNothingIsWrittenForTheSameValue(t *testing.T) {
	creds(t, rot13)
	s := newStore(t)
	var before os.FileInfo
	for range 2 {
		if err := s.Set(t.Context(), "a.b", "hush"); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(s.Dir, "a.b"))
		if err != nil || before != nil && !os.SameFile(before, info) {
			t.Errorf("it was written again: %v", err)
		}
		before = info
	}
}

// If the user interrupts the program, no value is stored unencrypted.
func TestCalledOffIsNotPlain(t *testing.T) {
	creds(t, rot13)
	s := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Set(ctx, "a.b", "hush"); !errors.Is(err, context.Canceled) || s.Has("a.b") {
		t.Errorf("error %v, kept %v", err, s.Has("a.b"))
	}
}

func TestWhatIsRefused(t *testing.T) {
	s := newStore(t)
	for _, name := range []string{"", "a", ".b", "a.", "a.b.c", "../a.b", "a/b.c", "A.b", "rotation"} {
		if err := s.Set(t.Context(), name, "x"); err == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
	for _, value := range []string{"", strings.Repeat("x", secret.MaxValue+1)} {
		if err := s.Set(t.Context(), "a.b", value); err == nil {
			t.Errorf("a value of %d bytes is taken", len(value))
		}
	}
	if list, err := s.Names(); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// The secrets of an app, each with another origin.
var wanted = []units.Secret{
	{Name: "a.auth", From: "a.pass", Method: "rpcauth"},
	{Name: "a.hash", From: "a.pass", Method: "bcrypt"},
	{Name: "a.mac", From: "a.pass", Method: "hmac"},
	{Name: "a.text", From: "a.mac", Method: "base64"},
	{Name: "a.pass", Length: 20, Alphabet: "alnum"},
	{Name: "a.key"},
}

// TestCheck: only what the operator has to supply is missing, and nothing is set.
func TestCheck(t *testing.T) {
	creds(t, rot13)
	s, c := newStore(t), newPodman()
	missing, ok := errors.AsType[*secret.MissingError](s.Check(t.Context(), c, wanted))
	if !ok || !slices.Equal(missing.Names, []string{"a.key"}) {
		t.Errorf("%v", missing)
	}
	if names, err := s.Names(); err != nil || len(names) > 0 || len(c.values) > 0 {
		t.Errorf("it has set %v, %v; %v", names, c.values, err)
	}
	if err := s.Set(t.Context(), "a.key", "x"); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context(), c, wanted); err != nil {
		t.Errorf("supplied: %v", err)
	}
	other := newPodman()
	other.values["a.key"] = "by hand"
	if err := newStore(t).Check(t.Context(), other, wanted); err != nil {
		t.Errorf("containers have it: %v", err)
	}
}

// Values that can be generated are generated once, values that the operator has to supply
// are reported, and values that Podman already had are adopted.
func TestProvide(t *testing.T) {
	creds(t, rot13)
	s, c := newStore(t), newPodman()
	err := s.Provide(t.Context(), c, wanted)
	missing, ok := errors.AsType[*secret.MissingError](err)
	if !ok || !slices.Equal(missing.Names, []string{"a.key"}) || !strings.Contains(err.Error(), "archgen secret set a.key") {
		t.Fatalf("error %v, want one that asks for a.key", err)
	}
	c.values["a.key"] = "by hand"
	if err := s.Provide(t.Context(), c, wanted); err != nil {
		t.Fatal(err)
	}
	first := map[string]string{}
	for _, d := range wanted {
		value, err := s.Get(t.Context(), d.Name)
		if err != nil || value == "" || c.values[d.Name] != value {
			t.Errorf("%s: kept %q, Podman has %q, %v", d.Name, value, c.values[d.Name], err)
		}
		first[d.Name] = value
	}
	if first["a.key"] != "by hand" || len(first["a.pass"]) != 20 {
		t.Errorf("%q", first)
	}
	if err := bcrypt.CompareHashAndPassword([]byte(first["a.hash"]), []byte(first["a.pass"])); err != nil {
		t.Error(err)
	}
	// A second time nothing changes. When Podman has lost the values they are set again.
	sets := c.sets
	if err := s.Provide(t.Context(), c, wanted); err != nil || c.sets != sets {
		t.Errorf("%v, handed over again %d times", err, c.sets-sets)
	}
	lost := newPodman()
	if err := s.Provide(t.Context(), lost, wanted); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(first, lost.values); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	// When the password changes, the values derived from it follow and the rest stays.
	if err := s.Set(t.Context(), "a.pass", "another"); err != nil {
		t.Fatal(err)
	}
	if err := s.Provide(t.Context(), c, wanted); err != nil {
		t.Fatal(err)
	}
	for name, before := range first {
		if (c.values[name] == before) != (name == "a.key") {
			t.Errorf("%s: %q, before %q", name, c.values[name], before)
		}
	}
}

func TestACircleIsNoValue(t *testing.T) {
	circle := []units.Secret{{Name: "a.b", From: "a.c", Method: "hmac"}, {Name: "a.c", From: "a.b", Method: "hmac"}}
	if err := newStore(t).Provide(t.Context(), newPodman(), circle); err == nil || !strings.Contains(err.Error(), "from itself") {
		t.Errorf("error %v", err)
	}
}

// All characters are equally likely, and no value looks like an option.
func TestGenerated(t *testing.T) {
	creds(t, "exit 1")
	for alphabet, size := range map[string]int{"alnum": 62, "hex": 16, "url": 64, "base64": 64} {
		t.Run(alphabet, func(t *testing.T) {
			const length = 1024
			count := map[rune]int{}
			for i := range 20 {
				s, name := newStore(t), fmt.Sprintf("a.b%d", i)
				if err := s.Provide(t.Context(), newPodman(), []units.Secret{{Name: name, Length: length, Alphabet: alphabet}}); err != nil {
					t.Fatal(err)
				}
				value, err := s.Get(t.Context(), name)
				if err != nil || len(value) != length || strings.HasPrefix(value, "-") {
					t.Fatalf("%d characters, %v", len(value), err)
				}
				for _, r := range value {
					count[r]++
				}
			}
			if len(count) != size {
				t.Errorf("%d different characters, want %d", len(count), size)
			}
			even := 20 * length / size
			for r, n := range count { // a fair one is this far off once in 10^12 times
				if n < even-8*root(even) || n > even+8*root(even) {
					t.Errorf("%q: %d times, want about %d", r, n, even)
				}
			}
		})
	}
}

func root(n int) int {
	r := 0
	for r*r < n {
		r++
	}
	return r
}

// node is an app that serves its consumers only if they have the same password, and the
// pass that restarts them.
type node struct {
	podman *podman
	runs   map[string]string
	broken string // the value with which the consumer does not serve
	calls  int
	dies   int // the call at which the program is killed; 0 is never
}

type killed struct{}

func (n *node) step() {
	n.calls++
	if n.calls == n.dies {
		panic(killed{})
	}
}

func (n *node) Secret(name string) (string, error) { n.step(); return n.podman.Secret(name) }

func (n *node) SetSecret(ctx context.Context, name, value string) error {
	n.step()
	err := n.podman.SetSecret(ctx, name, value)
	n.step()
	return err
}

func (n *node) Lock(context.Context) (unlock func(), err error) { n.step(); return func() {}, nil }

func (n *node) Serve(context.Context, *secret.Rotation) error {
	for _, app := range []string{"provider", "consumer"} {
		n.step()
		n.runs[app] = n.podman.values["a.pass"] + " " + n.podman.values["a.mac"]
	}
	n.step()
	if n.runs["consumer"] == n.broken {
		return errors.New("it does not serve")
	}
	return nil
}

// do runs a function that may be killed.
func (n *node) do(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil && r != any(killed{}) {
			panic(r)
		}
	}()
	return f()
}

// Killed at any call, a rotation is completed or reverted by the next run: all apps have
// the same value, and no record is left.
func TestRotationSurvivesAKillAtEveryPoint(t *testing.T) {
	creds(t, "exit 1")
	list := []units.Secret{{Name: "a.pass", Length: 16, Alphabet: "hex"}, {Name: "a.mac", From: "a.pass", Method: "hmac"}}
	for _, serves := range []bool{true, false} {
		points := 1
		for dies := 1; dies <= points; dies++ {
			s, n := newStore(t), &node{podman: newPodman(), runs: map[string]string{}}
			if err := s.Provide(t.Context(), n, list); err != nil {
				t.Fatal(err)
			}
			if err := n.Serve(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			old := n.runs["consumer"]
			r, err := s.Begin(t.Context(), list, secret.Request{Name: "a.pass", Value: "new", Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			if !serves {
				n.broken = "new " + macOf(t, list)
			}
			n.calls, n.dies = 0, dies
			_ = n.do(func() error { return s.Complete(t.Context(), n, r) })
			points = max(points, n.calls+1)
			n.dies = 0
			if r, err = s.Rotation(); err != nil {
				t.Fatal(err)
			}
			if r != nil {
				err := s.Complete(t.Context(), n, r)
				if _, reverted := errors.AsType[*secret.RevertedError](err); reverted == serves {
					t.Errorf("killed at %d: %v", dies, err)
				}
			}
			if r, err = s.Rotation(); r != nil || err != nil {
				t.Errorf("killed at %d: left: %v, %v", dies, r, err)
			}
			value, err := s.Get(t.Context(), "a.pass")
			if now := n.runs["consumer"]; err != nil || now != n.runs["provider"] || !strings.HasPrefix(now, value+" ") || (now == old) == serves {
				t.Errorf("killed at %d: kept %q, they run with %q, before %q, %v", dies, value, n.runs, old, err)
			}
		}
		if points < 8 {
			t.Errorf("only %d points", points)
		}
	}
}

// macOf returns the value of a.mac for the new value of a.pass.
func macOf(t *testing.T, list []units.Secret) string {
	t.Helper()
	other, c := newStore(t), newPodman()
	if err := errors.Join(other.Set(t.Context(), "a.pass", "new"), other.Provide(t.Context(), c, list)); err != nil {
		t.Fatal(err)
	}
	return c.values["a.mac"]
}

// A rotation records what was up when it began. One that an older archgen began has no such
// list.
func TestWhatWasUp(t *testing.T) {
	creds(t, "exit 1")
	s, list := newStore(t), []units.Secret{{Name: "a.pass", Length: 16, Alphabet: "hex"}}
	if err := s.Provide(t.Context(), newPodman(), list); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		up   []string
		want map[string]bool
	}{
		"one service": {[]string{"app@a.service"}, map[string]bool{"app@a.service": true, "app@a.db.service": false}},
		"none":        {nil, map[string]bool{"app@a.service": false}},
	} {
		if _, err := s.Begin(t.Context(), list, secret.Request{Name: "a.pass", Up: tt.up, Now: time.Now()}); err != nil {
			t.Fatal(err)
		}
		r, err := s.Rotation()
		if err != nil {
			t.Fatal(err)
		}
		for service, want := range tt.want {
			if got := r.WasUp(service); got != want {
				t.Errorf("%s: %s was up: %v", name, service, got)
			}
		}
	}
	if !(&secret.Rotation{}).WasUp("app@a.service") {
		t.Error("without a list, nothing was up")
	}
}

func TestWhatCannotBeRotated(t *testing.T) {
	creds(t, "exit 1")
	s, c := newStore(t), newPodman()
	c.values["a.key"] = "by hand"
	if err := s.Provide(t.Context(), c, wanted); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ secret, value, want string }{
		"unknown":       {"a.nothing", "", "archgen secret list"},
		"derived":       {"a.mac", "", "rotate a.pass"},
		"supplied":      {"a.key", "", "--from"},
		"the same":      {"a.key", "by hand", "already"},
		"without value": {"b.key", "x", "archgen apply"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Begin(t.Context(), append(slices.Clone(wanted), units.Secret{Name: "b.key"}), secret.Request{Name: tt.secret, Value: tt.value, Now: time.Now()})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "by hand") {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	if r, err := s.Rotation(); r != nil || err != nil {
		t.Errorf("left: %v, %v", r, err)
	}
}
