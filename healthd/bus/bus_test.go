package bus

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"
	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/healthd/busclient/bustest"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/status"
)

// A status as the loop posts it.
func someStatus() healthd.Status {
	progress, began, failed := 0.43, time.UnixMicro(5), time.UnixMicro(6)
	return healthd.Status{
		Passes: healthd.Passes{Total: 7, Last: 1500 * time.Microsecond, Drift: 2},
		Watch:  healthd.Watch{Errno: syscall.EMFILE, Error: "no \xff instance"},
		Apps: []healthd.App{
			{
				App: status.App{ID: "knots", Condition: status.Condition{
					State: units.PhaseRunning, Reason: units.ReasonLoading, Level: status.Loading, Health: units.Loading, Detail: "verifying blocks", Progress: &progress,
					Since: &began, Restarts: 1, Log: []string{"last \xffwords\x00"},
				}},
				Latency: 3 * time.Millisecond, Repairs: map[units.Kind]int{units.Restart: 2}, PassLog: []string{"said before"},
			},
			{App: status.App{ID: "lnd", Condition: status.Condition{
				State: units.PhaseFailed, Reason: units.ReasonInvalidManifest, Error: "it \xff crashed", Since: &failed,
			}}, PassError: "its file \xff is immutable"},
		},
	}
}

func TestWhatCallersSee(t *testing.T) {
	t.Parallel()
	s := onPrivateBus(t)
	s.board.Set(someStatus())
	var rows [][]any
	s.call(t, Name+".ListApps").mustStore(t, &rows)
	want := [][]any{{"knots", "running", "loading", "loading"}, {"lnd", "failed", "invalid-manifest", ""}}
	if d := cmp.Diff(want, rows); d != "" {
		t.Errorf("ListApps (-want +have):\n%s", d)
	}

	knots, lnd := map[string]dbus.Variant{}, map[string]dbus.Variant{}
	s.call(t, Name+".GetApp", "knots").mustStore(t, &knots)
	s.call(t, Name+".GetApp", "lnd").mustStore(t, &lnd)
	if d := cmp.Diff(map[string]any{
		"State": "running", "Reason": "loading", "Meaning": "", "Mend": "", "Health": "loading", "Level": "loading", "Detail": "verifying blocks",
		"Error": "", "PassError": "", "Progress": 0.43, "SinceUSec": uint64(5), "NextRepairUSec": uint64(0), "TrialUSec": uint64(0), "Restarts": uint64(1),
		"Repairs": map[string]uint64{"restart": 2}, "LatencyUSec": uint64(3000), "Log": []string{"last \uFFFDwords\uFFFD"}, "PassLog": []string{"said before"},
	}, plain(knots)); d != "" {
		t.Errorf("GetApp knots (-want +have):\n%s", d)
	}
	if lnd["Error"].Value() != "it \uFFFD crashed" || lnd["PassError"].Value() != "its file \uFFFD is immutable" || !reflect.DeepEqual(lnd["Log"].Value(), []string{}) || lnd["Progress"].Value() != nil {
		t.Errorf("GetApp lnd: %v", lnd)
	}

	all := map[string]dbus.Variant{}
	s.call(t, properties+".GetAll", Name).mustStore(t, &all)
	apps, _ := all["Apps"].Value().(map[string]map[string]dbus.Variant)
	if all["Version"].Value() != "1.2" || all["Passes"].Value() != uint64(7) || all["LastPassUSec"].Value() != uint64(1500) ||
		all["Drift"].Value() != uint64(2) || all["WatchReason"].Value() != "no-inotify-instance" || all["WatchError"].Value() != "no \uFFFD instance" || apps["knots"]["State"].Value() != "running" {
		t.Errorf("properties: %v", all)
	}
	for _, name := range []string{"LatencyUSec", "Log", "PassLog"} {
		if _, ok := apps["knots"][name]; ok {
			t.Errorf("the property Apps has %s, which changes without a signal", name)
		}
	}
}

