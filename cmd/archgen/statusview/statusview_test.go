package statusview

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/status"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *time.Time {
	t := noon.Add(-d)
	return &t
}

// app is the status of an app with one part.
func app(id string, c status.Condition) App {
	return App{App: status.App{ID: id, Condition: c, Parts: []status.Part{{Name: id, Condition: c}}}}
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

// One app is shown with all that is known of it, and nothing that is not.
func TestStatusOfOne(t *testing.T) {
	t.Parallel()
	a := app("lnd", status.Condition{
		State: units.PhaseFailed, Reason: units.ReasonBackingOff, Meaning: "it was repaired lately", Mend: "archgen restart lnd", Detail: "1 repair did not help",
		Error: "no such wallet", Restarts: 2, Image: "lnd:1", Ports: []units.Port{{Address: "0.0.0.0", Host: "8443", Container: "443", Protocol: "tcp"}},
	})
	a.Name, a.Version, a.LANAddress, a.UI = "L", "1.0.0", "192.168.1.5:8443", &status.UI{URL: "https://192.168.1.5:8443/x"}
	a.NextRepairAt, a.TrialUntil = ago(-time.Hour), ago(-time.Hour)
	a.Rights = []rights.Granted{{Right: rights.Right{ID: "privileged", Severity: rights.Critical}, Granted: rights.Nobody}}
	want := `
lnd  L 1.0.0
  state     failed (backing-off)
  why       it was repaired lately
  fix       archgen restart lnd
  detail    1 repair did not help
  error     no such wallet
  repair    not before ` + ago(-time.Hour).Local().Format(time.DateTime) + `
  trial     until ` + ago(-time.Hour).Local().Format(time.DateTime) + `
  restarts  2
  image     lnd:1
  ports     0.0.0.0:8443 → 443/tcp
  LAN       192.168.1.5:8443
  UI        https://192.168.1.5:8443/x
  rights    privileged (critical, not granted)
`
	if d := cmp.Diff(want, "\n"+strings.Join(View{}.One(a), "\n")+"\n"); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// The keys are a contract with the programs that read them.
func TestStatusJSON(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(App{
		App:         status.Of(status.Scene{ID: "lnd", Services: []status.Service{{Name: "app@lnd.service"}}}),
		Description: (&compile.Compiled{}).Describe("lnd", ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	var have map[string]any
	if err := json.Unmarshal(data, &have); err != nil {
		t.Fatal(err)
	}
	parts, _ := have["parts"].([]any)
	part, _ := parts[0].(map[string]any)
	both := []string{
		"created", "detail", "digest", "error", "exit_code", "health", "image", "level", "log", "meaning", "mend", "ports", "progress", "reason",
		"restarts", "since", "started_at", "state",
	}
	ofApp := slices.Concat(both, []string{"id", "lan_address", "name", "next_repair_at", "parts", "rights", "trial_until", "ui", "used_by", "version", "waits_for"})
	for title, tt := range map[string]struct {
		want []string
		have map[string]any
	}{"app": {ofApp, have}, "part": {slices.Concat(both, []string{"name", "service"}), part}} {
		if d := cmp.Diff(slices.Sorted(slices.Values(tt.want)), slices.Sorted(maps.Keys(tt.have))); d != "" {
			t.Errorf("keys of an %s (-want +have):\n%s", title, d)
		}
		for key, value := range tt.have {
			isNullable := slices.Contains([]string{"created", "exit_code", "next_repair_at", "progress", "since", "started_at", "trial_until", "ui"}, key)
			if value == nil && !isNullable {
				t.Errorf("%s of an %s is null", key, title)
			}
		}
	}
}

// Columns are aligned by what is seen, and go where there is no room for them.
func TestStatusTable(t *testing.T) {
	t.Parallel()
	progress := 0.437
	apps := []App{
		app("bitcoin-knots", status.Condition{
			State: units.PhaseRunning, Reason: units.ReasonLoading, Level: status.Loading, Progress: &progress, Since: ago(90 * time.Minute),
			Image: "docker.io/x/knots:29@sha256:0123456789abcdef0123456789abcdef", Detail: "vérifie les blocs",
		}),
		app("lnd", status.Condition{
			State: units.PhaseFailed, Reason: units.ReasonGaveUp, Restarts: 12, Since: ago(50 * time.Hour), Image: "lnd:1", Error: "no such wallet",
			Ports: []units.Port{{Address: "127.0.0.1", Host: "9735", Container: "9735", Protocol: "tcp"}},
		}),
	}
	apps[0].LANAddress = "192.168.1.5:8333"
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
		got := "\n" + strings.Join(View{ui.Style{Width: tt.width}, noon}.Table(apps), "\n") + "\n"
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%d columns (-want +got):\n%s", tt.width, d)
		}
	}
	painted := strings.Join(View{ui.Style{Width: 120, Color: true}, noon}.Table(apps), "\n")
	for _, want := range []string{"\x1b[33mrunning (loading)\x1b[0m  loading", "\x1b[31mfailed (gave-up)\x1b[0m   -"} {
		if !strings.Contains(painted, want) {
			t.Errorf("%q is not in %q", want, painted)
		}
	}
}

// Off a terminal, watch prints what is new, and nothing else.
func TestChanges(t *testing.T) {
	t.Parallel()
	var changes Changes
	lnd := app("lnd", status.Condition{State: units.PhaseRunning, Level: status.Serving})
	web := app("web", status.Condition{State: units.PhaseStopped, Reason: units.ReasonStoppedByOperator})
	got := changes.Lines([]App{lnd, web}, noon)
	lnd.Since, lnd.Restarts = ago(0), 7
	got = append(got, changes.Lines([]App{lnd, web}, noon.Add(time.Second))...)
	lnd.State, lnd.Level, lnd.Error = units.PhaseFailed, "", "gone wrong"
	got = append(got, changes.Lines([]App{lnd}, noon.Add(2*time.Second))...)
	want := []string{"12:00:00 lnd: running serving", "12:00:00 web: stopped-by-operator", "12:00:02 lnd: failed: gone wrong", "12:00:02 web: gone"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
