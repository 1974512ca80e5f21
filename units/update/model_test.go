package update_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/trial"
	"github.com/archipelago-os/archipelago/units/update"
)

// TestModel plays random schedules of releases, edits, stops, boots, kills and failures against updates of
// two abstract apps whose data has formats. At each call and after each step it checks the invariants of
// updates (U2 to U7, U9, U11 and U12 of the design; the others are those of the caller), and once the faults
// stop, that each app runs with what is installed and nothing is left.
//
// MODEL_SCHEDULES sets how many schedules: 100,000 in make test, a million in make model.
func TestModel(t *testing.T) { //nolint:paralleltest // it sets a flag of rapid
	schedules := os.Getenv("MODEL_SCHEDULES")
	if schedules == "" {
		schedules = "5000"
	}
	if err := flag.Set("rapid.checks", schedules); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			w.step()
		}
		w.settle()
	})
}

// version is a release of an app, or an operator's edit of one.
type version struct {
	// format is the format in which it writes the data, and the newest one that it reads.
	format int
	// works: it serves once it has started. lasts: it serves for longer than a moment. breaks: apps that
	// need it do not serve with it.
	works, lasts, breaks bool
	// isHarmed: older data would do harm.
	isHarmed bool
	// of is the release that an edit is of, 0 if it is a release.
	of int
}

// content is the data of an app. Two of one id are the same directory.
type content struct {
	ID     int `json:"id"`
	format int
	writes int
}

func (c content) isCopyOf(o content) bool { return c.format == o.format && c.writes == o.writes }

// simApp is an app. Its versions are known by their numbers, from 1.
type simApp struct {
	id, consumer string
	versions     map[int]version
	digests      map[int]string
	// newest is the one of the catalog; installed, units and running are those of the manifest, of the unit
	// files and of the container, 0 for none.
	newest, installed, units, running int
	// starting is the version of the unit files of a start that is under way, 0 for none.
	starting int
	data     content
	snapshot *content
	// isSilent: its releases declare no format, so archgen does not know that of the data.
	isSilent bool
	// recorded is the format of the data as it is known to archgen.
	recorded                        int
	isBlocked, isStopped, isRemoved bool
	// formatSaved is the format that the data had when it was saved last.
	formatSaved int
	// isBeingSaved: its data is being copied.
	isBeingSaved bool
	restarts     uint32
	// mine is what an operator has edited last, 0 if that was not the last decision.
	mine int
	// accepted is the version that was recorded as the app's.
	accepted int
	// converter is the version that has converted the data last.
	converter int
	// isWaived: data may be converted without a copy.
	isWaived bool
	// broken is how often the consumer has ended because of the running version since the update, and since
	// it was stopped or updated itself.
	broken int
}

var errKilled = errors.New("killed")

type world struct {
	t    *rapid.T
	apps []*simApp
	now  time.Time
	boot int
	// What archgen has stored. journal is JSON, as on a disk.
	journal  []byte
	read     *update.Journal
	trials   map[string][]byte
	refused  map[string]bool
	earlier  map[string]*update.Earlier
	kept     map[string]*update.Kept
	images   map[string]bool
	tried    map[string]bool // refused releases that a person has asked for
	contents int

	isOffline, isFull, isDown, isSlow bool
	// left is the number of calls until the run is killed, and early whether that is before the effect of
	// the call. During is called when it is reached instead, if it is not nil.
	left    int
	isEarly bool
	isDead  bool
	during  func()
	// arrivals is the number of calls until a start that is under way runs the app.
	arrivals map[*simApp]int
	log      []note
}

// note is a line of the log, which is written only if something is violated.
type note struct {
	format string
	args   []any
}

