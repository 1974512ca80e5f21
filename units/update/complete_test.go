package update

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// errKilled ends a call of a run that is killed, before or after its effect.
var errKilled = errors.New("killed")

// machine is a machine on which an app serves with some releases.
type machine struct {
	journal   *Journal
	installed Release
	grants    []string
	// verdicts is what a pass says, by manifest.
	verdicts map[string]Verdict
	// during is called in each pass.
	during func(*machine)
	// accepted and refused are the versions that were recorded.
	accepted, refused string
	log               []string
	// data is that of the app, snapshot its copy, units the release of the unit files. blocked: no release
	// can start. full: a snapshot can't be taken.
	data, snapshot, units string
	blocked, full         bool
	// trial is when the trial of a release ends.
	trial time.Time
	// isOneWay: the earlier release can't read converted data.
	isOneWay bool
	cancel   func()

	// calls counts the calls; the run is killed at the one that kill names, before its effect if early.
	calls, kill int
	isEarly     bool
}

func (m *machine) call(name string, do func()) error {
	m.calls++
	if m.calls == m.kill && m.isEarly {
		return errKilled
	}
	m.log = append(m.log, name)
	do()
	if m.calls == m.kill {
		return errKilled
	}
	return nil
}

func (m *machine) Keep(j *Journal) error {
	kept := *j
	return m.call("keep "+string(j.State), func() { m.journal = &kept })
}

func (m *machine) Drop() error { return m.call("drop", func() { m.journal = nil }) }

func (m *machine) Installed(string) (Release, error) { return m.installed, m.call("read", func() {}) }

func (m *machine) Install(_ string, r Release, grants []string) error {
	return m.call("install "+r.Version, func() {
		m.installed = r
		if grants != nil {
			m.grants = grants
		}
	})
}

func (m *machine) Serve(context.Context, *Journal) (Verdict, error) {
	v := m.verdicts[string(m.installed.Manifest)]
	err := m.call("serve "+m.installed.Version, func() {
		if m.during != nil {
			m.during(m)
		}
		if m.units = m.installed.Version; !m.blocked && v.Kind != Unavailable {
			m.data = "converted by " + m.units
		}
	})
	return v, err
}

func (m *machine) Save(_ context.Context, j *Journal) error {
	err := m.call("save", func() { m.snapshot = m.data })
	if err != nil {
		m.cancel() // an error says that there can't be a snapshot; this is a kill
		return err
	}
	if m.full {
		return errors.New("no room")
	}
	j.Saved = map[string]json.RawMessage{"web.data": json.RawMessage(`{}`)}
	return nil
}

func (m *machine) Try(context.Context, *Journal) (time.Time, error) {
	return m.trial, m.call("try", func() {})
}

func (m *machine) Shelve(context.Context, *Journal) error { return m.call("shelve", func() {}) }

func (m *machine) Withdraw(*Journal) error { return m.call("withdraw", func() { m.accepted = "" }) }

func (m *machine) Start(context.Context, *Journal) error { return m.call("start", func() {}) }

func (m *machine) HasConverted(*Journal) (bool, error) {
	return m.isOneWay && m.data == "converted by 2", nil
}

func (m *machine) Restore(context.Context, *Journal) error {
	return m.call("restore", func() { m.blocked, m.data = true, m.snapshot })
}

func (m *machine) Write(context.Context, *Journal) error {
	return m.call("write", func() { m.units = m.installed.Version })
}

func (m *machine) Release(*Journal) error {
	return m.call("release", func() {
		if m.blocked && m.units != m.installed.Version {
			m.log = append(m.log, "RELEASED WITH OTHER UNIT FILES")
		}
		m.blocked = false
	})
}

func (m *machine) Forget(context.Context, *Journal) {}

func (m *machine) Accept(j *Journal) error {
	return m.call("accept", func() { m.accepted = j.To.Version })
}

func (m *machine) Refuse(j *Journal) error {
	return m.call("refuse", func() { m.refused = j.To.Version })
}

