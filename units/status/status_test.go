package status

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const service = "app@lnd.service"

// seen returns the scene of an app with one service.
func seen(u units.Unit, a Answer, actions ...units.Action) Scene {
	file := units.File{Name: "app@lnd.container", App: "lnd", Content: []byte("[Container]\nImage=docker.io/x/lnd:1\nPublishPort=0.0.0.0:9735:9735/tcp\n")}
	return Scene{ID: "lnd", Actions: actions, Services: []Service{{Name: service, Unit: u, File: file, Answer: a}}}
}

func because(r units.Reason) units.Action {
	return units.Action{App: "lnd", Kind: units.Leave, Target: service, Reason: r}
}

// levelOf returns a level with its progress.
func levelOf(c Condition) string {
	if c.Progress != nil {
		return string(c.Level) + " " + time.Duration(*c.Progress*float64(time.Second)).String()
	}
	return string(c.Level)
}

// The states of systemd, the answers and the plan result in one status.
func TestStatusOfAnApp(t *testing.T) {
	t.Parallel()
	running := units.Unit{Loaded: true, Active: units.Active}
	stopped := units.Unit{Loaded: true, Active: units.Inactive}
	failed := units.Unit{Loaded: true, Active: units.Failed}
	starting := func(text string) units.Unit {
		return units.Unit{Loaded: true, Active: units.Activating, Run: units.Run{StatusText: text}}
	}
	for name, tt := range map[string]struct {
		unit    units.Unit
		answer  Answer
		actions []units.Action
		state   string
		level   string
		wrong   bool
	}{
		"no probe":            {unit: running, state: "running"},
		"unreadable":          {unit: units.Unit{Loaded: true, Active: units.Active, Unreadable: "input/output error"}, state: "running (unreadable)", wrong: true},
		"serving":             {unit: running, answer: AnswerOf(probe.Outcome{State: probe.Serving, Progress: -1}, nil, nil), state: "running", level: "serving"},
		"catching up":         {unit: running, answer: Answer{Health: units.Serving, Level: Serving, Progress: 0.4}, state: "running", level: "serving 400ms"},
		"caught up":           {unit: running, answer: Answer{Health: units.Serving, Level: Synced, Progress: -1}, state: "running", level: "synced"},
		"loading":             {unit: running, answer: Answer{Health: units.Loading, Level: Loading, Progress: 0.5}, actions: []units.Action{because(units.ReasonLoading)}, state: "running (loading)", level: "loading 500ms"},
		"loading, no measure": {unit: running, answer: Answer{Health: units.Loading, Level: Loading, Progress: -1}, actions: []units.Action{because(units.ReasonLoading)}, state: "running (loading)", level: "loading"},
		"locked wallet":       {unit: running, answer: Answer{Health: units.NeedsUser, Level: NeedsUser}, actions: []units.Action{because(units.ReasonNeedsUser)}, state: "running (needs-user)", level: "needs-user"},
		"unreachable":         {unit: running, answer: Answer{Health: units.Failing, Level: Silent}, actions: []units.Action{because(units.ReasonNotAnsweringYet)}, state: "running (not-answering-yet)", level: "silent", wrong: true},
		"answers wrongly":     {unit: running, answer: Answer{Health: units.Unhealthy, Level: Alive}, actions: []units.Action{because(units.ReasonNotServing)}, state: "running (not-serving)", level: "alive", wrong: true},
		"could not be asked":  {unit: running, answer: AnswerOf(probe.Outcome{State: probe.Wrong, Reason: probe.NoCredentials}, nil, nil), state: "running"},
		"sick in the container": {
			unit: units.Unit{Loaded: true, Active: units.Active, Health: units.Unhealthy}, actions: []units.Action{because(units.ReasonNotServing)}, state: "running (not-serving)", level: "silent", wrong: true,
		},
		"serves in the container": {unit: units.Unit{Loaded: true, Active: units.Active, Health: units.Serving}, state: "running", level: "serving"},
		"paused": {
			unit: units.Unit{Loaded: true, Active: units.Active, Paused: true}, answer: Answer{Health: units.Failing, Level: Silent}, actions: []units.Action{because(units.ReasonPaused)}, state: "paused", wrong: true,
		},
		"ran to its end":      {unit: units.Unit{Loaded: true, Active: units.Active, Run: units.Run{Exited: true}}, state: "done"},
		"file deleted":        {unit: units.Unit{Active: units.Active}, actions: []units.Action{{App: "lnd", Target: "app@lnd.container", Reason: units.ReasonFileMissing}}, state: "running (file-missing)"},
		"deleted, unplanned":  {unit: units.Unit{Active: units.Active}, state: "running (not-loaded)"},
		"edited, unplanned":   {unit: units.Unit{Loaded: true, NeedsReload: true, Active: units.Active}, state: "running (needs-reload)"},
		"another digest":      {unit: running, actions: []units.Action{because(units.ReasonDigestDiffers)}, state: "running (digest-differs)"},
		"starting":            {unit: starting("loading: 80 of 100 blocks"), actions: []units.Action{because(units.ReasonStarting)}, state: "starting", level: "loading"},
		"starting, no answer": {unit: starting("waiting: no program listens"), actions: []units.Action{because(units.ReasonStarting)}, state: "starting"},
		"stopping":            {unit: units.Unit{Loaded: true, Active: units.Deactivating}, actions: []units.Action{because(units.ReasonStopping)}, state: "stopping"},
		"crash loop":          {unit: units.Unit{Loaded: true, Active: units.Activating, Restarting: true}, actions: []units.Action{because(units.ReasonRestartedBySystemd)}, state: "restarting", wrong: true},
		"failed":              {unit: failed, actions: []units.Action{because(units.ReasonFailed)}, state: "failed", wrong: true},
		"failed, unplanned":   {unit: failed, state: "failed", wrong: true},
		"given up":            {unit: failed, actions: []units.Action{because(units.ReasonGaveUp)}, state: "failed (gave-up)", wrong: true},
		"backing off":         {unit: failed, actions: []units.Action{because(units.ReasonBackingOff)}, state: "failed (backing-off)", wrong: true},
		"failed, disabled":    {unit: failed, actions: []units.Action{because(units.ReasonDisabled)}, state: "failed (disabled)"},
		"stopped by a person": {unit: stopped, actions: []units.Action{because(units.ReasonStoppedByOperator)}, state: "stopped-by-operator"},
		"disabled":            {unit: stopped, actions: []units.Action{because(units.ReasonDisabled)}, state: "stopped (disabled)"},
		"never started":       {unit: stopped, actions: []units.Action{because(units.ReasonNeverStarted)}, state: "stopped (never-started)", wrong: true},
		"never applied": {
			unit: units.Unit{Active: units.Inactive}, actions: []units.Action{{App: "lnd", Target: "app@lnd.container", Reason: units.ReasonFileMissing}, because(units.ReasonNeverStarted)},
			state: "stopped (file-missing)", wrong: true,
		},
		"manifest invalid": {unit: running, actions: []units.Action{{App: "lnd", Kind: units.Leave, Reason: units.ReasonInvalidManifest}}, state: "running (invalid-manifest)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := Of(seen(tt.unit, tt.answer, tt.actions...))
			if a.StateText() != tt.state || levelOf(a.Condition) != tt.level || a.IsRight() == tt.wrong {
				t.Errorf("%q, level %q, right %v; want %q, %q, %v", a.StateText(), levelOf(a.Condition), a.IsRight(), tt.state, tt.level, !tt.wrong)
			}
		})
	}
}