// D-Bus says the same of an app as archgen status --json, key by key.
func TestSameAsJSON(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	service := func(u units.Unit, a status.Answer) []status.Service {
		u.Loaded, u.Run.Since, u.Restarts = true, now, 3
		return []status.Service{{Name: "app@web.service", Unit: u, Answer: a}}
	}
	for name, scene := range map[string]status.Scene{
		"loading": {Services: service(units.Unit{Active: units.Active}, status.Answer{Health: units.Loading, Level: status.Loading, Progress: 0.43, Detail: "verifying blocks"})},
		"done":    {Services: service(units.Unit{Active: units.Active, Run: units.Run{Exited: true}}, status.Answer{})},
		"failed": {
			Services: service(units.Unit{Active: units.Failed, Run: units.Run{HasExitCode: true, ExitCode: 137, Result: "oom-kill"}}, status.Answer{}),
			Actions:  []units.Action{{Kind: units.Leave, Target: "app@web.service", Reason: units.ReasonGaveUp}},
			Record:   units.Record{Tries: 9, Last: now}, Lines: map[string][]string{"app@web.service": {"opening the wallet", "no such wallet"}},
		},
		"on trial": {Services: service(units.Unit{Active: units.Active}, status.Answer{}), TrialUntil: now},
		"invalid":  {Refused: units.ReasonInvalidManifest, Diagnostic: "web.yaml:5:15: error: what is that?"},
	} {
		scene.ID = "web"
		app := status.Of(scene)
		var asJSON map[string]any
		text, err := json.Marshal(app)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &asJSON); err != nil {
			t.Fatal(err)
		}
		facts := factsOf(healthd.App{App: app})
		facts["Log"] = texts(app.Log)
		for fact, key := range map[string]string{
			"State": "state", "Reason": "reason", "Meaning": "meaning", "Mend": "mend", "Health": "health", "Level": "level", "Progress": "progress",
			"Detail": "detail", "Error": "error", "Log": "log", "ExitCode": "exit_code", "Restarts": "restarts", "SinceUSec": "since", "NextRepairUSec": "next_repair_at", "TrialUSec": "trial_until",
		} {
			if said, told := fmt.Sprint(asJSON[key]), fmt.Sprint(inJSON(facts[fact], strings.HasSuffix(fact, "USec"))); said != told {
				t.Errorf("%s: %s is %q, and %s %q", name, key, said, fact, told)
			}
		}
	}
}

// Facts that a signal has said are not made again. Every fact counts.
func TestSameFacts(t *testing.T) {
	t.Parallel()
	app := func(change func(*healthd.App)) healthd.App {
		a := healthd.App{App: status.App{ID: "web", Condition: status.Condition{State: units.PhaseRunning}}, Repairs: map[units.Kind]int{units.Start: 1}}
		change(&a)
		return a
	}
	base := app(func(*healthd.App) {})
	half, code, now := 0.5, 1, time.Unix(1, 0)
	for name, change := range map[string]func(*healthd.App){
		"nothing": func(*healthd.App) {}, "latency": func(a *healthd.App) { a.Latency = time.Second },
		"state": func(a *healthd.App) { a.State = units.PhaseFailed }, "reason": func(a *healthd.App) { a.Reason = units.ReasonGaveUp },
		"level": func(a *healthd.App) { a.Level = status.Serving }, "detail": func(a *healthd.App) { a.Detail = "x" }, "error": func(a *healthd.App) { a.Error = "x" },
		"error of a pass": func(a *healthd.App) { a.PassError = "x" }, "repairs": func(a *healthd.App) { a.Repairs[units.Start]++ },
		"progress": func(a *healthd.App) { a.Progress = &half }, "exit code": func(a *healthd.App) { a.ExitCode = &code },
		"time": func(a *healthd.App) { a.Since = &now }, "restarts": func(a *healthd.App) { a.Restarts++ },
	} {
		other := app(change)
		want := fmt.Sprint(factsOf(base)) == fmt.Sprint(factsOf(other))
		if haveSameFacts(&base, &other) != want {
			t.Errorf("%s: the facts are the same: %v", name, want)
		}
	}
}

// What signals cost is bounded, however many apps they are about and however often those change.
func TestSignalsAreSpaced(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]time.Duration{
		0: spacing, time.Millisecond: spacing, 5 * time.Millisecond: time.Second, time.Minute: busiest,
	} {
		if got := spacingAfter(took); got != want {
			t.Errorf("after a signal that took %v the next one waits for %v, want %v", took, got, want)
		}
	}
}