// release is a release with a template that all releases have.
func release(version string) Release {
	r := Release{
		Origin: Origin{Catalog: "archgen", Version: version}, File: "web.yaml", Manifest: []byte("manifest " + version),
		Templates: map[string][]byte{"a.conf": []byte("a " + version)},
	}
	r.Digest = r.Sum()
	return r
}

// begun is a machine on which an update has begun.
func begun(verdicts map[string]Verdict) *machine {
	j := &Journal{App: "web", State: Applying, From: release("1"), To: release("2"), Grants: []string{"onion", "use"}, GrantsBefore: []string{"use"}}
	return &machine{journal: j, installed: j.From, grants: []string{"use"}, verdicts: verdicts}
}

var (
	serves = map[string]Verdict{}
	crash  = map[string]Verdict{"manifest 2": {Kind: Fails, Why: "it crashed", Log: []string{"last words"}}}
	both   = map[string]Verdict{"manifest 1": {Kind: Fails, Why: "it is broken"}, "manifest 2": {Kind: Fails, Why: "it crashed"}}
	lacks  = map[string]Verdict{"manifest 2": {Kind: Unavailable, Why: "no image"}}
	slow   = map[string]Verdict{"manifest 2": {Kind: Undecided, Why: "it still starts"}}
	halted = map[string]Verdict{"manifest 2": {Kind: Halted}}
)