// An error in a manifest has precedence over the actions of a pass. Its position is
// reported, even if the manifest was never valid.
func TestStatusOfAnInvalidManifest(t *testing.T) {
	t.Parallel()
	s := seen(units.Unit{Loaded: true, Active: units.Active}, Answer{},
		units.Action{App: "lnd", Kind: units.Write, Target: "app@lnd.container", Reason: units.ReasonFileDiffers},
		units.Action{App: "lnd", Kind: units.Leave, Reason: units.ReasonInvalidManifest})
	s.Refused, s.Diagnostic = units.ReasonInvalidManifest, "lnd.yaml:5:3: error: what is that?"
	if a := Of(s); a.StateText() != "running (invalid-manifest)" || a.Error != s.Diagnostic || a.Mend != "archgen check" {
		t.Errorf("%+v", a)
	}
	s.Services = nil
	if a := Of(s); a.StateText() != "stopped (invalid-manifest)" || a.IsRight() || a.Error != s.Diagnostic {
		t.Errorf("%+v", a)
	}
}

// A missing image has precedence over the action that needs it. A pass that found it
// missing reports it.
func TestStatusOfWhatLacks(t *testing.T) {
	t.Parallel()
	missing := units.Action{App: "lnd", Kind: units.Write, Target: "app@lnd.container", Reason: units.ReasonFileMissing}
	for _, tt := range []struct {
		pull   units.ActiveState
		action units.Action
		want   string
		err    string
	}{
		{units.Activating, missing, "stopped (pulling)", ""},
		{units.Failed, missing, "stopped (pull-failed)", "401 Unauthorized"},
		{units.Inactive, missing, "stopped (file-missing)", ""},
		{units.Failed, because(units.ReasonMasked), "stopped (masked)", ""},
		{"", units.Action{App: "lnd", Kind: units.Leave, Reason: units.ReasonPullFailed}, "stopped (pull-failed)", "401 Unauthorized"},
		{"", units.Action{App: "lnd", Kind: units.Leave, Reason: units.ReasonPulling}, "stopped (pulling)", ""},
	} {
		s := seen(units.Unit{Loaded: true, Active: units.Inactive}, Answer{}, tt.action)
		s.Pull, s.Lines = tt.pull, map[string][]string{units.PullOf("lnd"): {"pulling", "401 Unauthorized"}}
		if a := Of(s); a.StateText() != tt.want || a.Error != tt.err {
			t.Errorf("%s: %q, %q; want %q, %q", tt.pull, a.StateText(), a.Error, tt.want, tt.err)
		}
	}
}

