package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/systemd"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func stamp(ago time.Duration) uint64 { return uint64(noon.Add(-ago).UnixMicro()) }

// seen is a survey of one app with one service, as it would be after a look.
func seen(u units.Unit, unit systemd.Unit, r reply, actions ...units.Action) *snapshot {
	const service = "app@lnd.service"
	file := units.File{Name: "app@lnd.container", App: "lnd", Content: []byte("[Container]\nImage=docker.io/x/lnd:1\nPublishPort=0.0.0.0:9735:9735/tcp\n")}
	return &snapshot{
		now: noon, compiled: &compile.Compiled{}, host: netip.MustParseAddr("192.168.1.5"), history: units.History{},
		want: units.Desired{Complete: true, Apps: []units.App{{
			ID: "lnd", Enabled: true, Files: units.Set{file}, Parts: []units.Part{{Service: service, File: file.Name}},
		}}},
		found:    map[string]machine.Service{service: {State: u, Systemd: unit}},
		answers:  map[string]reply{service: r},
		services: map[string][]string{"lnd": {service}},
		plan:     units.Plan{Left: actions},
	}
}

func because(r units.Reason) units.Action {
	return units.Action{App: "lnd", Kind: units.Leave, Target: "app@lnd.service", Reason: r}
}

// What systemd, the probe and the plan say becomes one line.
func TestStatusOfAnApp(t *testing.T) {
	t.Parallel()
	running := units.Unit{Loaded: true, Active: units.Active}
	stopped := units.Unit{Loaded: true, Active: units.Inactive}
	failed := units.Unit{Loaded: true, Active: units.Failed}
	for name, tt := range map[string]struct {
		unit    units.Unit
		systemd systemd.Unit
		reply   reply
		actions []units.Action
		state   string
		level   string
		wrong   bool
	}{
		"no probe":              {unit: running, state: "running", level: "alive"},
		"serving":               {unit: running, reply: reply{health: units.Serving}, state: "running", level: "serving"},
		"catching up":           {unit: running, reply: reply{health: units.Serving, progress: 0.437}, state: "running", level: "serving 43 %"},
		"caught up":             {unit: running, reply: reply{health: units.Serving, synced: true}, state: "running", level: "synced"},
		"loading":               {unit: running, reply: reply{health: units.Loading, progress: 0.5}, actions: []units.Action{because(units.ReasonLoading)}, state: "running (loading)", level: "loading 50 %"},
		"loading, no measure":   {unit: running, reply: reply{health: units.Loading, progress: -1}, actions: []units.Action{because(units.ReasonLoading)}, state: "running (loading)", level: "loading"},
		"locked wallet":         {unit: running, reply: reply{health: units.NeedsUser}, actions: []units.Action{because(units.ReasonNeedsUser)}, state: "running (needs-user)", level: "needs-user"},
		"unreachable":           {unit: running, reply: reply{health: units.Failing}, actions: []units.Action{because(units.ReasonNotAnsweringYet)}, state: "running (not-answering-yet)", level: "alive", wrong: true},
		"sick in the container": {unit: units.Unit{Loaded: true, Active: units.Active, Health: units.Unhealthy}, actions: []units.Action{because(units.ReasonNotServing)}, state: "running (not-serving)", level: "alive", wrong: true},
		"paused":                {unit: units.Unit{Loaded: true, Active: units.Active, Paused: true}, actions: []units.Action{because(units.ReasonPaused)}, state: "paused", wrong: true},
		"ran to its end":        {unit: running, systemd: systemd.Unit{SubState: "exited"}, state: "done"},
		"file deleted":          {unit: units.Unit{Active: units.Active}, actions: []units.Action{{App: "lnd", Target: "app@lnd.container", Reason: units.ReasonFileMissing}}, state: "running (file-missing)", level: "alive"},
		"deleted, unplanned":    {unit: units.Unit{Active: units.Active}, state: "running (not-loaded)", level: "alive"},
		"edited, unplanned":     {unit: units.Unit{Loaded: true, NeedsReload: true, Active: units.Active}, state: "running (needs-reload)", level: "alive"},
		"another digest":        {unit: running, actions: []units.Action{because(units.ReasonDigestDiffers)}, state: "running (digest-differs)", level: "alive"},
		"starting":              {unit: units.Unit{Loaded: true, Active: units.Activating}, systemd: systemd.Unit{StatusText: "loading: 80 of 100 blocks"}, actions: []units.Action{because(units.ReasonStarting)}, state: "starting", level: "loading"},
		"starting, no answer":   {unit: units.Unit{Loaded: true, Active: units.Activating}, systemd: systemd.Unit{StatusText: "waiting: nobody listens"}, actions: []units.Action{because(units.ReasonStarting)}, state: "starting"},
		"stopping":              {unit: units.Unit{Loaded: true, Active: units.Deactivating}, actions: []units.Action{because(units.ReasonStopping)}, state: "stopping"},
		"crash loop":            {unit: units.Unit{Loaded: true, Active: units.Activating, Restarting: true}, actions: []units.Action{because(units.ReasonRestartedBySystemd)}, state: "restarting", wrong: true},
		"failed":                {unit: failed, actions: []units.Action{because(units.ReasonFailed)}, state: "failed", wrong: true},
		"given up":              {unit: failed, actions: []units.Action{because(units.ReasonGaveUp)}, state: "failed (gave-up)", wrong: true},
		"backing off":           {unit: failed, actions: []units.Action{because(units.ReasonBackingOff)}, state: "failed (backing-off)", wrong: true},
		"failed, disabled":      {unit: failed, actions: []units.Action{because(units.ReasonDisabled)}, state: "failed (disabled)"},
		"stopped by a person":   {unit: stopped, actions: []units.Action{because(units.ReasonStoppedByOperator)}, state: "stopped-by-operator"},
		"disabled":              {unit: stopped, actions: []units.Action{because(units.ReasonDisabled)}, state: "stopped (disabled)"},
		"never started":         {unit: stopped, actions: []units.Action{because(units.ReasonNeverStarted)}, state: "stopped (never-started)", wrong: true},
		"never applied": {
			unit: units.Unit{Active: units.Inactive}, actions: []units.Action{{App: "lnd", Target: "app@lnd.container", Reason: units.ReasonFileMissing}, because(units.ReasonNeverStarted)},
			state: "stopped (file-missing)", wrong: true,
		},
		"manifest invalid": {unit: running, actions: []units.Action{{App: "lnd", Kind: units.Leave, Reason: units.ReasonInvalidManifest}}, state: "running (invalid-manifest)", level: "alive"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := seen(tt.unit, tt.systemd, tt.reply, tt.actions...).app("lnd")
			if a.stateText() != tt.state || a.Level != tt.level || a.isRight == tt.wrong {
				t.Errorf("%q, level %q, right %v; want %q, %q, %v", a.stateText(), a.Level, a.isRight, tt.state, tt.level, !tt.wrong)
			}
		})
	}
}