func TestComplete(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		verdicts map[string]Verdict
		change   func(*machine)
		want     []string
		outcome  Outcome
		text     string
		// version is the one that is installed in the end.
		version, refused string
	}{
		"it serves": {
			verdicts: serves, want: []string{"read", "install 2", "serve 2", "read", "keep serving", "accept", "try", "shelve", "drop"},
			outcome: Updated, text: "2 serves", version: "2",
		},
		"it crashes": {
			verdicts: crash, want: []string{"read", "install 2", "serve 2", "read", "keep reverting", "refuse", "read", "install 1", "serve 1", "drop"},
			outcome: RolledBack, text: "2 was rolled back, and 1 serves: it crashed", version: "1", refused: "2",
		},
		"nothing serves": {
			verdicts: both, want: []string{"read", "install 2", "serve 2", "read", "keep reverting", "refuse", "read", "install 1", "serve 1", "drop"},
			outcome: RolledBackDown, text: "2 was rolled back, and 1 does not serve either: it crashed; with 1: it is broken", version: "1", refused: "2",
		},
		"the machine is at fault": {
			verdicts: lacks, want: []string{"read", "install 2", "serve 2", "read", "keep reverting", "read", "install 1", "serve 1", "drop"},
			outcome: RolledBack, text: "2 was rolled back, and 1 serves: no image", version: "1",
		},
		"an undone release is not blamed": {
			verdicts: crash, change: func(m *machine) { m.journal.IsUndo = true },
			want:    []string{"read", "install 2", "serve 2", "read", "keep reverting", "read", "install 1", "serve 1", "drop"},
			outcome: RolledBack, text: "2 was rolled back, and 1 serves: it crashed", version: "1",
		},
		"stopped meanwhile": {
			verdicts: halted, want: []string{"read", "install 2", "serve 2", "read", "keep applying", "accept", "drop"}, outcome: Superseded, version: "2",
			text: "the update to 2 ended: it was stopped before it was known to serve; archgen start web starts it with the new release",
		},
		"stopped, and interrupted afterwards": {
			verdicts: crash, change: func(m *machine) { m.journal.IsHalted, m.installed = true, release("2") },
			want: []string{"read", "accept", "drop"}, outcome: Superseded, version: "2",
			text: "the update to 2 ended: it was stopped before it was known to serve; archgen start web starts it with the new release",
		},
		"stopped, and edited afterwards": {
			verdicts: crash, change: func(m *machine) { m.journal.IsHalted, m.installed = true, release("mine") },
			want: []string{"read", "drop"}, outcome: Superseded, version: "mine",
			text: "the update to 2 ended: its manifest was changed or removed meanwhile",
		},
		"edited before it was applied": {
			verdicts: serves, change: func(m *machine) { m.installed = release("mine") }, want: []string{"read", "drop"},
			outcome: Superseded, text: "the update to 2 ended: its manifest was changed or removed meanwhile", version: "mine",
		},
		"a template was edited": {
			verdicts: serves, want: []string{"read", "drop"}, outcome: Superseded, version: "1",
			change: func(m *machine) { m.installed.Templates = map[string][]byte{"a.conf": []byte("mine")} },
			text:   "the update to 2 ended: its manifest was changed or removed meanwhile",
		},
		"a killed run wrote the templates": {
			verdicts: serves, change: func(m *machine) { m.installed.Templates = release("2").Templates },
			want:    []string{"read", "install 2", "serve 2", "read", "keep serving", "accept", "try", "shelve", "drop"},
			outcome: Updated, text: "2 serves", version: "2",
		},
		"it crashes, and its data is converted for good": {
			verdicts: crash, change: func(m *machine) { m.isOneWay = true },
			want:    []string{"read", "install 2", "serve 2", "read", "accept", "drop"},
			outcome: Stays, text: "2 does not serve, and stays: it has converted the data, and 1 can't read it: it crashed; see archgen logs web", version: "2",
		},
		"it can't start, so the data is as it was": {
			verdicts: lacks, change: func(m *machine) { m.isOneWay = true },
			want:    []string{"read", "install 2", "serve 2", "read", "keep reverting", "read", "install 1", "serve 1", "drop"},
			outcome: RolledBack, text: "2 was rolled back, and 1 serves: no image", version: "1",
		},
		"edited while its data is saved": {
			verdicts: serves, change: func(m *machine) { m.journal.Volumes, m.installed = []string{"web.data"}, release("mine") },
			want:    []string{"read", "start", "drop"},
			outcome: Superseded, text: "the update to 2 ended: its manifest was changed or removed meanwhile", version: "mine",
		},
		"the overlay of edits was edited": {
			verdicts: crash, change: func(m *machine) {
				m.journal.To.Edits = []byte("theirs")
				m.during = func(m *machine) { m.installed.Edits = []byte("mine") }
			},
			want:    []string{"read", "install 2", "serve 2", "read", "drop"},
			outcome: Superseded, text: "the update to 2 ended: its manifest was changed or removed meanwhile", version: "2",
		},
		"another overlay of edits, which the update leaves alone": {
			verdicts: crash, change: func(m *machine) {
				m.journal.From.Edits, m.journal.To.Edits = []byte("theirs"), []byte("theirs")
				m.installed.Edits = []byte("mine")
			},
			want:    []string{"read", "install 2", "serve 2", "read", "keep reverting", "refuse", "read", "install 1", "serve 1", "drop"},
			outcome: RolledBack, text: "2 was rolled back, and 1 serves: it crashed", version: "1", refused: "2",
		},
		"removed while it starts": {
			verdicts: serves, change: func(m *machine) { m.during = func(m *machine) { m.installed = Release{} } },
			want:    []string{"read", "install 2", "serve 2", "read", "drop"},
			outcome: Superseded, text: "the update to 2 ended: its manifest was changed or removed meanwhile",
		},
		"edited while it is rolled back": {
			verdicts: crash, change: func(m *machine) {
				m.journal.State, m.journal.Why, m.installed = Reverting, "it crashed", release("mine")
			},
			want: []string{"read", "drop"}, outcome: Superseded, version: "mine",
			text: "the update to 2 ended: it crashed; its manifest was changed or removed meanwhile",
		},
	} {
		m := begun(c.verdicts)
		if c.change != nil {
			c.change(m)
		}
		result, err := Complete(t.Context(), m, m.journal)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if d := cmp.Diff(c.want, m.log); d != "" {
			t.Errorf("%s: steps: -want +got:\n%s", what, d)
		}
		if result.Outcome != c.outcome || result.Text() != c.text || m.installed.Version != c.version || m.refused != c.refused || m.journal != nil {
			t.Errorf("%s: %s, %q; installed is %q, refused %q, journal %v", what, result.Outcome, result.Text(), m.installed.Version, m.refused, m.journal)
		}
	}
}