// The facts of apps that did not change are those that were told.
func TestFactsAreMadeOnce(t *testing.T) {
	t.Parallel()
	o := &object{}
	app := func(id string, restarts uint32) healthd.App {
		return healthd.App{App: status.App{ID: id, Condition: status.Condition{Restarts: restarts}}}
	}
	first := []healthd.App{app("a", 0), app("b", 0), app("c", 0)}
	before := told{first, o.factsOfAll(first, told{})}
	isTold := func(facts map[string]dbus.Variant, id string) bool {
		return reflect.ValueOf(facts).Pointer() == reflect.ValueOf(before.facts[id]).Pointer()
	}
	for name, c := range map[string]struct {
		now []healthd.App
		old string // the apps whose facts were told
	}{
		"all as before": {first, "abc"},
		"one changed":   {[]healthd.App{app("a", 0), app("b", 1), app("c", 0)}, "ac"},
		"one new":       {[]healthd.App{app("0", 0), app("a", 0), app("b", 0), app("c", 0)}, "abc"},
		"one gone":      {[]healthd.App{app("b", 0), app("c", 0)}, "bc"},
		"one replaced":  {[]healthd.App{app("a", 0), app("b", 0), app("d", 0)}, "ab"},
	} {
		facts, old := o.factsOfAll(c.now, before), ""
		for _, a := range c.now {
			if isTold(facts[a.ID], a.ID) {
				old += a.ID
			}
			if want := variants(factsOf(a)); !reflect.DeepEqual(facts[a.ID], want) {
				t.Errorf("%s: %s has %v, want %v", name, a.ID, facts[a.ID], want)
			}
		}
		if old != c.old || len(facts) != len(c.now) {
			t.Errorf("%s: %d facts, and those of %q were made before, want %q", name, len(facts), old, c.old)
		}
	}
}

// inJSON is a fact as JSON has it.
func inJSON(fact any, isTime bool) any {
	n, _ := fact.(uint64)
	switch {
	case isTime && n == 0:
		return nil
	case isTime:
		return time.UnixMicro(int64(n)).UTC().Format(time.RFC3339)
	}
	return fact
}

// What an app of the system said is for root: everyone gets the signals of that bus.
func TestSystemTellsNoWords(t *testing.T) {
	t.Parallel()
	for scope, want := range map[units.Scope]string{units.User: "verifying blocks", units.System: ""} {
		o := &object{Server: Server{Scope: scope}}
		apps, _ := o.properties(someStatus(), o.factsOfAll(someStatus().Apps, told{}))["Apps"].(map[string]map[string]dbus.Variant)
		if got := apps["knots"]["Detail"].Value(); got != want {
			t.Errorf("%s: the property has %q, want %q", scope, got, want)
		}
	}
	for _, a := range someStatus().Apps {
		told := withoutWords(a)
		if told.Error+told.PassError+told.Detail != "" || len(told.Log)+len(told.PassLog) > 0 || told.State != a.State || told.Reason != a.Reason {
			t.Errorf("%+v", told)
		}
	}
}

func TestCallersAreRefused(t *testing.T) {
	t.Parallel()
	s := onPrivateBus(t)
	refused := func(name, method string, args ...any) {
		t.Helper()
		reply, _ := errors.AsType[dbus.Error](s.call(t, method, args...).Err)
		if reply.Name != name {
			t.Errorf("%s%v: %v; want %s", method, args, reply, name)
		}
	}
	refused(notReady, Name+".GetApp", "knots")
	s.board.Set(someStatus())
	refused(noSuchApp, Name+".GetApp", "nobody")
	refused(noSuchApp, Name+".Restart", "nobody")
	refused(noSuchApp, Name+".ReconcileApp", "\U0001F3DD")
	refused(invalidManifest, Name+".Start", "lnd")
	refused(readOnly, properties+".Set", Name, "Passes", dbus.MakeVariant("x"))
	refused(noProperty, properties+".Get", Name, "Nothing")
	refused(noInterface, properties+".GetAll", "org.example.Nothing")
	refused("org.freedesktop.DBus.Error.InvalidArgs", Name+".Restart")
	refused("org.freedesktop.DBus.Error.UnknownMethod", Name+".Delete", "knots")
	if mayChange(1001, 1000) || !mayChange(1000, 1000) || !mayChange(0, 1000) || mayChange(1000, 0) {
		t.Error("others than the owner and root may change what runs, or those may not")
	}
}