// An error in a manifest counts more than what a pass would do for the app meanwhile.
func TestStatusOfWhatIsKept(t *testing.T) {
	t.Parallel()
	s := seen(units.Unit{Loaded: true, Active: units.Active}, systemd.Unit{}, reply{},
		units.Action{App: "lnd", Kind: units.Write, Target: "app@lnd.container", Reason: units.ReasonFileDiffers},
		units.Action{App: "lnd", Kind: units.Leave, Reason: units.ReasonInvalidManifest})
	s.want.Apps, s.want.Invalid = nil, []string{"lnd"}
	if a := s.app("lnd"); a.stateText() != "running (invalid-manifest)" {
		t.Errorf("%q", a.stateText())
	}
}

// What an app lacks counts more than what a pass would do about it, while it would.
func TestStatusOfWhatLacks(t *testing.T) {
	t.Parallel()
	missing := units.Action{App: "lnd", Kind: units.Write, Target: "app@lnd.container", Reason: units.ReasonFileMissing}
	for _, tt := range []struct {
		pull    units.ActiveState
		actions []units.Action
		want    string
	}{
		{units.Activating, []units.Action{missing}, "stopped (pulling)"},
		{units.Failed, []units.Action{missing}, "stopped (pull-failed)"},
		{units.Inactive, []units.Action{missing}, "stopped (file-missing)"},
		{units.Failed, []units.Action{because(units.ReasonMasked)}, "stopped (masked)"},
	} {
		s := seen(units.Unit{Loaded: true, Active: units.Inactive}, systemd.Unit{}, reply{}, tt.actions...)
		s.found[units.PullOf("lnd")] = machine.Service{State: units.Unit{Loaded: true, Active: tt.pull}}
		if got := s.app("lnd").stateText(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.pull, got, tt.want)
		}
	}
}