// TestContinued: what a run that was killed has left decides how the next one continues.
func TestContinued(t *testing.T) {
	t.Parallel()
	saved := map[string]json.RawMessage{"web.data": json.RawMessage(`{}`)}
	for what, c := range map[string]struct {
		verdicts map[string]Verdict
		change   func(*machine)
		want     []string
		text     string
	}{
		"the app may have written since its data was saved": {
			serves, func(m *machine) { m.journal.Saved = saved },
			[]string{"keep saving", "save", "keep applying", "read", "install 2", "serve 2", "read", "keep serving", "accept", "try", "shelve", "drop"},
			"2 serves",
		},
		"the new release has converted the data that was saved": {
			serves, func(m *machine) { m.journal.Saved, m.isOneWay, m.data = saved, true, "converted by 2" },
			[]string{"read", "install 2", "serve 2", "read", "keep serving", "accept", "try", "shelve", "drop"},
			"2 serves",
		},
		"it has served, so its data stays whatever comes": {
			crash, func(m *machine) { m.journal.State, m.journal.Saved = Serving, saved },
			[]string{"accept", "try", "shelve", "drop"},
			"2 serves",
		},
		"it has converted the data for good, and the machine is at fault": {
			lacks, func(m *machine) { m.isOneWay, m.data = true, "converted by 2" },
			[]string{"read", "install 2", "serve 2", "read", "accept", "drop"},
			"2 does not serve, and stays: it has converted the data, and 1 can't read it: no image; see archgen logs web",
		},
		"it was edited, and has converted the data": {
			serves, func(m *machine) {
				m.journal.Saved, m.isOneWay, m.data, m.installed = saved, true, "converted by 2", release("mine")
			},
			[]string{"read", "read", "accept", "shelve", "drop"},
			"the update to 2 ended: its manifest was changed or removed meanwhile",
		},
		"it was removed, and has converted the data": {
			serves, func(m *machine) {
				m.journal.Saved, m.isOneWay, m.data, m.installed = saved, true, "converted by 2", Release{}
			},
			[]string{"read", "read", "drop"},
			"the update to 2 ended: its manifest was changed or removed meanwhile",
		},
	} {
		m := begun(c.verdicts)
		c.change(m)
		result, err := Complete(t.Context(), m, m.journal)
		if d := cmp.Diff(c.want, m.log); d != "" || err != nil || result.Text() != c.text {
			t.Errorf("%s: %q, %v; steps: -want +got:\n%s", what, result.Text(), err, d)
		}
	}
}

