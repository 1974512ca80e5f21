package rotation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/generator/configfile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/prestart"
	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/secret"
	"github.com/archipelago-os/archipelago/units/statedir"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// TestMain stores secrets without systemd-creds, which may be missing here, and counts an
// app that is up as one that stays up.
func TestMain(m *testing.M) {
	stabilizationTime = time.Millisecond
	dir, err := os.MkdirTemp("", "rotation")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"systemd-creds", "journalctl"} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nexit 1\n"), 0o755))
	}
	if err := errors.Join(err, os.Setenv("PATH", dir+":"+os.Getenv("PATH"))); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

const (
	node, client = "app@node.service", "app@client.service"
	password     = "node.password"
	// address is the variable of client that contains the password.
	address, scheme = "client.env-address-0a1b2c3d", "node://"
)

// world is a machine on which node has a password that client gets, too, within a variable.
type world struct {
	t       *testing.T
	systemd *systemdtest.Manager
	rotator Rotator
	results []Result

	mutex sync.Mutex
	// values is the secrets stored in Podman.
	values map[string]string
	// runs is the password that each service was started with, by service.
	runs map[string]string
	// refuses is a value with which a service does not start, by service.
	refuses map[string]string
	// jobs is the jobs of systemd, in order.
	jobs []string
	// clock is the time of the fake systemd, in microseconds.
	clock uint64
	// onJob is called at each job.
	onJob func(systemdtest.Job)
}

// newWorld returns a machine on which everything runs with the first password.
func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{
		t: t, systemd: systemdtest.New(t), values: map[string]string{}, runs: map[string]string{}, refuses: map[string]string{},
		clock: 1_000_000, onJob: func(systemdtest.Job) {},
	}
	places := paths.Paths{Units: filepath.Join(dir, "units"), State: filepath.Join(dir, "state"), Runtime: filepath.Join(dir, "run")}
	base := machine.Base{
		Scope: units.User, Paths: places, Podman: w.podman,
		Store: statedir.Store{State: places.State, Runtime: places.Runtime, Now: time.Now},
		Secrets: machine.Secrets{
			Store:  secret.Store{Dir: places.Secrets(), Runtime: places.SecretsLock(), Scope: units.User},
			Podman: podmancli.Secrets{Storage: filepath.Join(dir, "storage"), Podman: w.podman},
		},
	}
	m := &machine.Machine{
		Base: base, Services: machine.Services{Manager: w.systemd.Connect(), Scope: units.User},
		Health: machine.Health{Prober: &probe.Prober{}},
		Config: prestart.Renderer{State: places.State, Runtime: places.Runtime, Secret: w.secret, SetSecret: base.Secrets.Podman.SetSecret, Machine: func() configfile.Machine { return configfile.Machine{} }},
	}
	w.rotator = Rotator{
		Machine: m, Timeout: 10 * time.Second,
		Installed: func() (units.Desired, error) { return w.desired(), nil },
		Users:     func([]string) (units.Desired, error) { return w.desired(), nil },
		Ended:     func(r Result) { w.results = append(w.results, r) },
	}
	w.systemd.OnJob(w.job)
	if err := errors.Join(m.Files().Sync(w.desired().Files(), nil), m.Secrets.ProvideFor(t.Context(), w.desired().Apps[0])); err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{node, client} {
		if err := w.start(service); err != nil {
			t.Fatal(err)
		}
		w.systemd.Set(systemd.Unit{Name: service, ActiveState: "active", SubState: "running", InvocationID: strings.Repeat("a", 32)})
	}
	return w
}

// desired returns the two apps. client starts after node.
func (w *world) desired() units.Desired {
	app := func(id string, uses units.Prestart, needs ...string) units.App {
		recipe, err := uses.Text()
		if err != nil {
			w.t.Error(err)
		}
		own, service := "[X-Archipelago]\nApp="+id+"\n", units.ServiceName(id)
		container := units.ContainerFile(id)
		return units.App{
			ID: id, Needs: needs, Enabled: true,
			Parts: []units.Part{{Service: service, File: container}},
			Files: units.Set{
				{Name: container, App: id, Content: []byte(own + "[Container]\nImage=x\n")},
				{Name: units.PrestartName(service), App: id, Content: []byte(own + recipe)},
			},
		}
	}
	provider := app("node", units.Prestart{Secrets: []string{password}})
	provider.Secrets = []units.Secret{
		{Name: password, Length: 16, Alphabet: "hex"}, {Name: "node.token", From: password, Method: "hmac"},
	}
	made := units.ComposedSecret{Name: address, Variable: "ADDRESS", Pieces: []units.SecretPiece{{Text: scheme}, {Secret: password}}}
	return units.Desired{Apps: []units.App{provider, app("client", units.Prestart{Composed: []units.ComposedSecret{made}}, "node")}}
}

