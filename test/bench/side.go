package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// contender is a way to run the apps of a fleet.
type contender struct {
	name string
	// write writes the files of all apps, and those of one app with another host port.
	write func(i, port int) error
	// apply makes the machine match the files. ids is the edited apps, none for all.
	apply func(ctx context.Context, edited []int) error
	// remove stops and deletes everything.
	remove func(ctx context.Context) error
	// container is the name of an app's container, and service that of its unit, if it has one.
	container, service func(i int) string
}

// mostPods is up to how many apps podman kube play is measured: its pods start one after another, and
// three hundred take a quarter of an hour.
const mostPods = 100

// contenders is archgen, plain Quadlet files, and what else is installed.
func (f *fleet) contenders() []contender {
	list := []contender{f.plain(), f.archipelago()} // bootable first
	if f.apps <= mostPods {
		list = append(list, f.kube())
	}
	if _, err := exec.LookPath("podman-compose"); err == nil {
		list = append(list, f.compose())
	}
	return list
}

// editedPort is the host port of an app after it was edited.
func editedPort(i int) int { return firstPort + 10000 + i }

// writeFile writes a file of a contender below the user's home.
func writeFile(dir, name, text string) error {
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	path := filepath.Join(home, dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

func removeDirs(dirs ...string) error {
	home, err := os.UserHomeDir()
	for _, dir := range dirs {
		if err == nil {
			err = os.RemoveAll(filepath.Join(home, dir))
		}
	}
	return err
}

// run runs a command for its effect.
func run(ctx context.Context, command ...string) error {
	_, err := output(ctx, command[0], command[1:]...)
	return err
}

// plain is hand-written Quadlet files.
func (f *fleet) plain() contender {
	const dir = ".config/containers/systemd/plain"
	service := func(i int) string { return fmt.Sprintf("plain-%d.service", i) }
	container := func(i int) string { return fmt.Sprintf("plain-%d", i) }
	return contender{
		name: "plain Quadlet files", container: container, service: service,
		write: func(i, port int) error {
			for name, text := range map[string]string{
				container(i) + ".network": "[Network]\nNetworkName=" + container(i) + "\n",
				container(i) + ".volume":  "[Volume]\nVolumeName=" + container(i) + "\n",
				container(i) + ".container": fmt.Sprintf(`[Container]
Image=localhost/noshell:1
ContainerName=%[1]s
Network=%[1]s.network
Volume=%[1]s.volume:/data
PublishPort=127.0.0.1:%[2]d:8080
DropCapability=all
NoNewPrivileges=true
[Quadlet]
DefaultDependencies=false
[Service]
Restart=always
[Install]
WantedBy=default.target
`, container(i), port),
			} {
				if err := writeFile(dir, name, text); err != nil {
					return err
				}
			}
			return nil
		},
		apply: func(ctx context.Context, edited []int) error {
			if err := run(ctx, "systemctl", "--user", "daemon-reload"); err != nil {
				return err
			}
			if len(edited) > 0 {
				return run(ctx, "systemctl", "--user", "restart", service(edited[0]))
			}
			return run(ctx, append([]string{"systemctl", "--user", "start"}, f.names(service)...)...)
		},
		remove: func(ctx context.Context) error {
			// Those of networks and volumes stay active, too.
			if err := run(ctx, "systemctl", "--user", "stop", "plain-*"); err != nil {
				return err
			}
			return cleanUp(ctx, dir)
		},
	}
}

// cleanUp removes the files of a contender and all networks and volumes.
func cleanUp(ctx context.Context, dirs ...string) error {
	if err := removeDirs(dirs...); err != nil {
		return err
	}
	for _, command := range []string{
		"systemctl --user daemon-reload", "podman rm --all --force --time=2", "podman pod rm --all --force", "podman network prune --force", "podman volume rm --all --force",
	} {
		if err := run(ctx, strings.Fields(command)...); err != nil {
			return err
		}
	}
	return nil
}

// archipelago is archgen.
func (f *fleet) archipelago() contender {
	return contender{
		name: "archgen", container: name, service: service,
		write: func(i, port int) error {
			return writeManifest(i, port, unchecked)
		},
		apply: func(ctx context.Context, _ []int) error { return run(ctx, f.archgen, "apply") },
		remove: func(ctx context.Context) error {
			// healthd would remove the apps first, and hold the lock for as long as that takes.
			if err := run(ctx, append([]string{"systemctl", "--user", "stop"}, watchers...)...); err != nil {
				return err
			}
			if err := removeDirs(appsDir); err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Join(os.Getenv("HOME"), appsDir), 0o755); err != nil {
				return err
			}
			if err := run(ctx, f.archgen, "apply"); err != nil {
				return err
			}
			return cleanUp(ctx)
		},
	}
}

// watchers is the units that make passes by themselves.
var watchers = []string{"archipelago-reconcile.path", "archipelago-reconcile.timer", healthdUnit}

// kube is a Kubernetes file for each app.
func (f *fleet) kube() contender {
	const dir = "kube"
	app := func(i int) string { return fmt.Sprintf("kube-%d", i) }
	play := func(ctx context.Context, i int) error {
		return run(ctx, "podman", "kube", "play", "--replace", "--network", app(i), filepath.Join(os.Getenv("HOME"), dir, app(i)+".yaml"))
	}
	return contender{
		name: "podman kube play", container: func(i int) string { return app(i) + "-web" },
		write: func(i, port int) error {
			return writeFile(dir, app(i)+".yaml", fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %[1]s}
spec:
  restartPolicy: Always
  containers:
    - name: web
      image: localhost/noshell:1
      ports: [{containerPort: 8080, hostPort: %[2]d, hostIP: 127.0.0.1}]
      volumeMounts: [{name: data, mountPath: /data}]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [all]}}
  volumes:
    - {name: data, persistentVolumeClaim: {claimName: %[1]s}}
`, app(i), port))
		},
		apply: func(ctx context.Context, edited []int) error {
			if len(edited) > 0 {
				return play(ctx, edited[0])
			}
			for i := range f.apps {
				if err := run(ctx, "podman", "network", "create", "--ignore", app(i)); err != nil {
					return err
				}
				if err := play(ctx, i); err != nil {
					return err
				}
			}
			return nil
		},
		remove: func(ctx context.Context) error { return cleanUp(ctx, dir) },
	}
}

// compose is a compose file for each app.
func (f *fleet) compose() contender {
	const dir = "compose"
	app := func(i int) string { return fmt.Sprintf("compose-%d", i) }
	up := func(ctx context.Context, i int) error {
		return run(ctx, "podman-compose", "--file", filepath.Join(os.Getenv("HOME"), dir, app(i), "compose.yaml"), "up", "--detach")
	}
	return contender{
		name: "podman-compose", container: app,
		write: func(i, port int) error {
			return writeFile(dir+"/"+app(i), "compose.yaml", fmt.Sprintf(`services:
  web:
    image: localhost/noshell:1
    container_name: %s
    restart: always
    cap_drop: [ALL]
    security_opt: [no-new-privileges]
    ports: ["127.0.0.1:%d:8080"]
    volumes: ["data:/data"]
volumes: {data: {}}
`, app(i), port))
		},
		apply: func(ctx context.Context, edited []int) error {
			if len(edited) > 0 {
				return up(ctx, edited[0])
			}
			for i := range f.apps {
				if err := up(ctx, i); err != nil {
					return err
				}
			}
			return nil
		},
		remove: func(ctx context.Context) error { return cleanUp(ctx, dir) },
	}
}

// side is the figures of one contender.
type side struct {
	name                                            string
	installed, returned, cpu, idle, edited, applied []time.Duration
	killed                                          []time.Duration
}

// sideBySide measures every contender with the same apps, one after another, some times.
func (b *bench) sideBySide(ctx context.Context) ([]byte, error) {
	f, err := newFleet(ctx, b.apps, b.archgen)
	if err != nil {
		return nil, err
	}
	defer f.manager.Close()
	var sides []*side
	for _, c := range f.contenders() {
		sides = append(sides, &side{name: c.name})
	}
	for round := range max(1, b.rounds/2) {
		for i, c := range f.contenders() {
			fmt.Fprintf(os.Stderr, "bench: round %d, %d apps, %s\n", round, b.apps, c.name)
			if err := f.measure(ctx, c, sides[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	return sidePage(b.apps, sides), nil
}

// writeAll writes the files of all apps.
func (f *fleet) writeAll(c contender) error {
	for i := range f.apps {
		if err := c.write(i, firstPort+i); err != nil {
			return err
		}
	}
	return nil
}

// measure installs, edits, kills and removes the apps of a contender.
func (f *fleet) measure(ctx context.Context, c contender, s *side) error {
	if err := f.writeAll(c); err != nil {
		return err
	}
	busy := busyTime()
	start := time.Now()
	returned := make(chan error, 1)
	go func() { returned <- c.apply(ctx, nil) }()
	if err := f.allServe(ctx); err != nil {
		return err
	}
	s.installed = append(s.installed, time.Since(start))
	if err := <-returned; err != nil {
		return err
	}
	s.returned = append(s.returned, time.Since(start))
	s.cpu = append(s.cpu, busyTime()-busy)
	start = time.Now()
	if err := c.apply(ctx, nil); err != nil {
		return err
	}
	s.idle = append(s.idle, time.Since(start))
	for i := range min(f.apps, 5) {
		if err := f.killOnce(ctx, c, s, i); err != nil {
			return err
		}
		if err := f.editOnce(ctx, c, s, i); err != nil {
			return err
		}
	}
	return c.remove(ctx)
}

// killOnce kills the process of an app, and waits until it serves again.
func (f *fleet) killOnce(ctx context.Context, c contender, s *side, i int) error {
	text, err := output(ctx, "podman", "inspect", "--format={{.State.Pid}}", c.container(i))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	// Not until it does not answer: Podman restarts some within a tenth of a second.
	if err := until(ctx, time.Millisecond, func() bool { return syscall.Kill(pid, 0) != nil }); err != nil {
		return err
	}
	served, err := f.served(ctx, i)
	s.killed = append(s.killed, served.Sub(start))
	return err
}

// editOnce gives an app another host port, and waits until it serves there.
func (f *fleet) editOnce(ctx context.Context, c contender, s *side, i int) error {
	if err := c.write(i, editedPort(i)); err != nil {
		return err
	}
	start := time.Now()
	returned := make(chan error, 1)
	go func() { returned <- c.apply(ctx, []int{i}) }()
	served, err := f.served(ctx, editedPort(i)-firstPort)
	if err != nil {
		return err
	}
	s.edited = append(s.edited, served.Sub(start))
	err = <-returned
	s.applied = append(s.applied, time.Since(start))
	return err
}

// busyTime is the CPU time that the whole machine has used.
func busyTime() time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	var ticks int64
	for i, field := range strings.Fields(line) {
		if n, err := strconv.ParseInt(field, 10, 64); err == nil && i != 4 && i != 5 { // idle, waiting
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func sidePage(apps int, sides []*side) []byte {
	var p strings.Builder
	fmt.Fprintf(&p, `
### Side by side, %d apps

Every way runs the same containers, one way after another: a network, a volume and a
port each, without capabilities. In brackets is the ratio to plain Quadlet files. An
app is edited by changing its host port; it serves when the new port answers. "CPU" is
the busy time of the whole machine. podman kube play is measured with at most %d apps: it
starts one after another.

| | files → all serve | returns | CPU | nothing to do | edit → serves | returns | killed → serves |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
`, apps, mostPods)
	base := sides[0]
	for _, s := range sides {
		fmt.Fprintf(&p, "| %s |", s.name)
		for _, pair := range [][2][]time.Duration{
			{s.installed, base.installed},
			{s.returned, base.returned},
			{s.cpu, base.cpu},
			{s.idle, base.idle},
			{s.edited, base.edited},
			{s.applied, base.applied},
			{s.killed, base.killed},
		} {
			own, plain := percentile(pair[0], 50), percentile(pair[1], 50)
			fmt.Fprintf(&p, " %s (%.2f) |", milliseconds(own), float64(own)/float64(plain))
		}
		p.WriteString("\n")
	}
	return []byte(p.String())
}