func newWorld(t *rapid.T) *world {
	w := &world{
		t: t, now: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC), trials: map[string][]byte{}, arrivals: map[*simApp]int{}, refused: map[string]bool{},
		earlier: map[string]*update.Earlier{}, kept: map[string]*update.Kept{}, images: map[string]bool{}, tried: map[string]bool{},
	}
	for _, id := range []string{"node", "shelf"} {
		a := &simApp{id: id, versions: map[int]version{1: {format: 1, works: true, lasts: true}}, digests: map[int]string{}, newest: 1, installed: 1, units: 1, accepted: 1, recorded: 1}
		a.data = content{ID: w.content(), format: 1}
		if a.isSilent = rapid.Bool().Draw(t, id+" declares no format"); a.isSilent {
			a.recorded = 0
		}
		w.apps = append(w.apps, a)
		w.images[w.release(a, 1).Digest] = true
	}
	w.apps[0].consumer = "shelf"
	for _, a := range w.apps {
		w.start(a)
	}
	return w
}

func (w *world) content() int { w.contents++; return w.contents }

func (w *world) note(format string, args ...any) { w.log = append(w.log, note{format, args}) }

func (w *world) violated(invariant, format string, args ...any) {
	w.t.Helper()
	var log strings.Builder
	for _, n := range w.log {
		fmt.Fprintf(&log, n.format+"\n", n.args...)
	}
	w.t.Fatalf("%s: %s\n%s", invariant, fmt.Sprintf(format, args...), log.String())
}

func (w *world) app(id string) *simApp {
	return w.apps[slices.IndexFunc(w.apps, func(a *simApp) bool { return a.id == id })]
}

// release is a version as archgen knows it.
func (w *world) release(a *simApp, number int) update.Release {
	r := update.Release{
		Origin: update.Origin{Catalog: "archgen", Revision: number, Version: strconv.Itoa(number)},
		File:   a.id + ".yaml", Manifest: []byte(a.id + " " + strconv.Itoa(number)),
	}
	if a.digests[number] == "" {
		a.digests[number] = r.Sum()
	}
	r.Digest = a.digests[number]
	return r
}

func number(r update.Release) int {
	_, text, _ := strings.Cut(string(r.Manifest), " ")
	n, _ := strconv.Atoi(text)
	return n
}

// call is a call of a run, which may be killed before or after its effect.
func (w *world) call(name string, do func()) error {
	if w.isDead {
		return errKilled
	}
	w.arrive()
	w.left--
	if w.left == 0 && w.during != nil {
		if strings.HasPrefix(name, "install") { // it follows the call before at once
			w.left++
		} else {
			w.during()
		}
	}
	isLast := w.left == 0 && w.during == nil
	if isLast && w.isEarly {
		w.note("  killed before %s", name)
		w.isDead = true
		return errKilled
	}
	w.note("  %s", name)
	do()
	w.check()
	if isLast {
		w.note("  killed")
		w.isDead = true
		return errKilled
	}
	return nil
}

// check checks what is true at any moment.
func (w *world) check() {
	for _, a := range w.apps {
		if a.running != 0 && a.versions[a.running].format != a.data.format {
			w.violated("U5", "%s runs version %d on data of format %d", a.id, a.running, a.data.format)
		}
	}
	if j := w.stored(); j != nil {
		a := w.app(j.App)
		isKnown := a.installed == number(j.From) || a.installed == number(j.To) || a.installed == a.mine
		if !isKnown && !a.isRemoved {
			w.violated("U2", "%s has version %d, and the journal %s and %s", a.id, a.installed, j.From.Version, j.To.Version)
		}
	}
}

// stored is the journal, which its caller does not change.
func (w *world) stored() *update.Journal {
	if w.read == nil {
		w.read = journalIn(w.journal)
	}
	return w.read
}

func journalIn(text []byte) *update.Journal {
	if text == nil {
		return nil
	}
	j := &update.Journal{}
	if err := json.Unmarshal(text, j); err != nil {
		panic(err)
	}
	return j
}

func textOf(j *update.Journal) []byte {
	text, err := json.Marshal(j)
	if err != nil {
		panic(err)
	}
	return text
}

