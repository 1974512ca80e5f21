//go:build e2e

package e2e

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/archipelago-os/archipelago/units"
)

// isApply reports whether a command is just archgen apply, perhaps with the ids of apps.
func isApply(args []string) bool {
	isFlag := func(arg string) bool { return strings.HasPrefix(arg, "-") }
	return len(args) >= 2 && args[0] == "archgen" && args[1] == "apply" && !slices.ContainsFunc(args, isFlag)
}

// preview is the actions that archgen diff lists, and the services that systemd restarts at that time.
type preview struct{ planned, restarting []string }

// previewed returns what archgen diff lists for these apps. There is none if healthd runs, which may
// act first, or if the manifests can't be compiled.
func (s *steps) previewed(apps []string) (p preview, ok bool) {
	script := "systemctl --user is-active -q archipelago-healthd || archgen diff --json " + strings.Join(apps, " ") + " 2>/dev/null"
	text, err := s.machine.User("sh", "-c", script)
	if err != nil || text == "" {
		return preview{}, false
	}
	var diff struct {
		Actions []units.Action `json:"actions"`
	}
	if err := json.Unmarshal([]byte(text), &diff); err != nil {
		return preview{}, false
	}
	for _, a := range diff.Actions {
		if a.Kind != units.Leave && a.Kind != units.Acquire {
			p.planned = append(p.planned, line(string(a.Kind), a.Target, string(a.Reason)))
		}
	}
	shown, err := s.machine.User("systemctl", "--user", "show", "--property", "Id,NRestarts,SubState", "app@*.service")
	p.restarting = restarting(shown)
	return p, err == nil
}

// restarting is the services that systemd restarts, or is about to, of what systemctl show says.
func restarting(shown string) (services []string) {
	for block := range strings.SplitSeq(shown, "\n\n") {
		properties := map[string]string{}
		for text := range strings.Lines(block) {
			name, value, _ := strings.Cut(strings.TrimSpace(text), "=")
			properties[name] = value
		}
		id, state := properties["Id"], properties["SubState"]
		if id != "" && (state == "auto-restart" || state != "running" && properties["NRestarts"] != "0") {
			services = append(services, id)
		}
	}
	return services
}

func line(kind, target, reason string) string {
	return strings.Join(strings.Fields(kind+" "+target+" ("+reason+")"), " ")
}

// progress matches a line of archgen apply about an action.
var progress = regexp.MustCompile(`(?m)^([a-z-]+)( \S+)? \(([a-z-]+)\)( …)?$`)

// looping is the services that are in a crash loop for systemd, archgen diff or archgen apply.
func looping(p preview, done [][]string) []string {
	services, all := p.restarting, slices.Clone(p.planned)
	for _, a := range done {
		all = append(all, line(a[1], a[2], a[3]))
	}
	for _, text := range all {
		if words := strings.Fields(text); words[len(words)-1] == "("+string(units.ReasonChangedWhileRestarting)+")" {
			services = append(services, words[1])
		}
	}
	return services
}

// comparePreview fails if archgen apply did what archgen diff did not list, or succeeded
// without doing all of that. Two actions can't be known before: resetting a service that
// fails when it is stopped, and restoring the earlier files of an app that does not serve. A service in a
// crash loop is not compared: it may start in one of the two, and wait for its next start in the other.
func comparePreview(ts *testscript.TestScript, p preview, succeeded bool) {
	planned, done := p.planned, progress.FindAllStringSubmatch(ts.ReadFile("stderr"), -1)
	for _, service := range looping(p, done) {
		planned = slices.DeleteFunc(planned, func(text string) bool { return slices.Contains(strings.Fields(text), service) })
		done = slices.DeleteFunc(done, func(a []string) bool { return strings.TrimSpace(a[2]) == service })
	}
	for _, a := range done {
		text := line(a[1], a[2], a[3])
		isReaction := a[3] == string(units.ReasonRolledBack) || a[3] == string(units.ReasonNeedRolledBack) || a[1] == string(units.ResetFailed) && slices.ContainsFunc(done, func(b []string) bool {
			return b[1] == string(units.Stop) && b[2] == a[2]
		})
		if i := slices.Index(planned, text); i >= 0 {
			planned = slices.Delete(planned, i, i+1)
		} else if !isReaction {
			ts.Fatalf("archgen apply did what archgen diff had not said: %s", text)
		}
	}
	if succeeded && len(planned) > 0 {
		ts.Fatalf("archgen diff had said, and archgen apply did not do: %s", strings.Join(planned, "; "))
	}
}
