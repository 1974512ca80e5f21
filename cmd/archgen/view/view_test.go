package view_test

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/cmd/archgen/doctor"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/datasheet"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/adopt"
	"github.com/archipelago-os/archipelago/units/limits"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/rotation"
	"github.com/archipelago-os/archipelago/units/secret"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

// prints demands that a view is a text.
func prints(t *testing.T, want string, show func(io.Writer) error) {
	t.Helper()
	var out bytes.Buffer
	if err := show(&out); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, trailing.ReplaceAllString(out.String(), "")); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// trailing is the space after the last cell of a row.
var trailing = regexp.MustCompile(`(?m) +$`)

// A limit that is too low is a warning, with the commands that raise it.
func TestLimit(t *testing.T) {
	t.Parallel()
	prints(t, `warning: the apps need 129 inotify instances, but the limit is 128 (fs.inotify.max_user_instances), and 128 are in use
    printf 'fs.inotify.max_user_instances = 3000\n' | sudo tee /etc/sysctl.d/50-archipelago-inotify.conf
    sudo sysctl --system
`, func(w io.Writer) error {
		for _, f := range limits.Compare(limits.Have{units.LimitInotify: {Used: 128, Max: 128}}, limits.Objects{Containers: 1}, units.User) {
			view.Limit(w, f)
		}
		return nil
	})
}

// TestStep: a start is said when it begins, a file when it is written.
func TestStep(t *testing.T) {
	t.Parallel()
	start := units.Action{Kind: units.Start, Target: "app@web.service", Reason: units.ReasonNeverStarted}
	write := units.Action{Kind: units.Write, Target: "app@web.container", Reason: units.ReasonFileMissing}
	failed := errors.New("no space left on device")
	prints(t, `write app@web.container (file-missing)
start app@web.service (never-started) …
start app@web.service failed
`, func(w io.Writer) error {
		for _, e := range []reconcile.Event{
			{Action: write},
			{Action: write, Ended: true},
			{Action: write, Ended: true, Err: failed},
			{Action: start},
			{Action: start, Ended: true},
			{Action: start, Ended: true, Err: failed},
		} {
			view.Step(w, e)
		}
		return nil
	})
}

// TestReport: what was left is said once, and what went well only where it was changed.
func TestReport(t *testing.T) {
	t.Parallel()
	report := func(r reconcile.Report) func(io.Writer) error {
		return func(w io.Writer) error {
			view.Report(w, r, "nothing to do")
			return nil
		}
	}
	leave := func(app, target string) units.Action {
		return units.Action{Kind: units.Leave, App: app, Target: target, Reason: units.ReasonFileForeign}
	}
	prints(t, `db app@db.container: left as it is (file-foreign)
web: done
bad: failed: it does  not
    it was restored
    last words
`, report(reconcile.Report{
		Actions: []units.Action{leave("db", "app@db.container"), leave("bad", "")},
		Results: []reconcile.Result{
			{App: "same", Outcome: reconcile.Unchanged},
			{App: "web", Outcome: reconcile.Done},
			{App: "bad", Outcome: reconcile.Failed, Error: "it does \n\x1bnot", Notes: []string{"it was restored"}, Log: []string{"last\x07 words"}},
		},
	}))
	prints(t, "nothing to do\n", report(reconcile.Report{Results: []reconcile.Result{{App: "same", Outcome: reconcile.Unchanged}}}))
}

