package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	catalogDir = ".config/archipelago/catalog" // below the user's home
	// registryAddress is where noshell's registry serves one image under all names.
	registryAddress = "127.0.0.1:5000"
	// savedSize is how many bytes of data a snapshot is taken of.
	savedSize = 16 << 20
)

// The apps of the part: the first is updated by archgen, the second by podman auto-update. The unit files
// are the same otherwise.
const (
	byArchgen = iota
	byAutoUpdate
)

// updates is the updates of two apps whose images are in a registry of this machine.
type updates struct {
	*fleet
	home string
	// revision and format are those of the newest release in the catalog.
	revision, format int
	// isSecond: the image in the registry is the second of the two that serve.
	isSecond bool
	lines    []*updateLine
}

// updateLine is what happens when a command is run in each round.
type updateLine struct {
	name string
	down []time.Duration
	// restarts is how often the app was another start of its unit afterwards, requests those of the
	// registry.
	restarts, requests int
}

// update measures for how long updates take an app down.
func (b *bench) update(ctx context.Context) ([]byte, error) {
	f, err := newFleet(ctx, byAutoUpdate+1, b.archgen)
	if err != nil {
		return nil, err
	}
	defer f.manager.Close()
	u := &updates{fleet: f, home: os.Getenv("HOME"), revision: 1, format: 1}
	if err := u.prepare(ctx); err != nil {
		return nil, err
	}
	rounds := max(1, b.rounds/3)
	for round := range rounds {
		fmt.Fprintf(os.Stderr, "bench: round %d of updates\n", round)
		if err := u.round(ctx); err != nil {
			return nil, err
		}
	}
	if err := u.clean(ctx); err != nil {
		return nil, err
	}
	return updatePage(rounds, u.lines), nil
}

// round runs every command once.
func (u *updates) round(ctx context.Context) error {
	update := []string{u.archgen, "update", name(byArchgen)}
	auto := []string{"podman", "auto-update"}
	for i, step := range []struct {
		name    string
		release func(context.Context) error
		app     int
		command []string
	}{
		{"systemctl restart", nil, byArchgen, []string{"systemctl", "--user", "restart", service(byArchgen)}},
		{"archgen update", u.good, byArchgen, update},
		{"archgen update, with a snapshot", u.converting, byArchgen, update},
		{"podman auto-update", u.good, byAutoUpdate, auto},
		{"archgen update, the release crashes", u.crashing, byArchgen, update},
		{"the same release, a later night: archgen update --auto", nil, byArchgen, []string{u.archgen, "update", "--auto"}},
		{"podman auto-update, the release crashes", u.crashing, byAutoUpdate, auto},
		{"the same release, a later night: podman auto-update", nil, byAutoUpdate, auto},
	} {
		if step.release != nil {
			if err := step.release(ctx); err != nil {
				return err
			}
		}
		if len(u.lines) == i {
			u.lines = append(u.lines, &updateLine{name: step.name})
		}
		if err := u.measure(ctx, u.lines[i], step.app, step.command); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// measure runs a command on an app that serves, and waits until it serves again.
func (u *updates) measure(ctx context.Context, l *updateLine, app int, command []string) error {
	before, err := u.start(ctx, app)
	if err != nil {
		return err
	}
	requests := u.requests()
	down, err := u.outage(ctx, app, command)
	if err != nil {
		return err
	}
	after, err := u.start(ctx, app)
	if after != before {
		l.restarts++
	}
	l.down = append(l.down, down)
	l.requests += u.requests() - requests
	return err
}

// start identifies the present start of an app.
func (u *updates) start(ctx context.Context, app int) (string, error) {
	return output(ctx, "systemctl", "--user", "show", "-P", "InvocationID", service(app))
}

// outage runs a command, and returns for how long the app did not answer until it did after the end of the
// command. The command may fail with status 1: the earlier release was restored.
func (f *fleet) outage(ctx context.Context, app int, command []string) (down time.Duration, err error) {
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, command...) }()
	isOver, isUp, at := false, true, time.Now()
	return down, errors.Join(err, until(ctx, 2*time.Millisecond, func() bool {
		answers, now := f.answers(ctx, app), time.Now()
		if !isUp {
			down += now.Sub(at)
		}
		isUp, at = answers, now
		if isOver {
			return answers || err != nil
		}
		select {
		case err = <-ended:
			isOver = true
			if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
				err = nil
			}
		default:
		}
		return false
	}))
}

// requests is how many requests the registry has had.
func (u *updates) requests() int {
	text, _ := os.ReadFile(filepath.Join(u.home, "requests")) // none before the first request
	return strings.Count(string(text), "\n")
}

// images is the images that releases have: two that serve, and one that crashes.
var images = map[string]string{
	"first":  "LABEL edition=first",
	"second": "LABEL edition=second",
	"bad":    `CMD ["crash", "0s"]`,
}

