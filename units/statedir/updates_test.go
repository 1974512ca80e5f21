package statedir

import (
	"errors"
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
	base := update.Release{Origin: origin, File: "web.yaml", Manifest: []byte("m")}
	release := update.Release{
		Origin: origin, File: "web.yaml", Manifest: []byte("\xff"), Templates: map[string][]byte{"a": []byte("b")}, Edits: []byte("e"), Base: &base,
	}
	earlier := update.Earlier{Release: release, Left: "x", LeftEdits: []byte("y")}
	journal := &update.Journal{App: "web", State: update.Reverting, From: release, To: release, GrantsBefore: []string{}, IsBlamed: true, Log: []string{"x"}}
	if o, err := s.Origin("web"); o != nil || err != nil {
		t.Errorf("before: %v, %v", o, err)
	}
	if e, err := s.EarlierRelease("web"); e != nil || err != nil {
		t.Errorf("before: %v, %v", e, err)
	}
	for _, err := range []error{
		s.SaveOrigin("web", base), s.SaveOrigin("other", base), s.SaveEarlierRelease("web", &earlier), s.SaveUpdateJournal(journal),
		s.SaveRefused(update.Refused{"d": {App: "web", Origin: origin, Why: "w"}}), s.SaveSeen(update.Seen{"d": s.Now()}),
		s.SaveTags(map[string]update.Tags{"x:1": {Image: "x:1", Newest: "2", Asked: s.Now()}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if apps, err := s.Origins(); err != nil || len(apps) != 2 || !apps["web"] || !apps["other"] {
		t.Errorf("%v, %v", apps, err)
	}
	gotOrigin, err1 := s.Origin("web")
	gotEarlier, err2 := s.EarlierRelease("web")
	gotJournal, err3 := s.UpdateJournal()
	gotRefused, err4 := s.Refused()
	for what, d := range map[string]string{
		"origin": cmp.Diff(&base, gotOrigin), "earlier": cmp.Diff(&earlier, gotEarlier), "journal": cmp.Diff(journal, gotJournal),
		"refused": cmp.Diff(update.Refused{"d": {App: "web", Origin: origin, Why: "w"}}, gotRefused),
		"tags":    cmp.Diff(map[string]update.Tags{"x:1": {Image: "x:1", Newest: "2", Asked: s.Now()}}, s.Tags()),
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

// TestOlderOrigin: an origin of an archgen that recorded no files is one without files.
func TestOlderOrigin(t *testing.T) {
	s := store(t)
	if err := os.MkdirAll(filepath.Join(s.State, originsDir), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(s.State, originsDir, "web.json"), `{"catalog": "archgen", "revision": 2, "version": "1.0", "digest": "d"}`)
	want := &update.Release{Origin: update.Origin{Catalog: "archgen", Revision: 2, Version: "1.0", Digest: "d"}}
	if got, err := s.Origin("web"); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%v, %v", got, err)
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
	put(t, filepath.Join(s.updates(), tagsFile), `[]`)
	put(t, filepath.Join(s.updates(), refusedFile), `null`)
	if _, err := s.UpdateJournal(); err == nil || !strings.Contains(err.Error(), "journal.json is damaged: ") || !strings.Contains(err.Error(), "remove it, then run archgen apply") {
		t.Errorf("%v", err)
	}
	if _, err := s.LockIdleUpdates(t.Context()); err == nil {
		t.Error("a damaged journal can be continued")
	}
	if seen := s.Seen(); seen == nil || len(seen) > 0 {
		t.Errorf("%v", seen)
	}
	if tags := s.Tags(); tags == nil || len(tags) > 0 {
		t.Errorf("%v", tags)
	}
	if r, err := s.Refused(); err != nil || r == nil {
		t.Errorf("%v, %v", r, err)
	}
}

// TestIdleUpdates: an update, or a release on trial, can be continued once no process holds the lock.
func TestIdleUpdates(t *testing.T) {
	s := store(t)
	journal := &update.Journal{App: "web", Began: time.Unix(1, 0).UTC()}
	trial := &update.Journal{App: "web", Trial: &update.Trial{Until: time.Unix(2, 0).UTC()}}
	for what, c := range map[string]struct{ begin, end func() error }{
		"an update": {func() error { return s.SaveUpdateJournal(journal) }, func() error { return s.SaveUpdateJournal(nil) }},
		"a trial":   {func() error { return s.SaveTrial(trial) }, func() error { return s.EndTrial("web") }},
	} {
		if unlock, err := s.LockIdleUpdates(t.Context()); unlock != nil || err != nil {
			t.Errorf("without %s: %v", what, err)
		}
		unlock, err := s.LockUpdates(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.begin(); err != nil {
			t.Fatal(err)
		}
		if unlock, err := s.LockIdleUpdates(t.Context()); unlock != nil || err != nil {
			t.Errorf("%s while a process is at work: %v", what, err)
		}
		unlock()
		if unlock, err = s.LockIdleUpdates(t.Context()); unlock == nil || err != nil {
			t.Fatalf("%s that was left: %v", what, err)
		}
		unlock()
		if err := c.end(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTrials: a trial is read again until it ends, or its app is removed.
func TestTrials(t *testing.T) {
	s := store(t)
	web := &update.Journal{App: "web", State: update.OnTrial, Trial: &update.Trial{Until: time.Unix(2, 0).UTC(), Restarts: map[string]uint32{"app@web.service": 1}}}
	tor := &update.Journal{App: "tor", Trial: &update.Trial{}}
	for _, err := range []error{s.SaveTrial(web), s.SaveTrial(tor), s.EndTrial("never")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Trials()
	if d := cmp.Diff([]*update.Journal{tor, web}, list); d != "" || err != nil {
		t.Errorf("%v; -want +got:\n%s", err, d)
	}
	if err := errors.Join(s.EndTrial("tor"), s.ForgetUpdates([]string{"web"})); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Trials(); len(list) > 0 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
	put(t, filepath.Join(s.trials(), "web.json"), `{"app": `)
	if _, err := s.Trials(); err == nil || !strings.Contains(err.Error(), "remove it to end the trial") {
		t.Errorf("%v", err)
	}
}

// TestKeptSnapshots: the snapshots of an update are kept until they are forgotten.
func TestKeptSnapshots(t *testing.T) {
	s := store(t)
	web := update.Kept{App: "web", From: update.Origin{Version: "1"}, Format: 1, Volumes: []string{"web.data"}, At: time.Unix(1, 0).UTC(), Until: time.Unix(2, 0).UTC()}
	if k, err := s.KeptSnapshot("web"); k != nil || err != nil {
		t.Errorf("before: %v, %v", k, err)
	}
	if err := s.SaveKeptSnapshot(web); err != nil {
		t.Fatal(err)
	}
	list, err := s.KeptSnapshots()
	if d := cmp.Diff([]*update.Kept{&web}, list); d != "" || err != nil {
		t.Errorf("%v; -want +got:\n%s", err, d)
	}
	if unlock, err := s.LockIdleUpdates(t.Context()); unlock == nil || err != nil {
		t.Errorf("nothing removes it: %v", err)
	} else {
		unlock()
	}
	if err := s.ForgetKeptSnapshot("web"); err != nil {
		t.Fatal(err)
	}
	if k, err := s.KeptSnapshot("web"); k != nil || err != nil {
		t.Errorf("afterwards: %v, %v", k, err)
	}
}