// podman is a podmancli.Runner that stores secrets.
func (w *world) podman(_ context.Context, call podmancli.Call) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if strings.Join(call.Args[:2], " ") != "secret create" {
		return fmt.Errorf("unexpected: podman %v", call.Args)
	}
	value, err := io.ReadAll(call.Stdin)
	w.values[call.Args[len(call.Args)-2]] = string(value)
	return err
}

// secret returns a secret stored in Podman, for the renderer of configuration files.
func (w *world) secret(name string) (string, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	value, has := w.values[name]
	if !has {
		return "", secret.ErrNone
	}
	return value, nil
}

// start starts a service as its ExecStartPre= commands do.
func (w *world) start(service string) error {
	app, _ := w.desired().Find(units.AppOf(service))
	file, _ := app.Files.Find(units.PrestartName(service))
	recipe, err := units.ReadPrestart(file.Content)
	if err != nil {
		return err
	}
	if err := w.rotator.Machine.Config.Write(w.t.Context(), units.ContainerOf(service), recipe); err != nil {
		return err
	}
	name := password
	if service == client {
		name = address
	}
	value, err := w.secret(name)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.runs[service] = strings.TrimPrefix(value, scheme)
	return err
}

// job stops or starts a service. A stop takes a tenth of a second of the fake clock, and
// the start after it two.
func (w *world) job(j systemdtest.Job) systemdtest.Outcome {
	w.onJob(j)
	w.mutex.Lock()
	w.jobs = append(w.jobs, j.Kind+" "+j.Unit)
	w.clock += 100_000
	stopped := w.clock
	w.clock += 200_000
	started := w.clock
	w.mutex.Unlock()
	if j.Kind != "stop" {
		if err := w.start(j.Unit); err != nil {
			w.t.Error(err)
		}
	}
	w.mutex.Lock()
	isRefused := j.Kind != "stop" && w.refuses[j.Unit] == w.runs[j.Unit]
	w.mutex.Unlock()
	result := ""
	if isRefused {
		result = "failed"
	}
	return systemdtest.Outcome{Result: result, Then: func(u *systemd.Unit) {
		u.ActiveExitTimestamp = stopped
		switch {
		case isRefused:
			u.ActiveState, u.SubState, u.Result = "failed", "failed", "exit-code"
			u.InvocationID = fmt.Sprintf("%032x", started)
		case j.Kind == "stop":
			u.ActiveState, u.SubState, u.Result = "inactive", "dead", "success"
		default:
			u.ActiveState, u.SubState, u.Result = "active", "running", "success"
			u.InvocationID, u.ActiveEnterTimestamp = fmt.Sprintf("%032x", started), started
		}
	}}
}

// value returns the password in force.
func (w *world) value() string {
	w.t.Helper()
	value, err := w.rotator.Machine.Secrets.Get(w.t.Context(), password)
	if err != nil {
		w.t.Error(err)
	}
	return value
}

// isConsistent checks that all have the same password, and that no record of a rotation is
// left.
func (w *world) isConsistent() {
	w.t.Helper()
	left, err := w.rotator.Machine.Secrets.Rotation()
	if left != nil || err != nil {
		w.t.Errorf("left: %v, %v", left, err)
	}
	value := w.value()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	want := map[string]string{node: value, client: value}
	if d := cmp.Diff(want, w.runs); d != "" || w.values[password] != value {
		w.t.Errorf("Podman has %q; services run with: -want +got:\n%s", w.values[password], d)
	}
}

// TestRotate: the app that the secret belongs to restarts first, then the one that requires
// it. The downtime of each is measured.
func TestRotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.value()
	if err := w.rotator.Rotate(t.Context(), password, ""); err != nil {
		t.Fatal(err)
	}
	w.isConsistent()
	if w.value() == before {
		t.Error("it has the value that it had")
	}
	if d := cmp.Diff([]string{"restart " + node, "restart " + client}, w.jobs); d != "" {
		t.Errorf("jobs: -want +got:\n%s", d)
	}
	const down = 200 * time.Millisecond
	want := []Result{{Name: password, Downtimes: []Downtime{{client, down}, {node, down}}, Span: 500 * time.Millisecond}}
	if d := cmp.Diff(want, w.results); d != "" {
		t.Errorf("results: -want +got:\n%s", d)
	}
}