// TestPlan: an app that a plan refuses has its line, and then there is not nothing to do.
func TestPlan(t *testing.T) {
	t.Parallel()
	plan := func(p units.Plan) func(io.Writer) error {
		return func(w io.Writer) error {
			view.Plan(w, p)
			return nil
		}
	}
	refused := []units.Refusal{{App: "bad", Err: errors.New("it does \n\x1bnot")}}
	prints(t, "bad: failed: it does  not\n", plan(units.Plan{Refused: refused}))
	prints(t, "start app@web.service (never-started)\nbad: failed: it does  not\n", plan(units.Plan{
		Refused: refused, Steps: []units.Action{{App: "web", Kind: units.Start, Target: "app@web.service", Reason: units.ReasonNeverStarted}},
	}))
	prints(t, "nothing to do\n", plan(units.Plan{}))
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	web := catalog.Entry{
		ID: "web", Version: "1.0.0", Description: "A\npage", Provides: []string{"page"}, Requires: []string{"db", "tor"}, From: "archgen",
		Links: map[string]string{"website": "https://example.org", "source": "https://example.org/src"},
	}
	prints(t, `ID   VERSION  PROVIDES  REQUIRES  FROM     DESCRIPTION
web  1.0.0    page      db,tor    archgen  A page
`, func(w io.Writer) error { return view.Catalog(w, []catalog.Entry{web}) })
	tables := []datasheet.Table{
		{Heads: []string{"app", "version", "provides"}, Rows: [][]string{{"web", "1.0.0", ""}}, Text: "What is optional stands in brackets."},
		{Title: "Ports", Heads: []string{"app", "port"}, Rows: [][]string{{"web", ""}}, Text: "All of them."},
		{Title: "Networks", Heads: []string{"app"}},
	}
	prints(t, `app      web
version  1.0.0
from     archgen
source   https://example.org/src
website  https://example.org

What is optional stands in brackets.

Ports
All of them.
  APP  PORT
  web  -
`, func(w io.Writer) error { return view.Sheet(w, web, tables) })
}

func TestRights(t *testing.T) {
	t.Parallel()
	listen := rights.Right{ID: "listen:0.0.0.0:80/tcp", Kind: rights.Listen, Severity: rights.Medium, Allows: "accept connections", File: "web.yaml", Line: 1, Column: 2}
	list := []rights.Granted{{Right: listen, Granted: rights.ByGrant}}
	prints(t, `APP   SEVERITY  RIGHT                  GRANTED  ALLOWS THE APP TO   WHERE
web   medium    listen:0.0.0.0:80/tcp  grant    accept connections  web.yaml:1:2
calm  -         none                   -        -                   -
`, func(w io.Writer) error {
		return view.Rights(w, []view.AppRights{{ID: "web", Rights: list}, {ID: "calm"}})
	})
	onion := rights.Right{ID: "onion:web", Severity: rights.Medium, Allows: "be reached"}
	prints(t, `  medium  listen:0.0.0.0:80/tcp  accept connections  (granted)
  medium  onion:web              be reached          (not granted)
`, func(w io.Writer) error {
		return view.Granted(w, append(list, rights.Granted{Right: onion, Granted: rights.Nobody}))
	})
}

func TestContainers(t *testing.T) {
	t.Parallel()
	prints(t, "there are no foreign containers to adopt\n", func(w io.Writer) error { return view.Containers(w, nil) })
	list := []adopt.Container{
		{Name: "web", State: "running", Image: "web:1", Mounts: []adopt.Mount{{Source: "/srv", Target: "/data"}}, App: "web"},
		{Name: "db", State: "exited", Image: "db:1", App: "db", Problems: []string{"it is of a pod"}},
	}
	prints(t, `CONTAINER  STATE    IMAGE  MOUNTS      APP
web        running  web:1  /srv:/data  web
db         exited   db:1   -           db
db can't be adopted: it is of a pod
`, func(w io.Writer) error { return view.Containers(w, list) })
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	prints(t, `NAME    KIND                VALUE               DESCRIPTION
web.a   generated           set                 A password
web.b   derived from web.a  rotating
web.c   supplied            missing
web.d   generated           at the first start
gone.a  unused              set
`, func(w io.Writer) error {
		return view.Secrets(w, []secret.Entry{
			{Name: "web.a", Kind: secret.Generated, IsSet: true, Description: "A password"},
			{Name: "web.b", Kind: secret.Derived, From: "web.a", IsSet: true, Rotating: true},
			{Name: "web.c", Kind: secret.Supplied},
			{Name: "web.d", Kind: secret.Generated},
			{Name: "gone.a", IsSet: true},
		})
	})
}

