package passes

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/limits"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/podman/podmantest"
	"github.com/archipelago-os/archipelago/units/reconcile"
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

// home is a user without systemd whose apps are the given manifests.
func home(t *testing.T, podman podmancli.Runner, apps map[string]string) (s *session.Session, said *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range apps {
		path := filepath.Join(dir, ".config/archipelago/apps", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	said = &bytes.Buffer{}
	return &session.Session{
		Podman: podman, Stdout: said, Stderr: said, Source: session.Source{Version: "5.4", Scope: units.User},
		Getenv: func(name string) string {
			return map[string]string{"HOME": dir, "XDG_RUNTIME_DIR": filepath.Join(dir, "run")}[name]
		},
	}, said
}

func manifest(id string) string {
	return "app: {id: " + id + ", name: App, version: 1.0.0, container: {image: localhost/" + id + ":1}}\n"
}

// TestPull: an image that can't be pulled does not keep others from it.
func TestPull(t *testing.T) {
	t.Parallel()
	podman := func(ctx context.Context, call podmancli.Call) error {
		switch command := strings.Join(call.Args, " "); {
		case command == "image exists -- localhost/web:1":
			return nil
		case strings.HasPrefix(command, "image exists"):
			return exec.CommandContext(ctx, "false").Run()
		}
		return errors.New("no such image")
	}
	apps := map[string]string{"web.yaml": manifest("web"), "db.yaml": manifest("db")}
	s, said := home(t, podman, apps)
	_, isPart := errors.AsType[PartError](Pull(s, nil))
	if !isPart || !strings.Contains(said.String(), "db: pulling localhost/db:1 …\narchgen: db: ") {
		t.Errorf("%v:\n%s", isPart, said)
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
	t.Parallel()
	p := podmantest.Podman{Answers: map[string]string{
		"ps --all":                     `[{"Id": "abc", "Names": ["web"]}, {"Id": "def", "Names": ["other"]}]`,
		"inspect --type=container abc": `[{"Id": "abc", "Name": "web", "ImageName": "localhost/web:0", "State": {"Status": "running"}, "HostConfig": {}, "Config": {}}]`,
		"volume ls":                    "[]",
	}}
	s, said := home(t, p.Run, map[string]string{"web.yaml": manifest("web")})
	found, err := ForeignContainers(s, nil)
	if err != nil || len(found) != 1 || found[0].App != "web" || found[0].Image != "localhost/web:0" {
		t.Errorf("%+v, %v:\n%s", found, err, said)
	}
	s, _ = home(t, p.Run, map[string]string{"web.yaml": "{{{"})
	if _, err := ForeignContainers(s, []string{"web"}); err == nil {
		t.Error("an app with errors has foreign containers")
	}
}
