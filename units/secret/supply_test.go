package secret_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/secret"
)

// passes locks out passes from Podman's secrets.
type passes struct {
	*podman
	held int
	err  error
}

func (p *passes) Lock(context.Context) (unlock func(), err error) {
	p.held++
	return func() { p.held-- }, p.err
}

// TestSupply: a supplied value reaches the containers of the installed app, with the values
// derived from it. Another missing secret is no error.
func TestSupply(t *testing.T) {
	creds(t, "exit 1")
	list := []units.Secret{{Name: "a.key"}, {Name: "a.mac", From: "a.key", Method: "hmac"}, {Name: "a.other"}}
	for name, c := range map[string]struct {
		list []units.Secret
		want []string
	}{
		"installed":     {list, []string{"a.key", "a.mac"}},
		"not installed": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := newStore(t), &passes{podman: newPodman()}
			if err := s.Supply(t.Context(), p, c.list, "a.key", "hush"); err != nil {
				t.Fatal(err)
			}
			if value, err := s.Get(t.Context(), "a.key"); value != "hush" || err != nil {
				t.Errorf("%q, %v", value, err)
			}
			var got []string
			for _, d := range list {
				if _, err := p.Secret(d.Name); err == nil {
					got = append(got, d.Name)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" || p.held != 0 {
				t.Errorf("passes are held %d times; containers have: -want +got:\n%s", p.held, d)
			}
		})
	}
}

// TestNotSupplied: during a rotation or a pass, a secret keeps its value.
func TestNotSupplied(t *testing.T) {
	creds(t, "exit 1")
	busy := errors.New("a pass is at work")
	list := []units.Secret{{Name: "a.pass", Length: 16, Alphabet: "hex"}}
	s, p := newStore(t), &passes{podman: newPodman()}
	if err := s.Provide(t.Context(), p, list); err != nil {
		t.Fatal(err)
	}
	p.err = busy
	if err := s.Supply(t.Context(), p, list, "a.pass", "hush"); !errors.Is(err, busy) {
		t.Errorf("while a pass is at work: %v", err)
	}
	p.err = nil
	if _, err := s.Begin(t.Context(), list, secret.Request{Name: "a.pass", Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := s.Supply(t.Context(), p, list, "a.pass", "hush"); err == nil || !strings.Contains(err.Error(), "archgen apply continues it") {
		t.Errorf("while it is rotated: %v", err)
	}
	if err := s.Supply(t.Context(), p, nil, "b.pass", "hush"); err != nil {
		t.Errorf("another one: %v", err)
	}
	if value, err := s.Get(t.Context(), "a.pass"); value == "hush" || err != nil {
		t.Errorf("%q, %v", value, err)
	}
}

// TestList: each secret of an app is listed, and each value that no app uses.
func TestList(t *testing.T) {
	creds(t, "exit 1")
	s, p := newStore(t), newPodman()
	app := units.App{ID: "a", Secrets: []units.Secret{
		{Name: "a.pass", Length: 16, Alphabet: "hex"}, {Name: "a.mac", From: "a.pass", Method: "hmac"}, {Name: "a.key"}, {Name: "a.theirs"},
	}}
	if err := s.Provide(t.Context(), p, app.Secrets[:2]); err != nil {
		t.Fatal(err)
	}
	p.values["a.theirs"] = "by hand"
	if err := s.Set(t.Context(), "gone.pass", "hush"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(t.Context(), app.Secrets, secret.Request{Name: "a.pass", Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	got, err := s.List(p, []units.App{app})
	if err != nil {
		t.Fatal(err)
	}
	want := []secret.Entry{
		{Name: "a.key", Kind: secret.Supplied},
		{Name: "a.mac", Kind: secret.Derived, From: "a.pass", IsSet: true, Rotating: true},
		{Name: "a.pass", Kind: secret.Generated, IsSet: true, Rotating: true},
		{Name: "a.theirs", Kind: secret.Supplied, IsSet: true},
		{Name: "gone.pass", IsSet: true},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