// Where the exit code means nothing, systemd's result explains the failure. The error is
// the last line of the app, without control characters.
func TestStatusOfAFailure(t *testing.T) {
	t.Parallel()
	s := seen(units.Unit{Loaded: true, Active: units.Failed, Run: units.Run{Result: "oom-kill", HasExitCode: true, ExitCode: 137}}, Answer{}, because(units.ReasonFailed))
	if d := cmp.Diff([]string{service}, Of(s).Unexplained()); d != "" {
		t.Error(d)
	}
	s.Lines = map[string][]string{service: {"opening the wallet", "\x1b[31mno such wallet\x1b[0m "}}
	a := Of(s)
	if a.Detail != "the kernel killed it: out of memory" || *a.ExitCode != 137 || a.Error != "[31mno such wallet[0m" || len(a.Log) != 2 {
		t.Errorf("%+v", a.Condition)
	}
}

// A failure on a limit of the machine has a reason of its own, whatever a pass says about it.
func TestStatusAtALimit(t *testing.T) {
	t.Parallel()
	restarting := units.Unit{Loaded: true, Active: units.Activating, Restarting: true, Run: units.Run{HasExitCode: true, ExitCode: 126}}
	failed := restarting
	failed.Active, failed.Restarting = units.Failed, false
	line := "Error: OCI runtime error: crun: create keyring `4be5`: Disk quota exceeded"
	for _, tt := range []struct {
		unit  units.Unit
		why   units.Reason
		lines []string
		want  string
	}{
		{restarting, units.ReasonRestartedBySystemd, []string{line}, "restarting (limit-reached)"},
		{restarting, units.ReasonLimitReached, []string{line}, "restarting (limit-reached)"},
		{failed, units.ReasonGaveUp, []string{line}, "failed (limit-reached)"},
		{failed, units.ReasonDisabled, []string{line}, "failed (disabled)"},
		{restarting, units.ReasonRestartedBySystemd, []string{"panic"}, "restarting"},
		{units.Unit{Loaded: true, Active: units.Active}, "", []string{line}, "running"},
	} {
		s := seen(tt.unit, Answer{}, because(tt.why))
		s.Lines = map[string][]string{service: tt.lines}
		a := Of(s)
		if a.StateText() != tt.want {
			t.Errorf("%s: %s, want %s", tt.why, a.StateText(), tt.want)
		}
		if a.Reason == units.ReasonLimitReached && (a.Detail != "the limit of kernel keys is reached (kernel.keys.maxkeys)" || a.Mend != "archgen doctor" || a.Error != line) {
			t.Errorf("%+v", a.Condition)
		}
	}
}