// What is asked for is a hint to the loop, and asking does not wait for the end.
func TestCallersAsk(t *testing.T) {
	t.Parallel()
	s := onPrivateBus(t)
	s.board.Set(someStatus())
	for method, want := range map[string]healthd.Hint{
		"Restart": {App: "knots", Asked: units.Restart}, "Start": {App: "knots", Asked: units.Start},
		"Stop": {App: "knots", Asked: units.Stop}, "ReconcileApp": {App: "knots"},
	} {
		s.call(t, Name+"."+method, "knots").mustStore(t)
		if have := <-s.asked; have != want {
			t.Errorf("%s: %v; want %v", method, have, want)
		}
	}
	s.call(t, Name+".Reconcile").mustStore(t)
	if have := <-s.asked; have != (healthd.Hint{}) {
		t.Errorf("Reconcile: %v", have)
	}
	s.call(t, Name+".ReconcileApp", "lnd").mustStore(t)
	<-s.asked
}

// A change is signalled, with what changed only. How long an answer took is not
// worth a signal.
func TestChangesAreSignalled(t *testing.T) {
	t.Parallel()
	s := onPrivateBus(t)
	status := someStatus()
	s.board.Set(status)
	if d := cmp.Diff([]string{"Apps", "Drift", "LastPassUSec", "Passes", "WatchError", "WatchReason"}, s.changed(t)); d != "" {
		t.Errorf("the first status (-want +have):\n%s", d)
	}
	healthy := someStatus()
	healthy.Apps[0].Latency *= 2
	s.board.Set(healthy)
	healthy.Passes.Drift++
	s.board.Set(healthy)
	if d := cmp.Diff([]string{"Drift"}, s.changed(t)); d != "" {
		t.Errorf("an answer and drift (-want +have):\n%s", d)
	}
	healthy.Apps = healthy.Apps[:1]
	s.board.Set(healthy)
	if d := cmp.Diff([]string{"Apps"}, s.changed(t)); d != "" {
		t.Errorf("an app that is gone (-want +have):\n%s", d)
	}
}

// A burst of changes is few signals, and the last has what came last.
func TestSignalsAreFew(t *testing.T) {
	t.Parallel()
	s := onPrivateBus(t)
	start, signals := time.Now(), 0
	status := someStatus()
	for last := uint64(0); last < 500; signals++ {
		for range 100 {
			status.Passes.Total++
			s.board.Set(status)
		}
		for want := uint64(status.Passes.Total); last < want; {
			last, _ = s.next()["Passes"].Value().(uint64)
		}
	}
	if most := 1 + int(time.Since(start)/spacing); signals > most {
		t.Errorf("%d signals, want %d at most", signals, most)
	}
}

// The bus restarts, and healthd publishes the apps on it again.
func TestTheBusComesBack(t *testing.T) {
	t.Parallel()
	s := onPrivateBus(t)
	s.board.Set(someStatus())
	s.daemon.Stop()
	<-s.client.Context().Done()
	s.daemon.Start()
	s.connect(t)
	s.call(t, Name+".Restart", "knots").mustStore(t)
	<-s.asked
}

// Who has the name keeps it, and the next one gets it then.
func TestASecondOneWaits(t *testing.T) {
	t.Parallel()
	s := onPrivateBus(t)
	second := healthd.NewStatusFeed()
	second.Set(someStatus())
	go Server{Address: s.daemon.Address, Version: "second", StatusFeed: second, Complain: func(err error) { t.Error(err) }}.Run(t.Context())
	if v := s.version(t); v != "1.2" {
		t.Errorf("the name was taken by %s", v)
	}
	s.end()
	s.until(t, func() bool { return s.version(t) == "second" })
}

// Without a bus it is tried again and again, and said once.
func TestNoBus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var complaints []string
		Server{
			Scope: units.System, Address: "unix:path=" + filepath.Join(t.TempDir(), "bus"), StatusFeed: healthd.NewStatusFeed(),
			Complain: func(err error) { complaints = append(complaints, err.Error()) },
		}.Run(ctx)
		if len(complaints) != 1 || !strings.Contains(complaints[0], "system bus as "+Name) {
			t.Errorf("complaints: %q", complaints)
		}
	})
}

