package status

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
)

// Which answers end a wait, by level.
func TestReached(t *testing.T) {
	t.Parallel()
	for _, state := range []probe.State{probe.Serving, probe.NeedsUser, probe.Loading, probe.Wrong, probe.Unreachable} {
		var levels []string
		for _, level := range Levels {
			if slices.Contains(Reached(level), state) {
				levels = append(levels, string(level))
			}
		}
		want := map[probe.State]string{
			probe.Serving: "alive serving synced", probe.NeedsUser: "alive serving", probe.Loading: "alive",
		}[state]
		if got := strings.Join(levels, " "); got != want {
			t.Errorf("an app that is %s has reached %q, want %q", state, got, want)
		}
	}
}

// The order of levels is a contract. An app without a probe is below no level.
func TestOrderOfLevels(t *testing.T) {
	t.Parallel()
	order := []Level{"silent", "alive", "loading", "needs-user", "serving", "synced", ""}
	for i, a := range order {
		for j, b := range order {
			if a.isBelow(b) != (i < j) {
				t.Errorf("%q below %q: %v", a, b, a.isBelow(b))
			}
		}
	}
}

func TestAnswerOf(t *testing.T) {
	t.Parallel()
	says := func(s probe.State) *probe.Outcome {
		return &probe.Outcome{State: s, Detail: string(s) + ", it says", Progress: 0.5}
	}
	for name, tt := range map[string]struct {
		serving, alive, synced *probe.Outcome
		want                   Answer
	}{
		"serves":                    {says(probe.Serving), nil, nil, Answer{units.Serving, Serving, "", -1}},
		"has caught up":             {says(probe.Serving), nil, says(probe.Serving), Answer{units.Serving, Synced, "", -1}},
		"catches up":                {says(probe.Serving), nil, says(probe.Loading), Answer{units.Serving, Serving, "loading, it says", 0.5}},
		"loads":                     {says(probe.Loading), nil, nil, Answer{units.Loading, Loading, "loading, it says", 0.5}},
		"waits for a person":        {says(probe.NeedsUser), nil, nil, Answer{units.NeedsUser, NeedsUser, "needs-user, it says", 0.5}},
		"is silent":                 {says(probe.Unreachable), nil, nil, Answer{units.Failing, Silent, "unreachable, it says", 0.5}},
		"is silent at both":         {says(probe.Unreachable), says(probe.Wrong), nil, Answer{units.Failing, Silent, "unreachable, it says", 0.5}},
		"answers elsewhere":         {says(probe.Wrong), says(probe.Serving), nil, Answer{units.Failing, Alive, "wrong, it says", 0.5}},
		"answers elsewhere, loads":  {says(probe.Wrong), says(probe.Loading), nil, Answer{units.Failing, Alive, "wrong, it says", 0.5}},
		"could not be asked at all": {&probe.Outcome{State: probe.Unreachable, Reason: probe.NotAsked, Progress: -1}, nil, nil, Answer{Progress: -1}},
	} {
		if d := cmp.Diff(tt.want, AnswerOf(*tt.serving, tt.alive, tt.synced)); d != "" {
			t.Errorf("one that %s (-want +got):\n%s", name, d)
		}
	}
}

func TestTargetsOf(t *testing.T) {
	t.Parallel()
	target := func(port string) string {
		return `{"kind":"tcp","address":"127.0.0.1:` + port + `","interval":"30s","timeout":"5s","retries":3}`
	}
	for _, tt := range []struct{ mark, want string }{
		{"", ""},
		{"Synced=" + target("3"), ""},
		{"Alive=" + target("1"), "serving"}, // an app with a probe for alive only counts as serving
		{"Alive=" + target("1") + "\nServing=" + target("1"), "serving"},
		{"Alive=" + target("1") + "\nServing=" + target("2") + "\nSynced=" + target("3"), "alive serving synced"},
		{"Serving={damaged", ""},
	} {
		targets := TargetsOf(units.File{Content: []byte("[X-Archipelago]\nApp=x\n" + tt.mark + "\n")})
		var levels []string
		for _, level := range Levels {
			if _, ok := targets[level]; ok {
				levels = append(levels, string(level))
			}
		}
		if got := strings.Join(levels, " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.mark, got, tt.want)
		}
	}
}

// The text of archgen wait in systemctl status can be parsed.
func TestStartText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		state probe.State
		text  string
		level Level
	}{
		{probe.Loading, "loading: verifying: 3 of 4", Loading},
		{probe.Unreachable, "waiting: verifying: 3 of 4", ""},
	} {
		text := StartText(probe.Outcome{State: tt.state, Detail: "verifying: 3 of 4"})
		if level, detail := ofStart(text); text != tt.text || level != tt.level || detail != "verifying: 3 of 4" {
			t.Errorf("%q is %q, %q", text, level, detail)
		}
	}
}