// TestSuppliedValue: a supplied value is the new one, and the values derived from it
// follow.
func TestSuppliedValue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.values["node.token"]
	if err := w.rotator.Rotate(t.Context(), password, "given"); err != nil {
		t.Fatal(err)
	}
	w.isConsistent()
	if w.value() != "given" || w.values["node.token"] == token {
		t.Errorf("%q, and the token %q was %q", w.value(), w.values["node.token"], token)
	}
}

// TestRefusedValue: if a service does not start with the new value, all get the old one
// again.
func TestRefusedValue(t *testing.T) {
	t.Parallel()
	for _, service := range []string{node, client} {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			before := w.value()
			w.refuses[service] = "refused"
			err := w.rotator.Rotate(t.Context(), password, "refused")
			if _, isBack := errors.AsType[*secret.RevertedError](err); !isBack || !strings.Contains(err.Error(), units.AppOf(service)+": ") {
				t.Errorf("%v", err)
			}
			w.isConsistent()
			if w.value() != before {
				t.Error("the old value is not back")
			}
			if len(w.results) != 1 || !errors.Is(w.results[0].Err, err) {
				t.Errorf("%+v", w.results)
			}
		})
	}
}

// TestStoppedApps: an app that an operator stopped stays down, and gets the new value at
// its next start.
func TestStoppedApps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.systemd.Set(systemd.Unit{Name: client, ActiveState: "inactive", SubState: "dead", Result: "success", InactiveExitTimestamp: 1, InactiveEnterTimestamp: 2})
	if err := w.rotator.Rotate(t.Context(), password, ""); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"restart " + node}, w.jobs); d != "" {
		t.Errorf("jobs: -want +got:\n%s", d)
	}
	if len(w.results) != 1 || len(w.results[0].Downtimes) != 1 {
		t.Errorf("%+v", w.results)
	}
}

// TestWhatIsStopping: a rotation waits for stop jobs of an earlier run, but no longer than
// its timeout for an app.
func TestWhatIsStopping(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		timeout time.Duration
		looks   int
	}{"until it has stopped": {10 * time.Second, 2}, "no longer": {0, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.systemd.Set(systemd.Unit{Name: client, ActiveState: "deactivating", SubState: "stop-sigterm"})
			looks := 0
			w.rotator.Timeout = c.timeout
			w.rotator.Users = func([]string) (units.Desired, error) {
				if looks++; looks == 2 {
					w.systemd.Set(systemd.Unit{Name: client, ActiveState: "inactive", SubState: "dead"})
				}
				return w.desired(), nil
			}
			h := &host{Rotator: w.rotator}
			if err := h.waitStopped(t.Context(), &secret.Rotation{}); err != nil || looks != c.looks {
				t.Errorf("%d looks, %v", looks, err)
			}
		})
	}
}

// TestCutOff: interrupted at any job, a rotation is completed by the next run. All have the
// same value, and no record is left.
func TestCutOff(t *testing.T) {
	t.Parallel()
	for at := range 2 {
		for how, c := range map[string]struct {
			next    func(w *world) error
			results int
		}{
			"resumed": {func(w *world) error {
				var told []string
				err := w.rotator.Resume(w.t.Context(), func(r *secret.Rotation) { told = append(told, r.Name) })
				if !slices.Equal(told, []string{password}) {
					w.t.Errorf("told of %q", told)
				}
				return err
			}, 2},
			"rotated again": {func(w *world) error { return w.rotator.Rotate(w.t.Context(), password, "third") }, 3},
		} {
			t.Run(fmt.Sprintf("%s after %d jobs", how, at), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				ctx, cancel := context.WithCancel(t.Context())
				w.onJob = func(systemdtest.Job) {
					if len(w.jobs) == at {
						cancel()
					}
				}
				if err := w.rotator.Rotate(ctx, password, "second"); err == nil || !strings.Contains(err.Error(), "archgen apply continues it") {
					t.Errorf("interrupted: %v", err)
				}
				if len(w.results) != 1 || w.results[0].Downtimes != nil {
					t.Errorf("interrupted: %+v", w.results)
				}
				w.onJob = func(systemdtest.Job) {}
				if err := c.next(w); err != nil || len(w.results) != c.results {
					t.Errorf("%v, %+v", err, w.results)
				}
				w.isConsistent()
			})
		}
	}
}

