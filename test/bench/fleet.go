package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// fleet is the apps that run during a measurement. Each has a network, a volume and an HTTP
// port of its own.
type fleet struct {
	apps    int
	archgen string
	places  paths.Paths
	manager *systemd.Manager
	client  http.Client
}

// The ways to check an app's health.
const (
	unchecked = ""
	byHealthd = "    health: {serving: {http: {port: web}, interval: 5s}}\n"
	// byDefault is byHealthd, as often as archgen has it done unless a manifest says otherwise.
	byDefault = "    health: {serving: {http: {port: web}}}\n"
	byPodman  = "    health: {serving: {exec: [/app, health], interval: 5s, timeout: 4s}}\n"
)

const (
	probePeriod = 5 * time.Second
	firstPort   = 18000
	healthdUnit = "archipelago-healthd.service"
	appsDir     = ".config/archipelago/apps" // below the user's home
)

func newFleet(ctx context.Context, apps int, archgen string) (*fleet, error) {
	places, err := paths.Of(units.User, os.Getenv)
	if err != nil {
		return nil, err
	}
	manager, err := systemd.Connect(ctx, systemd.Options{Scope: units.User})
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return &fleet{apps: apps, archgen: archgen, places: places, manager: manager, client: client}, nil
}

func name(i int) string            { return fmt.Sprintf("bench-%d", i) }
func service(i int) string         { return "app@" + name(i) + ".service" }
func unitName(i int) string        { return "app@" + name(i) + ".container" }
func (f *fleet) unit(i int) string { return filepath.Join(f.places.Units, unitName(i)) }

// names returns the names of the apps that make returns.
func (f *fleet) names(name func(int) string) []string {
	list := make([]string, 0, f.apps)
	for i := range f.apps {
		list = append(list, name(i))
	}
	return list
}

// install starts the apps, with health checks of that kind.
func (f *fleet) install(ctx context.Context, health string) error {
	for i := range f.apps {
		if err := writeManifest(i, firstPort+i, health); err != nil {
			return err
		}
	}
	return run(ctx, f.archgen, "apply")
}

// writeManifest writes the manifest of an app with a host port and a health check.
func writeManifest(i, port int, health string) error {
	return writeFile(appsDir, name(i)+".yaml", fmt.Sprintf(`app:
  id: %s
  name: App %d
  version: 1.0.0
  container:
    image: localhost/noshell:1
    ports: [{name: web, host: %d, container: 8080}]
    volumes: [{name: data, target: /data}]
%s`, name(i), i, port, health))
}

// healthd runs a systemctl verb on healthd.
func (f *fleet) healthd(ctx context.Context, verb string) error {
	_, err := output(ctx, "systemctl", "--user", verb, healthdUnit)
	return err
}

// settle starts healthd, and waits until it has asked all apps.
func (f *fleet) settle(ctx context.Context) error {
	if err := f.healthd(ctx, "start"); err != nil {
		return err
	}
	return pause(ctx, healthdWarmUp)
}

// answers reports whether an app serves.
func (f *fleet) answers(ctx context.Context, i int) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", firstPort+i), http.NoBody)
	if err != nil {
		return false
	}
	response, err := f.client.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// served waits until an app serves, and returns the time.
func (f *fleet) served(ctx context.Context, i int) (time.Time, error) {
	err := until(ctx, 10*time.Millisecond, func() bool { return f.answers(ctx, i) })
	if err != nil {
		return time.Time{}, fmt.Errorf("waiting for %s to serve: %w", name(i), err)
	}
	return time.Now(), nil
}

// allServe waits until all apps serve.
func (f *fleet) allServe(ctx context.Context) error {
	failures := make([]error, f.apps)
	var all sync.WaitGroup
	for i := range f.apps {
		all.Go(func() { _, failures[i] = f.served(ctx, i) })
	}
	all.Wait()
	return errors.Join(failures...)
}

// kill kills the processes of an app that run a program, and returns the time of the kill,
// because finding them takes a while.
func (f *fleet) kill(ctx context.Context, i int, program string) (time.Time, error) {
	found, err := f.processes(ctx, i, program)
	at := time.Now()
	for _, pid := range found {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return at, fmt.Errorf("killing %s of %s: %w", program, service(i), err)
		}
	}
	return at, err
}

// processes lists an app's processes that run a program.
func (f *fleet) processes(ctx context.Context, i int, program string) (found []int, err error) {
	list, err := f.manager.Current(ctx, service(i))
	if err != nil {
		return nil, err
	}
	group := "/sys/fs/cgroup" + list[0].ControlGroup
	err = filepath.WalkDir(group, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != "cgroup.procs" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for pid := range strings.FieldsSeq(string(text)) {
			comm, _ := os.ReadFile("/proc/" + pid + "/comm") // it may have ended
			if number, err := strconv.Atoi(pid); err == nil && string(bytes.TrimSpace(comm)) == program {
				found = append(found, number)
			}
		}
		return nil
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s has no process that runs %s", service(i), program)
	}
	return found, err
}

// calm waits until no pass runs, and none has begun for a while.
func (f *fleet) calm(ctx context.Context) error {
	const long = 400 * time.Millisecond
	lock, err := os.Open(filepath.Join(f.places.Runtime, "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	since := time.Now()
	return until(ctx, 20*time.Millisecond, func() bool {
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil {
			since = time.Now()
			return false
		}
		_ = syscall.Flock(int(lock.Fd()), syscall.LOCK_UN)
		return time.Since(since) > long
	})
}

// output runs a command and returns what it printed.
func output(ctx context.Context, command string, args ...string) (string, error) {
	var out, errors bytes.Buffer
	c := exec.CommandContext(ctx, command, args...)
	c.Stdout, c.Stderr = &out, &errors
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(c.Args, " "), err, &out, &errors)
	}
	return strings.TrimSpace(out.String()), nil
}

// patience is longer than any measured event takes.
const patience = 3 * time.Minute

// until waits until a condition is true.
func until(ctx context.Context, every time.Duration, isTrue func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !isTrue() {
		if err := pause(ctx, every); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
