package secret_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/secret"
)

// TestAbandoned: another process resumes a rotation only once none is at work on it, and
// only one process does so at a time.
func TestAbandoned(t *testing.T) {
	creds(t, "exit 1")
	s, list := newStore(t), []units.Secret{{Name: "a.pass", Length: 16, Alphabet: "hex"}}
	s.Runtime = filepath.Join(t.TempDir(), "run")
	if err := s.Provide(t.Context(), newPodman(), list); err != nil {
		t.Fatal(err)
	}
	if r, _, err := s.Abandoned(t.Context()); r != nil || err != nil {
		t.Errorf("without one: %v, %v", r, err)
	}
	release, err := s.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(t.Context(), list, secret.Request{Name: "a.pass", Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if r, _, err := s.Abandoned(t.Context()); r != nil || err != nil {
		t.Errorf("while another process is at work: %v, %v", r, err)
	}
	release()
	r, release, err := s.Abandoned(t.Context())
	if r == nil || err != nil || r.Name != "a.pass" {
		t.Fatalf("%v, %v", r, err)
	}
	if other, _, err := s.Abandoned(t.Context()); other != nil || err != nil {
		t.Errorf("twice: %v, %v", other, err)
	}
	release()
}
