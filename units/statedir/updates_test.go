package statedir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/update"
)

// TestUpdates: what is stored about releases is read again, and forgotten with its app.
func TestUpdates(t *testing.T) {
	s := store(t)
	origin := update.Origin{Catalog: "archgen", Revision: 2, Version: "1.0", Digest: "d"}
	release := update.Release{Origin: origin, File: "web.yaml", Manifest: []byte("\xff"), Templates: map[string][]byte{"a": []byte("b")}}
	journal := &update.Journal{App: "web", State: update.Reverting, From: release, To: release, GrantsBefore: []string{}, IsBlamed: true, Log: []string{"x"}}
	if o, err := s.Origin("web"); o != nil || err != nil {
		t.Errorf("before: %v, %v", o, err)
	}
	if e, err := s.EarlierRelease("web"); e != nil || err != nil {
		t.Errorf("before: %v, %v", e, err)
	}
	for _, err := range []error{
		s.SaveOrigin("web", origin), s.SaveOrigin("other", origin), s.SaveEarlierRelease("web", &release), s.SaveUpdateJournal(journal),
		s.SaveRefused(update.Refused{"d": {App: "web", Origin: origin, Why: "w"}}), s.SaveSeen(update.Seen{"d": s.Now()}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	gotOrigin, err1 := s.Origin("web")
	gotEarlier, err2 := s.EarlierRelease("web")
	gotJournal, err3 := s.UpdateJournal()
	gotRefused, err4 := s.Refused()
	for what, d := range map[string]string{
		"origin": cmp.Diff(&origin, gotOrigin), "earlier": cmp.Diff(&release, gotEarlier), "journal": cmp.Diff(journal, gotJournal),
		"refused": cmp.Diff(update.Refused{"d": {App: "web", Origin: origin, Why: "w"}}, gotRefused),
		"seen":    cmp.Diff(update.Seen{"d": s.Now()}, s.Seen()),
	} {
		if d != "" {
			t.Errorf("%s: -want +got:\n%s", what, d)
		}
	}
	for _, err := range []error{err1, err2, err3, err4, s.ForgetUpdates([]string{"web", "never"}), s.SaveUpdateJournal(nil)} {
		if err != nil {
			t.Error(err)
		}
	}
	if o, _ := s.Origin("web"); o != nil {
		t.Errorf("the origin is left: %v", o)
	}
	if e, _ := s.EarlierRelease("web"); e != nil {
		t.Errorf("the earlier release is left: %v", e)
	}
	if j, _ := s.UpdateJournal(); j != nil {
		t.Errorf("the journal is left: %v", j)
	}
	if o, _ := s.Origin("other"); o == nil {
		t.Error("the origin of another app is gone")
	}
}

// TestDamagedUpdates: a damaged journal is an error that says what to do. When a release was first seen
// is no matter for an error.
func TestDamagedUpdates(t *testing.T) {
	s := store(t)
	if err := os.MkdirAll(s.updates(), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(s.updates(), journalFile), `{"app": `)
	put(t, filepath.Join(s.updates(), seenFile), `[`)
	put(t, filepath.Join(s.updates(), refusedFile), `null`)
	if _, err := s.UpdateJournal(); err == nil || !strings.Contains(err.Error(), "journal.json is damaged: ") || !strings.Contains(err.Error(), "remove it, then run archgen apply") {
		t.Errorf("%v", err)
	}
	if _, _, err := s.AbandonedUpdate(t.Context()); err == nil {
		t.Error("a damaged journal was abandoned")
	}
	if seen := s.Seen(); seen == nil || len(seen) > 0 {
		t.Errorf("%v", seen)
	}
	if r, err := s.Refused(); err != nil || r == nil {
		t.Errorf("%v, %v", r, err)
	}
}

// TestAbandonedUpdate: an update is abandoned once its process no longer holds the lock.
func TestAbandonedUpdate(t *testing.T) {
	s := store(t)
	if j, _, err := s.AbandonedUpdate(t.Context()); j != nil || err != nil {
		t.Errorf("without a journal: %v, %v", j, err)
	}
	unlock, err := s.LockUpdates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SaveUpdateJournal(&update.Journal{App: "web", Began: time.Unix(1, 0).UTC()}); err != nil {
		t.Fatal(err)
	}
	if j, _, err := s.AbandonedUpdate(t.Context()); j != nil || err != nil {
		t.Errorf("while it is under way: %v, %v", j, err)
	}
	unlock()
	j, unlock, err := s.AbandonedUpdate(t.Context())
	if err != nil || j == nil || j.App != "web" {
		t.Fatalf("%v, %v", j, err)
	}
	if j, _, err := s.AbandonedUpdate(t.Context()); j != nil || err != nil {
		t.Errorf("while another process completes it: %v, %v", j, err)
	}
	unlock()
}