// Where the exit code says nothing, systemd's word does.
func TestStatusOfATimeout(t *testing.T) {
	t.Parallel()
	a := seen(units.Unit{Loaded: true, Active: units.Failed}, systemd.Unit{Result: "oom-kill", ExecMainCode: 2, ExecMainStatus: 9}, reply{}, because(units.ReasonFailed)).app("lnd")
	if a.detail != "the kernel killed it: out of memory" || *a.ExitCode != 137 {
		t.Errorf("%q, exit code %d", a.detail, *a.ExitCode)
	}
}

// The table has no room for the directory of a manifest.
func TestStatusOfAMistakeIsBrief(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"/home/a/.config/archipelago/apps/lnd.yaml:5:3: error: what is that?": "lnd.yaml:5:3: error: what is that?",
		"/home/a/apps/lnd.d/10.yaml:5:3: error: no /x/lnd.y":                  "lnd.d/10.yaml:5:3: error: no /x/lnd.y",
		"can't open /data/lnd.db: no space left":                              "can't open /data/lnd.db: no space left",
		"":                                                                    "",
	} {
		if got := brief("lnd", text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestStatusOfWhatIsNotInstalled(t *testing.T) {
	t.Parallel()
	s := seen(units.Unit{Loaded: true, Active: units.Active}, systemd.Unit{}, reply{})
	s.want.Apps = nil
	if a := s.app("lnd"); a.stateText() != "running (removed)" || !a.isRight {
		t.Errorf("%q, right %v", a.stateText(), a.isRight)
	}
	s.want.Complete = false // the manifests could not be compiled: nothing is known
	if a := s.app("lnd"); a.stateText() != "running" {
		t.Errorf("%q", a.stateText())
	}
}

func TestStatusOfARollback(t *testing.T) {
	t.Parallel()
	s := seen(units.Unit{Loaded: true, Active: units.Active}, systemd.Unit{}, reply{})
	s.history.RollBack(s.want.Apps[0])
	if a := s.app("lnd"); a.stateText() != "running (rolled-back)" || !strings.Contains(a.detail, "archgen restart lnd tries that again") {
		t.Errorf("%q, %q", a.stateText(), a.detail)
	}
}

// What was tried is said with when something is tried again.
func TestStatusOfRepairs(t *testing.T) {
	t.Parallel()
	s := seen(units.Unit{Loaded: true, Active: units.Failed}, systemd.Unit{}, reply{}, because(units.ReasonBackingOff))
	for range 2 {
		s.history.Repaired(s.want.Apps[0], units.ReasonNotServing, noon)
	}
	want := "2 repairs (not-serving) did not help; the next comes after " + noon.Add(20*time.Second).Local().Format(time.TimeOnly)
	if a := s.app("lnd"); a.detail != want {
		t.Errorf("%q, want %q", a.detail, want)
	}
}

// An app whose manifest never was valid is shown, with the place of the error.
func TestStatusOfAnInvalidManifest(t *testing.T) {
	t.Parallel()
	s := seen(units.Unit{}, systemd.Unit{}, reply{}, units.Action{App: "bad", Kind: units.Leave, Reason: units.ReasonInvalidManifest})
	s.want.Invalid = []string{"bad"}
	s.compiled.Diags = diag.List{
		{Severity: diag.Warning, File: "/etc/archipelago/apps/bad.yaml", Line: 1, Column: 1, Message: "old"},
		{Severity: diag.Error, Code: diag.UnknownKey, File: "/etc/archipelago/apps/bad.d/10.yaml", Line: 5, Column: 3, Message: "what is that?"},
	}
	if d := cmp.Diff([]string{"bad", "lnd"}, s.ids()); d != "" {
		t.Error(d)
	}
	a := s.app("bad")
	if a.stateText() != "stopped (invalid-manifest)" || a.isRight || a.Error != "/etc/archipelago/apps/bad.d/10.yaml:5:3: error: what is that?" {
		t.Errorf("%q, right %v, error %q", a.stateText(), a.isRight, a.Error)
	}
}

// An app is what the worst of its parts is, and says which.
func TestStatusOfParts(t *testing.T) {
	t.Parallel()
	part := func(name string, s units.Phase, r units.Reason, right bool, restarts uint32) partStatus {
		return partStatus{Name: name, condition: condition{State: s, Reason: r, Restarts: restarts, Ports: []units.Port{}}, isRight: right}
	}
	for name, tt := range map[string]struct {
		parts  []partStatus
		state  string
		detail string
		right  bool
	}{
		"all well":        {[]partStatus{part("a", units.PhaseRunning, "", true, 1), part("a.db", units.PhaseDone, "", true, 2)}, "running", "", true},
		"main part worst": {[]partStatus{part("a", units.PhaseFailed, units.ReasonFailed, false, 3), part("a.db", units.PhaseRestarting, units.ReasonRestartedBySystemd, false, 0)}, "failed", "", false},
		"other worst":     {[]partStatus{part("a", units.PhaseRunning, "", true, 1), part("a.db", units.PhaseFailed, units.ReasonGaveUp, false, 2)}, "failed (gave-up)", "db: failed (gave-up)", false},
		"stopped":         {[]partStatus{part("a", units.PhaseStopped, units.ReasonStoppedByOperator, true, 1), part("a.db", units.PhaseStopped, units.ReasonMainStopped, true, 2)}, "stopped-by-operator", "", true},
	} {
		a := appStatus{ID: "a", Parts: tt.parts}
		a.sum()
		if a.stateText() != tt.state || a.detail != tt.detail || a.isRight != tt.right || a.Restarts != 3 {
			t.Errorf("%s: %q, detail %q, right %v, %d restarts", name, a.stateText(), a.detail, a.isRight, a.Restarts)
		}
	}
}

// One app is shown with what it can do beyond its own containers.
func TestStatusShowsRights(t *testing.T) {
	t.Parallel()
	s := seen(units.Unit{Loaded: true, Active: units.Active}, systemd.Unit{}, reply{})
	if a := s.app("lnd"); len(a.Rights) != 0 || a.Rights == nil {
		t.Errorf("without a manifest: %v", a.Rights)
	}
	m := parsed(t, "app: {id: lnd, name: L, version: 1.0.0, container: {image: x, privileged: true, ports: ['0.0.0.0:9735:9735']}}")
	set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.Settings{})
	s.compiled.Rights = map[string][]rights.Right{"lnd": rights.Of(set.Apps[0])}
	s.compiled.Settings.Allow = []string{"listen"}
	lines := strings.Join(appearance{}.one(s.app("lnd")), "\n")
	if want := "  rights    privileged (critical, not granted)\n            listen:0.0.0.0:9735/tcp (medium)"; !strings.Contains(lines, want) {
		t.Errorf("%s\nhas no\n%s", lines, want)
	}
}

// The keys are a contract with whoever reads them.
func TestStatusJSON(t *testing.T) {
	t.Parallel()
	s := seen(units.Unit{Loaded: true, Active: units.Active}, systemd.Unit{ActiveEnterTimestamp: stamp(time.Hour), NRestarts: 2}, reply{health: units.Serving})
	found := s.found["app@lnd.service"]
	found.Container = podman.Running{Created: noon.Add(-time.Hour - time.Second)}
	s.found["app@lnd.service"] = found
	data, err := json.Marshal(s.app("lnd"))
	if err != nil {
		t.Fatal(err)
	}
	var have map[string]any
	if err := json.Unmarshal(data, &have); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"created", "error", "exit_code", "health", "id", "image", "lan_address", "level", "name", "parts", "ports",
		"reason", "restarts", "rights", "started_at", "state", "version",
	}
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(have))); d != "" {
		t.Errorf("keys (-want +have):\n%s", d)
	}
	for key, value := range map[string]any{
		"state": "running", "health": "serving", "exit_code": nil, "started_at": "2026-11-24T11:00:00Z", "created": "2026-11-24T10:59:59Z",
		"restarts": 2.0, "image": "docker.io/x/lnd:1", "lan_address": "192.168.1.5:9735",
		"ports": []any{map[string]any{"address": "0.0.0.0", "host": "9735", "container": "9735", "protocol": "tcp"}},
	} {
		if d := cmp.Diff(value, have[key]); d != "" {
			t.Errorf("%s: %s", key, d)
		}
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ how, status, want int32 }{{0, 0, -1}, {1, 0, 0}, {1, 125, 125}, {2, 9, 137}, {3, 11, 139}} {
		got := int32(-1)
		if code := exitOf(tt.how, tt.status); code != nil {
			got = int32(*code)
		}
		if got != tt.want {
			t.Errorf("how %d, status %d: %d, want %d", tt.how, tt.status, got, tt.want)
		}
	}
}

