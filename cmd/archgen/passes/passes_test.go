package passes

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/cmd/archgen/session/sessiontest"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/limits"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/secret"
)

// TestVerdict: an app that does not serve has an exit code of its own, unless others do.
func TestVerdict(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		outcomes  []reconcile.Outcome
		isInvalid bool
		want      error
	}{
		"nothing to do":               {},
		"all serve":                   {outcomes: []reconcile.Outcome{reconcile.Done, reconcile.Unchanged, reconcile.Watched}},
		"one failed":                  {outcomes: []reconcile.Outcome{reconcile.Failed}, want: session.ErrReported},
		"one failed, one serves":      {outcomes: []reconcile.Outcome{reconcile.Failed, reconcile.Done}, want: PartError{session.ErrReported}},
		"one does not serve":          {outcomes: []reconcile.Outcome{reconcile.NotServing}, want: NotServingError{session.ErrReported}},
		"one starts":                  {outcomes: []reconcile.Outcome{reconcile.Starting}, want: NotServingError{session.ErrReported}},
		"one of two does not serve":   {outcomes: []reconcile.Outcome{reconcile.NotServing, reconcile.Done}, want: PartError{session.ErrReported}},
		"an error in a manifest":      {isInvalid: true, want: session.ErrReported},
		"an error, and another works": {outcomes: []reconcile.Outcome{reconcile.Done}, isInvalid: true, want: PartError{session.ErrReported}},
	} {
		var r reconcile.Report
		for _, o := range c.outcomes {
			r.Results = append(r.Results, reconcile.Result{App: "web", Outcome: o})
		}
		got := verdict(r, c.isInvalid)
		if got != c.want || IsVerdict(got) != (got != nil && got != session.ErrReported) { //nolint:errorlint // the value itself is compared
			t.Errorf("%s: %#v, want %#v", what, got, c.want)
		}
		if c.want != nil && !errors.Is(got, session.ErrReported) {
			t.Errorf("%s: the error is printed again", what)
		}
	}
}

// TestWarnOfLimit: a limit is said once for all passes of a command.
func TestWarnOfLimit(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &Passes{Session: &session.Session{Stderr: &out}}
	for _, limit := range []units.Limit{units.LimitKeys, units.LimitKeys, units.LimitFiles, units.LimitKeys} {
		p.WarnOfLimit(limits.Finding{Limit: limit})
	}
	if n := bytes.Count(out.Bytes(), []byte("warning: ")); n != 2 {
		t.Errorf("%d warnings:\n%s", n, &out)
	}
}

// world is a machine, and the passes of a command.
type world struct{ *sessiontest.World }

func (w world) passes() *Passes {
	return &Passes{
		Session: w.Session(""), Timeout: time.Minute,
		ResumeUpdate: func(context.Context, *machine.Machine, Request) error { return nil },
	}
}

func manifest(id string) string {
	return "app: {id: " + id + ", name: App, version: 1.0.0, container: {image: localhost/" + id + ":1}}\n"
}

// TestApply: a pass does what its preview says, and the next one has nothing to do.
func TestApply(t *testing.T) {
	w := world{sessiontest.New(t)}
	w.Put("web.yaml", manifest("web"))
	w.Put("database.yaml", manifest("database"))
	plan, _, err := Preview(w.Session(""), nil)
	if err != nil || plan.Idle() || len(w.Log) > 0 {
		t.Fatalf("%v, %v, and the preview did %q", plan.Actions(), err, w.Log)
	}
	if err := w.passes().Apply(nil, Always("")); err != nil {
		t.Fatalf("%v\n%s", err, &w.Stderr)
	}
	if !w.IsActive("app@web.service") || !w.IsActive("app@database.service") {
		t.Errorf("they don't run: %q", w.Log)
	}
	if plan, _, err := Preview(w.Session(""), nil); err != nil || !plan.Idle() {
		t.Errorf("%v, %v", plan.Actions(), err)
	}
	w.Forget()
	p := w.passes()
	p.Idle = "all is well"
	if err := p.Apply([]string{"web"}, Always("")); err != nil || w.Stdout.String() != "all is well\n" || len(w.Log) > 0 {
		t.Errorf("%v, %q, stdout %q", err, w.Log, &w.Stdout)
	}
	w.Forget()
	p = w.passes()
	p.AsJSON = true
	err = p.Apply([]string{"web", "database"}, func(id string) units.Kind { return map[string]units.Kind{"web": units.Stop}[id] })
	if err != nil || w.IsActive("app@web.service") || !w.IsActive("app@database.service") || w.Stderr.Len() > 0 || !strings.HasPrefix(w.Stdout.String(), "{") {
		t.Errorf("%v, %q, stdout %q, stderr %q", err, w.Log, &w.Stdout, &w.Stderr)
	}
}