// pull has another unit begin a start of an app, which runs it a few calls later. What the app writes before
// archgen starts it with a new release counts as written by that one: it is not in the snapshot.
func (w *world) pull(a *simApp, calls int) {
	if a.running == 0 && a.starting == 0 && a.units != 0 && !a.isStopped && !a.isBlocked {
		w.note("  systemd begins to start %s %d", a.id, a.units)
		a.starting = a.units
		w.arrivals[a] = calls
	}
}

// arrive ends the starts that are under way, once it is time.
func (w *world) arrive() {
	for _, a := range w.apps {
		if a.starting == 0 {
			continue
		}
		if w.arrivals[a]--; w.arrivals[a] <= 0 {
			w.note("  the start of %s %d continues", a.id, a.starting)
			w.run(a, a.starting)
		}
	}
}

// halt ends an app, and a start of it that has begun.
func (a *simApp) halt() { a.running, a.starting = 0, 0 }

// start has systemd start an app with its unit files.
func (w *world) start(a *simApp) {
	a.halt()
	if a.units != 0 && !a.isBlocked {
		w.run(a, a.units)
		a.data.writes++
	}
}

// run runs an app with the unit files of a version.
func (w *world) run(a *simApp, version int) {
	v := a.versions[version]
	a.halt()
	switch {
	case a.isBeingSaved:
		w.violated("U3", "version %d of %s runs while its data is copied", version, a.id)
	case a.data.format > v.format && a.isSilent && !w.isHurt(a, version):
		return // it can't read the data, and ends
	case a.data.format > v.format: // the guard of data formats
		w.violated("U5", "%s has unit files of version %d and data of format %d", a.id, version, a.data.format)
	case !w.images[w.imageOf(a, version)]:
		w.violated("U12", "%s has no image of version %d", a.id, version)
	}
	if v.format > a.data.format {
		// An operator has decided about an edit, also where it has never started and an update after it was
		// rolled back.
		isEdit := v.of != 0
		if !a.isWaived && !isEdit && (a.snapshot == nil || !a.snapshot.isCopyOf(a.data)) {
			w.violated("U3", "version %d of %s converts data %+v; the snapshot is %+v", version, a.id, a.data, a.snapshot)
		}
		a.data.format, a.converter = v.format, version
		if !a.isSilent {
			a.recorded = v.format
		}
	}
	if v.works {
		a.running = version
	}
}

// imageOf is the image of a version: an edit has that of its release.
func (w *world) imageOf(a *simApp, n int) string {
	if of := a.versions[n].of; of != 0 {
		n = of
	}
	return w.release(a, n).Digest
}

// pass writes the unit files of an app and restarts it if it runs something else. An app that does not
// serve gets its earlier unit files again.
func (w *world) pass(a *simApp) (isUp bool) {
	before := a.units
	a.units = a.installed
	if a.isStopped || a.isRemoved {
		a.halt()
		return false
	}
	if a.running != a.units {
		w.start(a)
	}
	isReadable := a.data.format <= a.versions[before].format || a.isSilent
	if a.running == 0 && before != 0 && before != a.units && isReadable && !w.isSaved(a) && !a.isBlocked {
		a.units = before
		w.start(a)
		return false
	}
	return a.running != 0 && a.running == a.installed
}

// isSaved reports whether the update that is under way has saved the data of an app.
func (w *world) isSaved(a *simApp) bool {
	j := w.stored()
	return j != nil && j.App == a.id && len(j.Saved) > 0
}

// isHurt reports whether a version that declares no format can't read the data because of the update that is
// under way.
func (w *world) isHurt(a *simApp, version int) bool {
	j := w.stored()
	return w.isSaved(a) && a.data.format > a.formatSaved && j.From.Digest == w.imageOf(a, version) && j.To.Digest != j.From.Digest
}