func TestStatusOfWhatIsNotInstalled(t *testing.T) {
	t.Parallel()
	s := seen(units.Unit{Loaded: true, Active: units.Active}, Answer{})
	s.Removed = true
	if a := Of(s); a.StateText() != "running (removed)" || !a.IsRight() {
		t.Errorf("%q, right %v", a.StateText(), a.IsRight())
	}
}

func TestStatusOfARollback(t *testing.T) {
	t.Parallel()
	s := seen(units.Unit{Loaded: true, Active: units.Active}, Answer{})
	s.RolledBack = true
	if a := Of(s); a.StateText() != "running (rolled-back)" || !strings.Contains(a.Detail, "archgen restart lnd tries that again") {
		t.Errorf("%q, %q", a.StateText(), a.Detail)
	}
}

// The detail has the number of repairs. The status has the time of the next one.
func TestStatusOfRepairs(t *testing.T) {
	t.Parallel()
	history := units.History{}
	for range 2 {
		history.Repaired(units.App{ID: "lnd"}, units.ReasonNotServing, noon)
	}
	s := seen(units.Unit{Loaded: true, Active: units.Failed}, Answer{}, because(units.ReasonBackingOff))
	s.Record = history["lnd"]
	if a := Of(s); a.Detail != "2 repairs (not-serving) did not help" || !a.NextRepairAt.Equal(noon.Add(20*time.Second)) {
		t.Errorf("%q, %v", a.Detail, a.NextRepairAt)
	}
	s.Actions = nil
	if a := Of(s); a.NextRepairAt != nil {
		t.Errorf("no repair is put off: %v", a.NextRepairAt)
	}
}

// The part in the worst state decides and is named; the main part if others are no worse.
func TestStatusOfParts(t *testing.T) {
	t.Parallel()
	type part struct {
		unit  units.Unit
		level Level
		why   units.Reason
	}
	health := map[Level]units.Health{Silent: units.Failing, Alive: units.Failing, Loading: units.Loading, Serving: units.Serving}
	up, failed, restarting := units.Unit{Loaded: true, Active: units.Active}, units.Unit{Loaded: true, Active: units.Failed}, units.Unit{Loaded: true, Restarting: true}
	down, done := units.Unit{Loaded: true, Active: units.Inactive}, units.Unit{Loaded: true, Active: units.Active, Run: units.Run{Exited: true}}
	for name, tt := range map[string]struct {
		main, db part
		state    string
		level    Level
		detail   string
		right    bool
	}{
		"all well":         {part{up, "", ""}, part{done, "", ""}, "running", "", "", true},
		"one has a probe":  {part{up, "", ""}, part{up, Serving, ""}, "running", Serving, "", true},
		"one is silent":    {part{up, Serving, ""}, part{up, Silent, units.ReasonNotAnsweringYet}, "running (not-answering-yet)", Silent, "db: running (not-answering-yet)", false},
		"one loads":        {part{up, Serving, ""}, part{up, Loading, units.ReasonLoading}, "running (loading)", Loading, "", true},
		"the main loads":   {part{up, Loading, units.ReasonLoading}, part{up, Serving, ""}, "running (loading)", Loading, "", true},
		"main part worst":  {part{failed, "", units.ReasonFailed}, part{restarting, "", units.ReasonRestartedBySystemd}, "failed", "", "", false},
		"other worst":      {part{up, Serving, ""}, part{failed, "", units.ReasonGaveUp}, "failed (gave-up)", "", "db: 0 repairs did not help", false},
		"both failed":      {part{failed, "", units.ReasonFailed}, part{failed, "", units.ReasonGaveUp}, "failed", "", "", false},
		"stopped":          {part{down, "", units.ReasonStoppedByOperator}, part{down, "", units.ReasonMainStopped}, "stopped-by-operator", "", "", true},
		"a part was ended": {part{up, Serving, ""}, part{down, "", units.ReasonStoppedByOperator}, "stopped-by-operator", "", "", true},
	} {
		s := Scene{ID: "a"}
		for i, p := range []part{tt.main, tt.db} {
			v := Service{Name: []string{"app@a.service", "app@a.db.service"}[i], Unit: p.unit, Answer: Answer{Level: p.level, Health: health[p.level]}}
			v.Unit.Restarts = uint32(i + 1)
			if s.Services = append(s.Services, v); p.why != "" {
				s.Actions = append(s.Actions, units.Action{App: "a", Kind: units.Leave, Target: v.Name, Reason: p.why})
			}
		}
		a := Of(s)
		if a.StateText() != tt.state || a.Level != tt.level || a.Detail != tt.detail || a.IsRight() != tt.right || a.Restarts != 3 {
			t.Errorf("%s: %q, level %q, detail %q, right %v, %d restarts", name, a.StateText(), a.Level, a.Detail, a.IsRight(), a.Restarts)
		}
	}
}