// TestEdits: the overlay of edits comes and goes with the release. One that the update leaves alone is the
// operator's.
func TestEdits(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		verdicts             map[string]Verdict
		from, to, mine, want string
	}{
		"it comes":                    {serves, "", "new", "", "new"},
		"it comes, and goes":          {crash, "", "new", "", ""},
		"a killed run wrote it":       {serves, "", "new", "new", "new"},
		"a killed run, and it goes":   {crash, "", "new", "new", ""},
		"it is replaced":              {serves, "old", "new", "old", "new"},
		"it is replaced, and is back": {crash, "old", "new", "old", "old"},
		"it stays":                    {serves, "old", "old", "mine", "mine"},
		"it stays, twice":             {crash, "old", "old", "mine", "mine"},
		"it goes":                     {serves, "old", "", "old", ""},
	} {
		m := begun(c.verdicts)
		m.journal.From.Edits, m.journal.To.Edits, m.installed.Edits = []byte(c.from), []byte(c.to), []byte(c.mine)
		if result, err := Complete(t.Context(), m, m.journal); err != nil || result.Outcome == Superseded {
			t.Errorf("%s: %v, %v", what, result, err)
		}
		if got := string(m.installed.Edits); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

// TestUndecided: an app that starts for longer than a run waits is not rolled back. A later run asks again.
func TestUndecided(t *testing.T) {
	t.Parallel()
	m := begun(slow)
	_, err := Complete(t.Context(), m, m.journal)
	if err == nil || err.Error() != "the update of web to 2 has not ended: it still starts; archgen apply continues it" || m.journal == nil {
		t.Errorf("%v, journal %v", err, m.journal)
	}
	m.verdicts = serves
	if result, err := Complete(t.Context(), m, m.journal); err != nil || result.Outcome != Updated {
		t.Errorf("%v, %v", result, err)
	}
}

// TestDowntime: the result says how long the app was down.
func TestDowntime(t *testing.T) {
	t.Parallel()
	m := begun(map[string]Verdict{"manifest 2": {Downtime: 1234567 * time.Microsecond}})
	result, err := Complete(t.Context(), m, m.journal)
	if err != nil || result.Text() != "2 serves; down for 1.23s" {
		t.Errorf("%q, %v", result.Text(), err)
	}
}

// TestStays: the result says how to return to the data of before, if there is a snapshot.
func TestStays(t *testing.T) {
	t.Parallel()
	r := Result{App: "web", Outcome: Stays, From: Origin{Version: "1"}, To: Origin{Version: "2"}, Why: "it ended", Snapshot: time.Date(2026, 12, 1, 15, 4, 5, 0, time.Local)}
	const want = "2 does not serve, and stays: it has converted the data, and 1 can't read it: it ended; see archgen logs web, " +
		"or return to the data of 2026-12-01 15:04:05 with archgen update --undo --with-data web"
	if r.Text() != want {
		t.Errorf("%s", r.Text())
	}
}

// TestTrial: the result says until when a release is on trial. One that fails in it is rolled back as one
// that did not serve, and is not recorded as the last update.
func TestTrial(t *testing.T) {
	t.Parallel()
	m := begun(serves)
	m.trial = time.Date(2026, 12, 1, 15, 4, 5, 0, time.Local)
	result, err := Complete(t.Context(), m, m.journal)
	if err != nil || result.Text() != "2 serves; on trial until 2026-12-01 15:04:05" || m.accepted != "2" {
		t.Errorf("%q, %v, accepted %q", result.Text(), err, m.accepted)
	}
	m.journal = &Journal{App: "web", State: Reverting, From: release("1"), To: release("2"), IsAccepted: true, Why: "it ended", IsBlamed: true}
	m.log = nil
	result, err = Complete(t.Context(), m, m.journal)
	want := []string{"refuse", "withdraw", "read", "install 1", "serve 1", "drop"}
	if d := cmp.Diff(want, m.log); d != "" || err != nil || result.Text() != "2 was rolled back, and 1 serves: it ended" || m.accepted != "" {
		t.Errorf("%q, %v, accepted %q; steps -want +got:\n%s", result.Text(), err, m.accepted, d)
	}
}

// TestKilledAtEveryStep: a run that is killed before or after any of its steps, and once more in the run
// that continues it, leaves one of the two releases, with its grants, and no journal.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		verdicts map[string]Verdict
		version  string
		grants   []string
	}{
		"good": {serves, "2", []string{"onion", "use"}},
		"bad":  {crash, "1", []string{"use"}},
	} {
		for first := 1; ; first++ {
			isLast := false
			for _, isEarly := range []bool{true, false} {
				for second := 0; second <= first+10; second++ {
					m := begun(c.verdicts)
					name := fmt.Sprintf("%s, killed at %d and %d, early %v", what, first, second, isEarly)
					m.kill, m.isEarly = first, isEarly
					_, err := Complete(t.Context(), m, m.journal)
					isLast = m.calls < first
					for _, kill := range []int{second, 0} {
						if m.journal == nil {
							break
						}
						if err == nil {
							t.Fatalf("%s: it ended with a journal", name)
						}
						kept := *m.journal
						m.calls, m.kill = 0, kill
						_, err = Complete(t.Context(), m, &kept)
					}
					if m.journal != nil || m.installed.Version != c.version || !slices.Equal(m.grants, c.grants) {
						t.Fatalf("%s: %v, installed is %s with %q; steps %q", name, err, m.installed.Version, m.grants, m.log)
					}
					if c.version == "1" && m.refused != "2" || c.version == "2" && m.accepted != "2" {
						t.Fatalf("%s: accepted %q, refused %q", name, m.accepted, m.refused)
					}
				}
			}
			if isLast {
				break
			}
		}
	}
}