func TestLANAddress(t *testing.T) {
	t.Parallel()
	s := &snapshot{host: netip.MustParseAddr("192.168.1.5")}
	for _, tt := range []struct {
		want  string
		ports []units.Port
	}{
		{"", nil},
		{"", []units.Port{{Address: "127.0.0.1", Host: "80", Container: "80", Protocol: "tcp"}, {Address: "::1", Host: "80", Container: "80", Protocol: "tcp"}, {Address: "0.0.0.0", Host: "53", Container: "53", Protocol: "udp"}}},
		{"192.168.1.5:8333", []units.Port{{Address: "127.0.0.1", Host: "8332", Container: "8332", Protocol: "tcp"}, {Address: "0.0.0.0", Host: "8333", Container: "8333", Protocol: "tcp"}}},
		{"192.168.1.5:30000", []units.Port{{Address: "::", Host: "30000-30009", Container: "30000-30009", Protocol: "tcp"}}},
		{"10.0.0.7:80", []units.Port{{Address: "10.0.0.7", Host: "80", Container: "80", Protocol: "tcp"}}},
		{"[fd00::7]:80", []units.Port{{Address: "fd00::7", Host: "80", Container: "80", Protocol: "tcp"}}},
	} {
		if got := s.lanAddress(tt.ports); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.ports, got, tt.want)
		}
	}
}