func TestGenerations(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	prints(t, `NUMBER  TIME                 FILES  REASON
2       2026-01-02 03:04:05  1      start web
`, func(w io.Writer) error {
		return view.Generations(w, []statedir.Generation{{Number: 2, Time: at, Files: units.Set{{Name: "app@web.container"}}, Reason: "start web"}})
	})
}

func TestChecks(t *testing.T) {
	t.Parallel()
	prints(t, `ok       podman    5.4.2
problem  user ids  none
         do this
         then that
`, func(w io.Writer) error {
		view.Checks(w, ui.Style{}, []doctor.Result{
			{Name: "podman", Severity: doctor.OK, Detail: "5.4.2"},
			{Name: "user ids", Severity: doctor.Problem, Detail: "none", Fix: "do this\nthen that"},
		})
		return nil
	})
}

func TestRendered(t *testing.T) {
	t.Parallel()
	files := units.Set{
		{Name: "app@db.container", App: "db", Content: []byte("[Container]\nImage=db:1\n")},
		{Name: "app@web.container", App: "web", Content: []byte("[Container]\nImage=db:1\n")},
		{Name: "cap.network", Content: []byte("[Network]\n")},
	}
	prints(t, `# --- app@db.container ---
[Container]
Image=db:1

# --- app@web.container ---
[Container]
Image=db:1

# --- cap.network ---
[Network]
`, func(w io.Writer) error { return view.Files(w, files) })
	if d := cmp.Diff(view.File{Name: "cap.network", Content: "[Network]\n"}, view.FilesJSON(files)[2]); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	prints(t, "db:1\n", func(w io.Writer) error {
		if d := cmp.Diff([]string{"db:1"}, view.Images(w, files)); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		return nil
	})
	for want, c := range map[string]struct {
		unitdir.Changes
		failure error
	}{
		"units: 1 written, 0 removed, 2 unchanged\n": {unitdir.Changes{Written: []string{"x"}, Unchanged: 2}, errors.New("it failed later")},
		"units: 1 file, nothing changed\n":           {unitdir.Changes{Unchanged: 1}, nil},
		"":                                           {unitdir.Changes{Unchanged: 1}, errors.New("it failed")},
	} {
		prints(t, want, func(w io.Writer) error {
			view.Changes(w, "units", c.Changes, c.failure)
			return nil
		})
	}
	if doc := view.ChangesJSON("units", unitdir.Changes{}); doc.Written == nil || doc.Removed == nil || doc.MovedAside == nil || doc.Foreign == nil || doc.Unreadable == nil {
		t.Errorf("a list is null: %+v", doc)
	}
}

// A rotation says how long each service was down, and that it is over.
func TestRotation(t *testing.T) {
	t.Parallel()
	r := rotation.Result{Name: "a.key", Span: 3 * time.Second, Downtimes: []rotation.Downtime{{Service: "app@a.service", For: 1234 * time.Millisecond}, {Service: "app@b.service", For: time.Second}}}
	prints(t, `app@a.service was down for 1.23s
app@b.service was down for 1s
a.key: 3s from the first stop to the last start
a.key is rotated; everything that uses it serves
`, func(w io.Writer) error { view.Rotation(w, r); return nil })
	prints(t, "app@b.service was down for 1s\n", func(w io.Writer) error {
		view.Rotation(w, rotation.Result{Name: "a.key", Err: errors.New("no"), Downtimes: r.Downtimes[1:]})
		return nil
	})
}

// An image build needs all images pinned.
func TestPinned(t *testing.T) {
	t.Parallel()
	file := func(image string) units.File {
		return units.File{Name: "app@x.container", Content: []byte("[Container]\nImage=" + image + "\n")}
	}
	var out bytes.Buffer
	if err := view.Pinned(&out, units.Set{file("docker.io/x/a@sha256:00")}); err != nil || out.String() != "docker.io/x/a@sha256:00\n" {
		t.Errorf("got %v and %q", err, out.String())
	}
	if err := view.Pinned(&out, units.Set{file("docker.io/x/a@sha256:00"), file("docker.io/x/b:1")}); err == nil || !strings.HasPrefix(err.Error(), "docker.io/x/b:1: not pinned by digest") {
		t.Errorf("the error is %v", err)
	}
}