func (w *world) Keep(j *update.Journal) error {
	text := textOf(j)
	return w.call("keep "+string(j.State), func() { w.journal, w.read = text, nil })
}

func (w *world) Drop() error { return w.call("drop", func() { w.journal, w.read = nil, nil }) }

func (w *world) Installed(app string) (r update.Release, _ error) {
	err := w.call("read", func() {})
	if a := w.app(app); a.installed != 0 {
		r = w.release(a, a.installed)
		r.Origin = update.Origin{}
	}
	return r, err
}

func (w *world) Install(app string, r update.Release, _ []string) error {
	return w.call("install "+strconv.Itoa(number(r)), func() { w.app(app).installed = number(r) })
}

func (w *world) Save(_ context.Context, j *update.Journal) error {
	a := w.app(j.App)
	if w.kept[a.id] != nil {
		if err := w.call("forget what is kept", func() { delete(w.kept, a.id); a.snapshot = nil }); err != nil {
			return err
		}
	}
	if err := w.call("block", func() { a.isBlocked = true }); err != nil {
		return err
	}
	err := w.call("stop", a.halt)
	if err == nil {
		err = w.copy(a)
		j.Saved = map[string]json.RawMessage{"data": json.RawMessage(strconv.Itoa(w.contents))}
	}
	return errors.Join(err, w.Release(j))
}

// copy takes a snapshot of the data of an app.
func (w *world) copy(a *simApp) error {
	if w.isFull {
		return errors.New("no room")
	}
	a.isBeingSaved = true
	defer func() { a.isBeingSaved = false }()
	if err := w.call("begin to copy", func() {}); err != nil {
		return err
	}
	return w.call("save", func() {
		c := a.data
		c.ID = w.content()
		a.snapshot, a.formatSaved = &c, c.format
	})
}

func (w *world) Start(_ context.Context, j *update.Journal) error {
	return w.call("start", func() { w.pass(w.app(j.App)) })
}

func (w *world) HasConverted(j *update.Journal) (bool, error) {
	a := w.app(j.App)
	if len(j.Saved) > 0 && len(j.Writers) > 0 {
		return slices.Contains(j.Writers, w.imageOf(a, a.units)), w.call("look at the unit files", func() {})
	}
	return a.recorded > max(j.Format, j.Reads), w.call("look at the format", func() {})
}