func TestDefaultInterface(t *testing.T) {
	t.Parallel()
	routes := "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n" +
		"podman0\t0000580A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n" +
		"wlan0\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
	if got := defaultInterface([]byte(routes)); got != "wlan0" {
		t.Errorf("%q", got)
	}
	if got := defaultInterface(nil); got != "" {
		t.Errorf("without routes: %q", got)
	}
}

// Columns are aligned by what is seen, and go where there is no room for them.
func TestStatusTable(t *testing.T) {
	t.Parallel()
	apps := []appStatus{
		{ID: "bitcoin-knots", LANAddress: "192.168.1.5:8333", isRight: true, condition: condition{
			State: units.PhaseRunning, Reason: units.ReasonLoading, Level: "loading 43 %", since: noon.Add(-90 * time.Minute),
			Image: "docker.io/x/knots:29@sha256:0123456789abcdef0123456789abcdef", detail: "vérifie les blocs",
		}},
		{ID: "lnd", Error: "no such wallet", condition: condition{
			State: units.PhaseFailed, Reason: units.ReasonGaveUp, Restarts: 12, since: noon.Add(-50 * time.Hour), Image: "lnd:1",
			Ports: []units.Port{{Address: "127.0.0.1", Host: "9735", Container: "9735", Protocol: "tcp"}},
		}},
	}
	for _, tt := range []struct {
		width int
		want  string
	}{
		{120, `
APP            STATE              LEVEL         SINCE  RESTARTS  ADDRESS           IMAGE
bitcoin-knots  running (loading)  loading 43 %  1h     0         192.168.1.5:8333  knots:29@sha256:0123456789ab
  vérifie les blocs
lnd            failed (gave-up)   -             2d     12        127.0.0.1:9735    lnd:1
  no such wallet
`},
		{80, `
APP            STATE              LEVEL         SINCE  ADDRESS
bitcoin-knots  running (loading)  loading 43 %  1h     192.168.1.5:8333
  vérifie les blocs
lnd            failed (gave-up)   -             2d     127.0.0.1:9735
  no such wallet
`},
		{16, `
APP            STATE              LEVEL
bitcoin-knots  running (loading)  loading 43 %
  vérifie les b…
lnd            failed (gave-up)   -
  no such wallet
`},
	} {
		got := "\n" + strings.Join(appearance{ui.Style{Width: tt.width}, noon}.table(apps), "\n") + "\n"
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%d columns (-want +got):\n%s", tt.width, d)
		}
	}
	painted := strings.Join(appearance{ui.Style{Width: 120, Color: true}, noon}.table(apps), "\n")
	for _, want := range []string{"\x1b[33mrunning (loading)\x1b[0m  loading", "\x1b[31mfailed (gave-up)\x1b[0m   -"} {
		if !strings.Contains(painted, want) {
			t.Errorf("%q is not in %q", want, painted)
		}
	}
}