// The shipped file says what the object does.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	var node introspect.Node
	if err := xml.Unmarshal([]byte(XML), &node); err != nil {
		t.Fatal(err)
	}
	shape := func(list []introspect.Method) []string {
		shapes := make([]string, 0, len(list))
		for _, m := range list {
			words := append(make([]string, 0, 1+2*len(m.Args)), m.Name)
			for _, a := range m.Args {
				words = append(words, a.Direction, a.Type)
			}
			shapes = append(shapes, strings.Join(words, " "))
		}
		slices.Sort(shapes)
		return shapes
	}
	o := &object{Server: Server{StatusFeed: healthd.NewStatusFeed()}}
	for i, v := range []any{o, (*propertiesOf)(o), introspect.Introspectable("")} {
		if d := cmp.Diff(shape(node.Interfaces[i].Methods), shape(introspect.Methods(v))); d != "" {
			t.Errorf("%s (-file +object):\n%s", node.Interfaces[i].Name, d)
		}
	}
	inFile, inObject := map[string]string{}, map[string]string{}
	for _, p := range node.Interfaces[0].Properties {
		inFile[p.Name] = p.Type
	}
	for name, value := range o.properties(healthd.Status{}, o.factsOfAll(nil, told{})) {
		inObject[name] = dbus.SignatureOf(value).String()
	}
	if d := cmp.Diff(inFile, inObject); d != "" {
		t.Errorf("properties (-file +object):\n%s", d)
	}
	s := onPrivateBus(t)
	var live string
	s.call(t, introspectable+".Introspect").mustStore(t, &live)
	if live != XML {
		t.Error("the object tells something else than the file")
	}
}

// stage is a server on a bus of its own, and a client.
type stage struct {
	daemon  *bustest.Daemon
	board   *healthd.StatusFeed
	asked   chan healthd.Hint
	end     context.CancelFunc
	client  *dbus.Conn
	signals chan *dbus.Signal
}

func onPrivateBus(t *testing.T) *stage {
	t.Helper()
	s := &stage{daemon: bustest.New(t), board: healthd.NewStatusFeed(), asked: make(chan healthd.Hint, 16)}
	ctx, end := context.WithCancel(t.Context())
	s.end = end
	go Server{
		Address: s.daemon.Address, Version: "1.2", StatusFeed: s.board, Ask: s.asked, Complain: func(err error) { t.Error(err) },
	}.Run(ctx)
	s.connect(t)
	return s
}

// connect connects the client, and waits until the server is there.
func (s *stage) connect(t *testing.T) {
	t.Helper()
	client, err := dbus.Connect(s.daemon.Address, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	s.client, s.signals = client, make(chan *dbus.Signal, 64)
	client.Signal(s.signals)
	if err := client.AddMatchSignal(dbus.WithMatchInterface(properties)); err != nil {
		t.Fatal(err)
	}
	s.until(t, func() bool { return s.version(t) != "" })
}

func (s *stage) version(t *testing.T) string {
	t.Helper()
	v, err := s.client.Object(Name, Path).GetProperty(Name + ".Version")
	if err != nil {
		return ""
	}
	text, _ := v.Value().(string)
	return text
}

func (s *stage) until(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it did not come about in time")
		}
	}
}

// result is an answer to a call.
type result struct{ *dbus.Call }

func (r result) mustStore(t *testing.T, to ...any) {
	t.Helper()
	if err := r.Store(to...); err != nil {
		t.Fatalf("%s: %v", r.Method, err)
	}
}

func (s *stage) call(t *testing.T, method string, args ...any) result {
	t.Helper()
	return result{s.client.Object(Name, Path).CallWithContext(t.Context(), method, 0, args...)}
}

// next is what the next signal says has changed.
func (s *stage) next() map[string]dbus.Variant {
	for signal := range s.signals {
		if signal.Name == properties+".PropertiesChanged" {
			values, _ := signal.Body[1].(map[string]dbus.Variant)
			return values
		}
	}
	return nil
}

// changed is the names of the properties in the next signal.
func (s *stage) changed(t *testing.T) []string {
	t.Helper()
	values := s.next()
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func plain(values map[string]dbus.Variant) map[string]any {
	list := make(map[string]any, len(values))
	for name, v := range values {
		list[name] = v.Value()
	}
	return list
}