// TestNothingToResume: without a rotation, or while another process is at work on one,
// Resume does nothing.
func TestNothingToResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	resume := func() {
		t.Helper()
		if err := w.rotator.Resume(t.Context(), func(*secret.Rotation) { t.Error("it is resumed") }); err != nil {
			t.Error(err)
		}
	}
	resume()
	release, err := w.rotator.Machine.Secrets.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := w.rotator.begin(t.Context(), password, ""); err != nil {
		t.Fatal(err)
	}
	resume()
}

// TestRotationsThatDoNotBegin: such rotations change nothing and report why.
func TestRotationsThatDoNotBegin(t *testing.T) {
	t.Parallel()
	broken := errors.New("it is broken")
	for name, c := range map[string]struct {
		change func(*world)
		want   string
	}{
		"broken manifests": {func(w *world) { w.rotator.Installed = func() (units.Desired, error) { return units.Desired{}, broken } }, "it is broken"},
		"an invalid manifest": {func(w *world) {
			w.rotator.Installed = func() (units.Desired, error) {
				want := w.desired()
				want.Invalid = []string{"other"}
				return want, nil
			}
		}, "the manifest of other has errors"},
		"unknown secret": {func(w *world) { w.rotator.Installed = func() (units.Desired, error) { return units.Desired{}, nil } }, "no installed app has a secret " + password},
		"no systemd":     {func(w *world) { w.systemd.Fail("ListUnitsByPatterns", broken) }, "it is broken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			before := w.value()
			c.change(w)
			if err := w.rotator.Rotate(t.Context(), password, ""); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if len(w.results)+len(w.jobs) > 0 || w.value() != before {
				t.Errorf("%v, %v", w.results, w.jobs)
			}
			w.isConsistent()
		})
	}
}

// TestUsersThatAreUnknown: if archgen can't tell which apps use the secret, it leaves the
// rotation for a later run.
func TestUsersThatAreUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rotator.Users = func([]string) (units.Desired, error) { return units.Desired{}, errors.New("unknown") }
	if err := w.rotator.Rotate(t.Context(), password, ""); err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("%v", err)
	}
	if left, err := w.rotator.Machine.Secrets.Rotation(); left == nil || err != nil {
		t.Errorf("%v, %v", left, err)
	}
}

// TestVerify: a rotation is not finished while a service runs with another value or is
// down.
func TestVerify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*world)
		want   string
	}{
		"all is well":       {func(*world) {}, ""},
		"another value":     {func(w *world) { w.values[password] = "other" }, "app@node.service does not run with the current value"},
		"down":              {func(w *world) { w.systemd.Set(systemd.Unit{Name: client, ActiveState: "failed", Result: "exit-code"}) }, "client does not stay up"},
		"without its value": {func(w *world) { delete(w.values, password) }, secret.ErrNone.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.change(w)
			h := &host{Rotator: w.rotator, Secrets: w.rotator.Machine.Secrets.Podman}
			err := h.verify(t.Context(), &secret.Rotation{Name: password})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestTimeout: a short timeout applies only to the new value.
func TestTimeout(t *testing.T) {
	t.Parallel()
	h := &host{Rotator: Rotator{Timeout: time.Second}}
	for isReverting, want := range map[bool]time.Duration{false: time.Second, true: machine.WaitTimeout} {
		if got := h.timeout(&secret.Rotation{Reverting: isReverting}); got != want {
			t.Errorf("reverting %v: %v, want %v", isReverting, got, want)
		}
	}
}

// TestDowntimes: only a service that stopped and started between the two observations was
// down.
func TestDowntimes(t *testing.T) {
	t.Parallel()
	at := func(invocation string, exit, enter uint64) machine.Service {
		return machine.Service{Systemd: systemd.Unit{InvocationID: invocation, ActiveExitTimestamp: exit, ActiveEnterTimestamp: enter}}
	}
	before := map[string]machine.Service{
		"restarted": at("1", 0, 5), "other": at("1", 0, 5), "untouched": at("1", 3, 5), "stopped": at("1", 0, 5), "first": at("", 0, 0),
	}
	after := map[string]machine.Service{
		"restarted": at("2", 20_000, 50_000), "other": at("2", 10_000, 30_000), "untouched": at("1", 3, 5), "stopped": at("", 40_000, 5), "first": at("1", 0, 60_000),
	}
	var got Result
	got.measure(before, after)
	want := Result{Downtimes: []Downtime{{"other", 20 * time.Millisecond}, {"restarted", 30 * time.Millisecond}}, Span: 40 * time.Millisecond}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