// The services of an app are those rendered, those with a file, and those running, main
// first. The manifests say which apps wait for which.
func TestScenes(t *testing.T) {
	t.Parallel()
	node, lnd, bad := units.App{ID: "node", Parts: []units.Part{{Service: "app@node.db.service"}, {Service: "app@node.service"}}}, units.App{ID: "lnd", Needs: []string{"node", "node"}, ManifestDigest: "m"}, "bad"
	l := Look{
		Want:    units.Desired{Apps: []units.App{node, lnd}, Invalid: []string{bad}, Complete: true},
		Units:   map[string]units.Unit{"app@gone.service": {Active: units.Active}, "app@never.service": {Active: units.Inactive}, units.PullOf("lnd"): {Active: units.Activating}},
		History: units.History{"lnd": {RolledBack: true, ManifestDigest: "m"}},
		Actions: []units.Action{{App: "lnd", Kind: units.Leave, Reason: units.ReasonRolledBack}, {Kind: units.Reload}},
	}
	services := Services(l.Want.Apps, units.Set{{Name: "app@old.container", App: "old"}, {Name: "archipelago-old.recipe", App: "old"}}, l.Units)
	if d := cmp.Diff(map[string][]string{
		"node": {"app@node.service", "app@node.db.service"}, "gone": {"app@gone.service"}, "old": {"app@old.service"},
	}, services); d != "" {
		t.Errorf("services (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]Scene{
		"node": {ID: "node", UsedBy: []string{"lnd"}},
		"lnd":  {ID: "lnd", WaitsFor: []string{"node"}, RolledBack: true, Record: l.History["lnd"], Pull: units.Activating, Actions: l.Actions[:1]},
		"gone": {ID: "gone", Removed: true},
		"bad":  {ID: "bad", Refused: units.ReasonInvalidManifest},
	}, l.Scenes([]string{"node", "lnd", "gone", "bad"})); d != "" {
		t.Errorf("scenes (-want +got):\n%s", d)
	}
}

func TestLANAddress(t *testing.T) {
	t.Parallel()
	tcp := func(address, host string) units.Port {
		return units.Port{Address: address, Host: host, Protocol: "tcp"}
	}
	for _, tt := range []struct {
		want  string
		ports []units.Port
	}{
		{"", nil},
		{"", []units.Port{tcp("127.0.0.1", "80"), tcp("::1", "80"), {Address: "0.0.0.0", Host: "53", Protocol: "udp"}}},
		{"192.168.1.5:8333", []units.Port{tcp("127.0.0.1", "8332"), tcp("0.0.0.0", "8333")}},
		{"192.168.1.5:30000", []units.Port{tcp("::", "30000-30009")}},
		{"10.0.0.7:80", []units.Port{tcp("10.0.0.7", "80")}},
		{"[fd00::7]:80", []units.Port{tcp("fd00::7", "80")}},
	} {
		if got := LANAddress(tt.ports, "192.168.1.5"); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.ports, got, tt.want)
		}
	}
	if got := LANAddress([]units.Port{tcp("0.0.0.0", "80")}, ""); got != "" {
		t.Errorf("on a machine without an address: %q", got)
	}
}

func TestUI(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ bind, host, want string }{
		{"0.0.0.0", "192.168.1.5", "https://192.168.1.5:8443/app"},
		{"0.0.0.0", "", "https://127.0.0.1:8443/app"},
		{"127.0.0.1", "192.168.1.5", "https://127.0.0.1:8443/app"},
		{"::1", "192.168.1.5", "https://[::1]:8443/app"},
	} {
		if got := (UI{Scheme: "https", Port: 8443, Path: "/app"}).With(units.Port{Address: tt.bind, Host: "8443"}, tt.host); got.URL != tt.want {
			t.Errorf("%s: %s, want %s", tt.bind, got.URL, tt.want)
		}
	}
}