// TestSum: the checksum depends on all content, and on nothing else.
func TestSum(t *testing.T) {
	t.Parallel()
	base := release("1")
	base.Seeds = []Seed{{Path: "a/b", Data: []byte("x")}}
	same := base
	same.Origin = Origin{Catalog: "/etc/archipelago/catalog", Revision: 9}
	if base.Sum() != same.Sum() {
		t.Error("it depends on the origin")
	}
	seen := map[string]string{base.Sum(): "nothing"}
	for what, change := range map[string]func(*Release){
		"file":       func(r *Release) { r.File = "web.toml" },
		"manifest":   func(r *Release) { r.Manifest = []byte("other") },
		"template":   func(r *Release) { r.Templates = map[string][]byte{"a.conf": []byte("b")} },
		"name":       func(r *Release) { r.Templates = map[string][]byte{"b.conf": []byte("a 1")} },
		"seed":       func(r *Release) { r.Seeds = []Seed{{Path: "a/b", Data: []byte("y")}} },
		"path":       func(r *Release) { r.Seeds = []Seed{{Path: "a/c", Data: []byte("x")}} },
		"executable": func(r *Release) { r.Seeds = []Seed{{Path: "a/b", IsExecutable: true, Data: []byte("x")}} },
	} {
		r := base
		change(&r)
		if before, isSeen := seen[r.Sum()]; isSeen {
			t.Errorf("another %s gives the same as another %s", what, before)
		}
		seen[r.Sum()] = what
	}
}

// TestData: a release that converts the data gets a snapshot before. If it does not serve, the data is
// restored before the earlier release may start, whatever call the run is killed at.
func TestData(t *testing.T) {
	t.Parallel()
	start := func(verdicts map[string]Verdict) *machine {
		m := begun(verdicts)
		m.journal.State, m.journal.Volumes, m.data, m.units = Saving, []string{"web.data"}, "of 1", "1"
		return m
	}
	for what, c := range map[string]struct {
		verdicts map[string]Verdict
		full     bool
		want     []string
		text     string
	}{
		"it serves": {
			verdicts: serves, text: "2 serves",
			want: []string{"save", "keep applying", "read", "install 2", "serve 2", "read", "keep serving", "accept", "try", "shelve", "drop"},
		},
		"it crashes": {
			verdicts: crash, text: "2 was rolled back, and 1 serves: it crashed",
			want: []string{
				"save", "keep applying", "read", "install 2", "serve 2", "read", "keep reverting", "refuse",
				"restore", "read", "install 1", "write", "release", "serve 1", "drop",
			},
		},
		"no room": {
			verdicts: serves, full: true, text: "2 was rolled back, and 1 serves: its data can't be saved: no room",
			want: []string{"save", "keep reverting", "read", "install 1", "serve 1", "drop"},
		},
	} {
		m := start(c.verdicts)
		m.full = c.full
		result, err := Complete(t.Context(), m, m.journal)
		if err != nil || result.Text() != c.text {
			t.Errorf("%s: %q, %v", what, result.Text(), err)
		}
		if d := cmp.Diff(c.want, m.log); d != "" {
			t.Errorf("%s: -want +got:\n%s", what, d)
		}
	}
	for first := 1; ; first++ {
		m := start(crash)
		for _, isEarly := range []bool{true, false} {
			m = start(crash)
			m.kill, m.isEarly = first, isEarly
			ctx, cancel := context.WithCancel(t.Context())
			m.cancel = cancel
			_, err := Complete(ctx, m, m.journal)
			cancel()
			for err != nil && m.journal != nil {
				kept := *m.journal
				m.kill = 0
				_, err = Complete(t.Context(), m, &kept)
			}
			// What the earlier release made of the data last is what it made of the snapshot.
			if m.journal != nil || m.blocked || m.installed.Version != "1" || m.data != "converted by 1" || slices.Contains(m.log, "RELEASED WITH OTHER UNIT FILES") {
				t.Fatalf("killed at %d, early %v: %+v", first, isEarly, m)
			}
		}
		if m.calls < first {
			break
		}
	}
}