// TestApplyFails: a manifest with errors fails a pass over all apps, and no pass over others. An app
// with errors can be stopped.
func TestApplyFails(t *testing.T) {
	w := world{sessiontest.New(t)}
	w.Put("web.yaml", manifest("web"))
	w.Put("database.yaml", manifest("database"))
	if err := w.passes().Apply(nil, Always("")); err != nil {
		t.Fatal(err)
	}
	w.Put("database.yaml", "app: {id: database}\n")
	_, isPart := errors.AsType[PartError](w.passes().Apply(nil, Always("")))
	if !isPart || !w.IsActive("app@database.service") {
		t.Errorf("an error in one manifest does not count: %v", isPart)
	}
	lenient := w.passes()
	lenient.Lenient = true
	if err := errors.Join(lenient.Apply(nil, Always("")), w.passes().Apply([]string{"web"}, Always(""))); err != nil {
		t.Error(err)
	}
	if err := w.passes().Apply([]string{"database"}, Always(units.Stop)); err != nil || w.IsActive("app@database.service") {
		t.Errorf("%v: it does not stop: %q", err, w.Log)
	}
	if err := w.passes().Apply([]string{"none"}, Always("")); err == nil {
		t.Error("an app that is not installed is applied")
	}
	detached := w.passes()
	detached.Detach = true
	if err := detached.Apply(nil, Always("")); err == nil || !strings.Contains(err.Error(), "healthd does not run") {
		t.Errorf("no program would watch the apps: %v", err)
	}
}

// TestRotate: a value with which an app does not start is not kept. Here Podman has no secret.
func TestRotate(t *testing.T) {
	w := world{sessiontest.New(t)}
	w.Put("web.yaml", "app: {id: web, name: App, version: 1.0.0, secrets: [{name: key, generate: {}}], container: {image: localhost/web:1, secrets: [{name: key, env: KEY}]}}\n")
	if err := w.passes().Apply(nil, Always("")); err != nil {
		t.Fatalf("%v\n%s", err, &w.Stderr)
	}
	value := func() string {
		m, err := w.Session("").Local()
		if err != nil {
			t.Fatal(err)
		}
		value, err := m.Secrets.Get(t.Context(), "web.key")
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	before := value()
	w.Forget()
	_, isReverted := errors.AsType[*secret.RevertedError](w.passes().Rotate("web.key", "another value"))
	if !isReverted || value() != before {
		t.Errorf("reverted: %v, after %q", isReverted, w.Log)
	}
	if err := w.passes().Rotate("web.none", ""); err == nil {
		t.Error("a secret is rotated that does not exist")
	}
}

// TestPull: an image that can't be pulled does not keep others from it.
func TestPull(t *testing.T) {
	w := world{sessiontest.New(t)}
	w.Put("web.yaml", manifest("web"))
	w.Put("database.yaml", manifest("database"))
	s := w.Session("")
	podman := s.Podman
	s.Podman = func(ctx context.Context, call podmancli.Call) error {
		switch command := strings.Join(call.Args, " "); {
		case command == "image exists -- localhost/database:1":
			return exec.CommandContext(ctx, "false").Run()
		case strings.HasPrefix(command, "pull "):
			return errors.New("no such image")
		}
		return podman(ctx, call)
	}
	_, isPart := errors.AsType[PartError](Pull(s, nil))
	if !isPart || !strings.Contains(w.Stderr.String(), "database: pulling localhost/database:1 …\narchgen: database: ") {
		t.Errorf("%v:\n%s", isPart, &w.Stderr)
	}
	if err := Pull(s, []string{"web"}); err != nil {
		t.Error(err)
	}
	if err := Pull(s, []string{"none"}); err == nil {
		t.Error("an app that is not installed was pulled")
	}
}

// TestForeignContainers: only what has the name of an installed app's container is in its place.
func TestForeignContainers(t *testing.T) {
	w := world{sessiontest.New(t)}
	w.Put("web.yaml", manifest("web"))
	w.Answers["ps --all"] = `[{"Id": "abc", "Names": ["web"]}, {"Id": "def", "Names": ["other"]}]`
	w.Answers["inspect --type=container abc"] = `[{"Id": "abc", "Name": "web", "ImageName": "localhost/web:0", "State": {"Status": "running"}, "HostConfig": {}, "Config": {}}]`
	w.Answers["volume ls"] = "[]"
	found, err := ForeignContainers(w.Session(""), nil)
	if err != nil || len(found) != 1 || found[0].App != "web" || found[0].Image != "localhost/web:0" {
		t.Errorf("%+v, %v:\n%s", found, err, &w.Stderr)
	}
	w.Answers["ps --all"] = "[]"
	if err := w.passes().Adopt([]string{"web"}); err != nil || !strings.Contains(w.Stderr.String(), "web: there is no foreign container to adopt\n") {
		t.Errorf("%v, stderr %q", err, &w.Stderr)
	}
	w.Put("web.yaml", "{{{")
	if _, err := ForeignContainers(w.Session(""), []string{"web"}); err == nil {
		t.Error("an app with errors has foreign containers")
	}
}