func (w *world) Restore(_ context.Context, j *update.Journal) error {
	a := w.app(j.App)
	if to := a.versions[number(j.To)]; to.isHarmed || a.versions[number(j.From)].isHarmed {
		w.violated("U4", "data of %s is restored, which does harm", a.id)
	}
	if a.accepted == number(j.To) && j.Why != "undone, with its data" && j.From.Digest != j.To.Digest {
		w.violated("U4", "version %s of %s has served", j.To.Version, a.id)
	}
	steps := []struct {
		name string
		do   func()
	}{
		{"block", func() { a.isBlocked = true }},
		{"stop", a.halt},
		{"exchange", func() {
			id, _ := strconv.Atoi(string(j.Saved["data"]))
			switch {
			case a.data.ID == id:
			case a.snapshot == nil || a.snapshot.ID != id:
				w.violated("U3", "the snapshot of %s is %+v, and the journal has %d", a.id, a.snapshot, id)
			default:
				a.data, *a.snapshot = *a.snapshot, a.data
			}
		}},
		{"record the format", func() { a.recorded = j.Format }},
	}
	for _, s := range steps {
		if err := w.call(s.name, s.do); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) Write(_ context.Context, j *update.Journal) error {
	return w.call("write", func() { a := w.app(j.App); a.units = a.installed })
}

func (w *world) Release(j *update.Journal) error {
	return w.call("release", func() { w.app(j.App).isBlocked = false })
}

func (w *world) Forget(_ context.Context, j *update.Journal) {
	a := w.app(j.App)
	_ = w.call("forget", func() {
		isEdit := a.versions[a.converter].of != 0 // see start
		if a.data.format > a.formatSaved && a.snapshot != nil && !isEdit {
			w.violated("U3", "the snapshot of %s is dropped, and its data has format %d", a.id, a.data.format)
		}
		a.snapshot = nil
		delete(w.kept, a.id)
	})
}

func (w *world) Shelve(_ context.Context, j *update.Journal) error {
	a := w.app(j.App)
	return w.call("shelve", func() {
		if len(j.Saved) > 0 {
			w.kept[a.id] = &update.Kept{App: a.id, From: j.From.Origin, Format: j.Format, Volumes: j.Volumes, Saved: j.Saved}
			return
		}
		if k := w.kept[a.id]; k != nil && !k.IsOf(j.From.Origin) && !k.IsOf(j.To.Origin) {
			a.snapshot = nil
			delete(w.kept, a.id)
		}
	})
}

func (w *world) Serve(_ context.Context, j *update.Journal) (v update.Verdict, _ error) {
	a := w.app(j.App)
	err := w.call("serve", func() {
		if len(j.Volumes) > 0 {
			a.isStopped = false // archgen has stopped it
		}
		var isUp bool
		switch {
		case w.isDown:
			v = update.Verdict{Kind: update.Unavailable, Why: "Podman fails"}
			return
		case a.isStopped:
			a.units = a.installed
			v.Kind = update.Halted
			return
		default:
			isUp = w.pass(a)
		}
		switch {
		case isUp && w.isSlow && j.State == update.Applying:
			v = update.Verdict{Kind: update.Undecided, Why: "it still starts"}
		case !isUp:
			v = update.Verdict{Kind: update.Fails, Why: "it ended"}
		}
	})
	return v, err
}

func (w *world) Accept(j *update.Journal) error {
	a := w.app(j.App)
	return w.call("accept", func() {
		a.accepted = number(j.To)
		delete(w.refused, j.To.Digest)
		w.earlier[a.id] = &update.Earlier{Release: j.From}
		if j.IsUndo {
			delete(w.earlier, a.id)
			w.refused[j.From.Digest] = true
		}
	})
}

func (w *world) Try(_ context.Context, j *update.Journal) (until time.Time, _ error) {
	if j.TrialTime == 0 {
		return until, nil
	}
	on := *j
	on.State, on.Volumes, on.Saved = update.OnTrial, nil, nil
	on.Trial = &update.Trial{Since: w.now, Until: w.now.Add(j.TrialTime), Boot: strconv.Itoa(w.boot), Manifest: j.To.Sum(), Restarts: map[string]uint32{}}
	for _, id := range append([]string{j.App}, j.Up...) {
		on.Trial.Restarts[units.ServiceName(id)] = w.app(id).restarts
	}
	return on.Trial.Until, w.call("try", func() {
		w.trials[j.App] = textOf(&on)
		w.app(j.App).broken = 0
		w.excuse(w.app(j.App))
	})
}

func (w *world) Withdraw(j *update.Journal) error {
	return w.call("withdraw", func() {
		a := w.app(j.App)
		delete(w.trials, a.id)
		a.accepted = number(j.From)
		delete(w.earlier, a.id)
		if j.Earlier != nil {
			w.earlier[a.id] = j.Earlier
		}
	})
}

func (w *world) Refuse(j *update.Journal) error {
	return w.call("refuse", func() { w.refused[j.To.Digest] = true; delete(w.tried, j.To.Digest) })
}

// complete carries out the update of the journal. It reports whether another one may begin.
func (w *world) complete() bool {
	j := journalIn(w.journal)
	if j == nil {
		return true
	}
	result, err := update.Complete(w.t.Context(), w, j)
	w.note("  %s: %s %v", j.App, result.Outcome, err)
	if err == nil && w.journal != nil {
		w.violated("U2", "the update of %s has ended, and its journal is left", j.App)
	}
	return err == nil
}

// conclude ends trials, as archgen does.
func (w *world) conclude() bool {
	for _, a := range w.apps {
		j := journalIn(w.trials[a.id])
		if j == nil {
			continue
		}
		v := trial.Verdict{Kind: trial.Superseded, Why: "changed"}
		if a.installed == number(j.To) {
			v = trial.Judge(j, w.seen())
		}
		if v.Kind == trial.Pending {
			continue
		}
		w.note("  the trial of %s %s: %d %s", a.id, j.To.Version, v.Kind, v.Why)
		isConverted, err := w.HasConverted(j)
		if err != nil {
			return false
		}
		if v.Kind == trial.Failed && !isConverted {
			j.State, j.Why, j.IsBlamed, j.IsAccepted = update.Reverting, v.Why, true, true
			if w.Keep(j) != nil || !w.complete() {
				return false
			}
			continue
		}
		if v.Kind == trial.Passed && a.broken > 0 && j.Trial.Boot == strconv.Itoa(w.boot) {
			w.violated("U9", "%s has passed its trial, and its consumer ended %d times", a.id, a.broken)
		}
		if err := w.call("end the trial", func() { delete(w.trials, a.id) }); err != nil {
			return false
		}
	}
	return true
}

// seen is the machine as a trial is judged by.
func (w *world) seen() trial.Seen {
	seen := trial.Seen{Now: w.now, Boot: strconv.Itoa(w.boot), Units: map[string]units.Unit{}, OnTrial: map[string]bool{}}
	for _, a := range w.apps {
		u := units.Unit{Active: units.Active, Restarts: a.restarts}
		switch {
		case a.isStopped:
			u = units.Unit{Active: units.Inactive, Stopped: true}
		case a.running == 0:
			u.Active = units.Failed
		}
		seen.Units[units.ServiceName(a.id)] = u
		seen.OnTrial[a.id] = w.trials[a.id] != nil
	}
	return seen
}

// resume is what each run of archgen begins with.
func (w *world) resume() bool { return w.complete() && w.conclude() }

// begin carries out an update whose journal is new.
func (w *world) begin(j *update.Journal) {
	if w.Keep(j) != nil || w.call("end the trial", func() { delete(w.trials, j.App) }) != nil {
		return
	}
	w.complete()
}

// update installs the newest release.
func (w *world) update(a *simApp, isRetry, isWaived bool) {
	if !w.resume() {
		return
	}
	from, to := w.release(a, a.installed), w.release(a, a.newest)
	present := a.installed
	if of := a.versions[present].of; of != 0 {
		present = of
		a.accepted = a.installed // also where an undo was superseded by the edit
	}
	switch {
	case a.newest <= present, a.isStopped, w.refused[to.Digest] && !isRetry, w.isOffline && !w.images[to.Digest]:
		return
	}
	w.images[to.Digest] = true
	if w.refused[to.Digest] {
		w.tried[to.Digest] = true
	}
	was, is := a.versions[a.installed], a.versions[a.newest]
	j := &update.Journal{App: a.id, State: update.Applying, Began: w.now, From: from, To: to, TrialTime: 10 * time.Minute, Earlier: w.earlier[a.id], Format: a.recorded, Reads: was.format}
	isOneWay := is.isHarmed || was.isHarmed
	a.isWaived = isWaived || isOneWay // which archgen says before
	// Of an app that was rolled back and does not serve, the data from before may be the only one that it reads.
	isKept := w.kept[a.id] != nil && w.kept[a.id].IsOf(from.Origin) && a.running == 0
	a.isWaived = a.isWaived || isKept
	if (is.format > a.recorded || a.isSilent && !isKept) && !isOneWay && !isWaived {
		j.State, j.Volumes = update.Saving, []string{"data"}
	}
	if a.isSilent {
		j.Writers = []string{to.Digest}
	}
	if a.consumer != "" && w.app(a.consumer).running != 0 {
		j.Up = []string{a.consumer}
	}
	a.mine = 0
	w.begin(j)
}

// undo returns to the release before.
func (w *world) undo(a *simApp, withData bool) {
	if !w.resume() {
		return
	}
	if kept := w.kept[a.id]; withData && kept != nil && kept.IsOf(w.release(a, a.installed).Origin) && !a.versions[a.installed].isHarmed {
		w.begin(update.ToData(kept, w.release(a, a.installed)))
		return
	}
	before := w.earlier[a.id]
	if before == nil {
		return
	}
	to := before.Release
	j := &update.Journal{App: a.id, State: update.Applying, Began: w.now, From: w.release(a, a.installed), To: to, IsUndo: true, Format: a.recorded, Reads: a.versions[a.installed].format}
	kept := w.kept[a.id]
	switch {
	case withData && (a.versions[a.installed].isHarmed || a.versions[number(to)].isHarmed): // archgen refuses
		return
	case withData && (kept == nil || kept.From.Digest != to.Digest):
		return
	case withData:
		j.WithData(kept)
	case a.recorded > a.versions[number(to)].format && !a.isSilent: // an error of the manifest
		return
	}
	w.tried[to.Digest] = true
	a.mine = 0
	w.begin(j)
}

// apply makes a pass over all apps.
func (w *world) apply() {
	w.resume()
	for _, a := range w.apps {
		if j := w.stored(); j == nil || j.App != a.id {
			if w.call("pass over "+a.id, func() { w.pass(a) }) != nil {
				return
			}
		}
	}
}

// cut cuts the power. systemd starts what has unit files.
func (w *world) cut() {
	w.boot++
	for _, a := range w.apps {
		a.halt()
		a.restarts = 0
	}
	for _, a := range w.apps {
		if a.isStopped {
			continue
		}
		w.start(a)
		if j := w.stored(); a.isBlocked && (j == nil || j.App != a.id || j.State != update.Reverting && j.State != update.Saving) {
			w.violated("U11", "%s can't start at a boot, and nothing of it is being saved or restored", a.id)
		}
	}
}

// wait lets some time pass, in which apps write and some end.
func (w *world) wait(d time.Duration) {
	w.now = w.now.Add(d)
	for _, a := range w.apps {
		if a.running == 0 {
			continue
		}
		a.data.writes++
		v := a.versions[a.running]
		if !v.lasts {
			a.restarts++
		}
		if c := a.consumer; c != "" && v.breaks {
			if user := w.app(c); user.running != 0 && w.trials[c] == nil {
				user.restarts += 3
				if j := journalIn(w.trials[a.id]); j != nil && slices.Contains(j.Up, c) {
					a.broken++
				}
			}
		}
	}
}

// edit is an operator's edit of what is installed.
func (w *world) edit(a *simApp) {
	v := a.versions[a.installed]
	if v.of == 0 {
		v.of = a.installed
	}
	n := 1000 + len(a.versions)
	a.versions[n] = v
	a.installed, a.mine = n, n
	w.note("  %s was edited: %d", a.id, n)
}

// publish has the catalog get another release.
func (w *world) publish(a *simApp) {
	chance := func(name string, percent int) bool { return rapid.IntRange(0, 99).Draw(w.t, name) < percent }
	v := version{
		format: a.versions[a.newest].format, works: chance("works", 70), lasts: chance("lasts", 75),
		breaks: a.consumer != "" && chance("breaks", 20), isHarmed: chance("harmed", 15),
	}
	if chance("another format", 50) {
		v.format++
	}
	a.newest++
	a.versions[a.newest] = v
	w.note("  %s %d: %+v", a.id, a.newest, v)
}

// step is a random step of a schedule. A run may be killed at any of its calls, or an operator may do
// something then.
func (w *world) step() {
	a := w.apps[rapid.IntRange(0, len(w.apps)-1).Draw(w.t, "app")]
	kind := rapid.SampledFrom([]string{
		"publish", "publish", "update", "update", "update", "update", "retry", "waive", "undo", "undo with data", "apply", "apply", "edit", "stop", "start", "restart", "cut", "wait", "trouble", "mend",
	}).Draw(w.t, "step")
	w.note("%s %s", kind, a.id)
	w.isDead, w.during, w.left = false, nil, 0
	w.arrive()
	if rapid.Bool().Draw(w.t, "disturbed") {
		w.left, w.isEarly = rapid.IntRange(1, 14).Draw(w.t, "at call"), rapid.Bool().Draw(w.t, "early")
		switch rapid.IntRange(0, 5).Draw(w.t, "by") {
		case 0:
			w.during = func() { w.edit(a) }
		case 1:
			w.during = func() { w.stop(a) }
		case 2:
			calls := rapid.IntRange(1, 8).Draw(w.t, "calls until the guard")
			w.during = func() { w.pull(a, calls) }
		}
	}
	switch kind {
	case "publish":
		w.publish(a)
	case "update", "retry", "waive":
		w.update(a, kind == "retry", kind == "waive")
	case "undo", "undo with data":
		w.undo(a, kind == "undo with data")
	case "apply":
		w.apply()
	case "edit":
		w.edit(a)
	case "stop":
		w.stop(a)
	case "start":
		if a.isStopped && w.stored() == nil {
			a.isStopped = false
			w.pass(a)
		}
	case "restart":
		if a.running != 0 {
			w.start(a)
		}
	case "cut":
		w.cut()
	case "wait":
		w.wait(time.Duration(rapid.IntRange(1, 12).Draw(w.t, "minutes")) * time.Minute)
	case "trouble":
		fault := rapid.SampledFrom([]*bool{&w.isOffline, &w.isFull, &w.isDown, &w.isSlow}).Draw(w.t, "trouble")
		*fault = true
	case "mend":
		w.isOffline, w.isFull, w.isDown, w.isSlow = false, false, false, false
	}
	w.check()
}

// stop is an operator's.
func (w *world) stop(a *simApp) {
	w.note("  %s was stopped", a.id)
	a.isStopped = true
	a.halt()
	w.excuse(a)
}

// excuse has what an app that needs others did so far count against none of them.
func (w *world) excuse(consumer *simApp) {
	for _, a := range w.apps {
		if a.consumer == consumer.id {
			a.broken = 0
		}
	}
}

// settle ends all faults, and checks what passes lead to.
func (w *world) settle() {
	w.note("settle")
	w.isDead, w.during, w.left = false, nil, 0
	w.isFull, w.isDown, w.isSlow = false, false, false // registries stay as they are
	for range 3 {
		w.apply()
		w.wait(11 * time.Minute)
	}
	w.apply()
	if w.journal != nil || len(w.trials) > 0 {
		w.violated("U11", "something is left: %s, %d trials", w.journal, len(w.trials))
	}
	for _, a := range w.apps {
		v := a.versions[a.installed]
		switch {
		case a.isBlocked:
			w.violated("U11", "%s can't start", a.id)
		case a.mine != 0 && a.installed != a.mine:
			w.violated("U7", "%s was edited to %d, and has %d", a.id, a.mine, a.installed)
		case a.isStopped && a.running != 0:
			w.violated("U7", "%s was stopped, and runs", a.id)
		case a.isSilent && a.data.format > v.format: // it can't read what a later release has written
		case !a.isStopped && v.works && a.running != a.installed:
			w.violated("U11", "%s has %d and runs %d", a.id, a.installed, a.running)
		}
		if digest := w.release(a, a.installed).Digest; w.refused[digest] && !w.tried[digest] && a.recorded <= a.versions[a.accepted].format && a.installed != a.accepted {
			w.violated("U6", "%s has version %d, which was refused", a.id, a.installed)
		}
	}
}