// prepare makes the images, opens the registry, and installs the apps.
func (u *updates) prepare(ctx context.Context) error {
	for name, line := range images {
		if err := writeFile("images", name, "FROM localhost/noshell:1\n"+line+"\n"); err != nil {
			return err
		}
		if err := run(ctx, "podman", "build", "--quiet", "--tag", "localhost/update:"+name, "--file", filepath.Join(u.home, "images", name), filepath.Join(u.home, "images")); err != nil {
			return err
		}
	}
	if err := u.push(ctx, "first"); err != nil {
		return err
	}
	if err := u.openRegistry(ctx); err != nil {
		return err
	}
	if err := u.offer(); err != nil {
		return err
	}
	own := name(byAutoUpdate) + ".yaml"
	if err := errors.Join(
		writeFile("images", own, releaseText(byAutoUpdate, 1, 1, "registry")),
		run(ctx, u.archgen, "install", "--allow", "auto-update", name(byArchgen), filepath.Join(u.home, "images", own)),
	); err != nil {
		return err
	}
	data := filepath.Join(u.home, ".local/share/containers/storage/volumes", name(byArchgen)+".data/_data/saved")
	return errors.Join(run(ctx, "podman", "unshare", "sh", "-c", fmt.Sprintf("head -c %d /dev/urandom >%s", savedSize, data)), u.allServe(ctx))
}

// openRegistry has noshell serve what push writes.
func (u *updates) openRegistry(ctx context.Context) error {
	container, err := output(ctx, "podman", "create", "localhost/noshell:1")
	if err != nil {
		return err
	}
	program, trusted := filepath.Join(u.home, "noshell"), filepath.Join(u.home, ".config/containers/certs.d", registryAddress)
	if err := errors.Join(
		run(ctx, "podman", "cp", container+":/app", program), run(ctx, "podman", "rm", container), os.MkdirAll(trusted, 0o755),
		run(ctx, "systemd-run", "--user", "--quiet", "--unit=registry", "--property=StandardOutput=append:"+filepath.Join(u.home, "requests"),
			program, "registry", filepath.Join(u.home, "registry")),
	); err != nil {
		return err
	}
	return until(ctx, 10*time.Millisecond, func() bool {
		text, err := os.ReadFile(filepath.Join(u.home, "registry/ca.crt"))
		return err == nil && os.WriteFile(filepath.Join(trusted, "ca.crt"), text, 0o600) == nil
	})
}

// push makes an image the one that the registry has.
func (u *updates) push(ctx context.Context, image string) error {
	return run(ctx, "podman", "push", "--quiet", "localhost/update:"+image, "dir:"+filepath.Join(u.home, "registry"))
}

// good makes a release that serves the newest one, converting one that converts the data, too, and crashing
// one that does not serve. Each is new to both ways to update.
func (u *updates) good(ctx context.Context) error {
	u.isSecond = !u.isSecond
	image := "first"
	if u.isSecond {
		image = "second"
	}
	u.revision++
	return errors.Join(u.push(ctx, image), u.offer())
}

func (u *updates) converting(ctx context.Context) error {
	u.format++
	return u.good(ctx)
}

func (u *updates) crashing(ctx context.Context) error {
	u.revision++
	return errors.Join(u.push(ctx, "bad"), u.offer())
}

// offer writes the newest release of the first app to its catalog.
func (u *updates) offer() error {
	return writeFile(catalogDir, name(byArchgen)+".yaml", releaseText(byArchgen, u.revision, u.format, "auto"))
}

// releaseText is the manifest of a release.
func releaseText(app, revision, format int, policy string) string {
	return fmt.Sprintf(`app:
  id: %[1]s
  name: %[1]s
  version: "%[2]d"
  revision: %[2]d
  container:
    image: %[3]s/%[1]s:%[2]d
    ports: [{name: web, host: %[4]d, container: 8080}]
    volumes: [{name: data, target: /data}]
    health: {serving: {http: {port: web}}}
  data: {format: %[5]d, reads: 1}
  update: {policy: %[6]s}
`, name(app), revision, registryAddress, firstPort+app, format, policy)
}

// clean removes all of it.
func (u *updates) clean(ctx context.Context) error {
	return errors.Join(
		run(ctx, "systemctl", "--user", "stop", "registry.service"),
		run(ctx, append([]string{u.archgen, "remove", "--purge", "--yes"}, u.names(name)...)...),
		cleanUp(ctx, catalogDir, "images", "registry"),
	)
}

func updatePage(rounds int, lines []*updateLine) []byte {
	var p strings.Builder
	fmt.Fprintf(&p, `
### Updates

An app gets new releases from a registry on this machine, %d times each. "Down" is
how long its port does not answer, and the ratio is the median of those within a
round. podman auto-update is run on the same unit of another app. A snapshot copies %d MiB.
Requests and restarts are those of all rounds.

| command | down | longest | ÷ restart | restarts | requests |
| --- | ---: | ---: | ---: | ---: | ---: |
`, rounds, savedSize>>20)
	for _, l := range lines {
		fmt.Fprintf(&p, "| %s | %s | %s | %.2f | %d | %d |\n", l.name,
			milliseconds(percentile(l.down, 50)), milliseconds(percentile(l.down, 100)), medianRatio(l.down, lines[0].down), l.restarts, l.requests)
	}
	return []byte(p.String())
}