// Off a terminal, watch prints what is new, and nothing else.
func TestWatchPrintsChanges(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := watcher{cli: &cli{stdout: &out}, shown: map[string]string{}}
	lnd := appStatus{ID: "lnd", condition: condition{State: units.PhaseRunning, Level: "serving"}}
	web := appStatus{ID: "web", condition: condition{State: units.PhaseStopped, Reason: units.ReasonStoppedByOperator}}
	w.changes([]appStatus{lnd, web}, noon)
	lnd.since, lnd.Restarts = noon, 7
	w.changes([]appStatus{lnd, web}, noon.Add(time.Second))
	lnd.State, lnd.Level, lnd.Error = units.PhaseFailed, "", "gone wrong"
	w.changes([]appStatus{lnd}, noon.Add(2*time.Second))
	const want = `12:00:00 lnd: running serving
12:00:00 web: stopped-by-operator
12:00:02 lnd: failed: gone wrong
12:00:02 web: gone
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

func TestStatusOfAnUnknownApp(t *testing.T) {
	t.Parallel()
	apps := []appStatus{{ID: "lnd"}, {ID: "web"}}
	if one, err := selectApp(apps, []string{"web"}); err != nil || len(one) != 1 || one[0].ID != "web" {
		t.Errorf("%v, %v", one, err)
	}
	_, err := selectApp(apps, []string{"wbe"})
	if err == nil || err.Error() != `there is no app "wbe"; there are: lnd, web` {
		t.Errorf("%v", err)
	}
}
