package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/archipelago-os/archipelago/test/bench/apps"
)

// render measures the steps from manifests to unit files.
func (b *bench) render(ctx context.Context) ([]byte, error) {
	out, err := exec.CommandContext(ctx, "podman", "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("asking podman for its version: %w", err)
	}
	fields := strings.Fields(string(out))
	b.podman = fields[len(fields)-1]
	if b.disk, err = os.MkdirTemp(".", "bench-"); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(b.disk) }() // what remains is removed with the machine
	if b.memory, err = os.MkdirTemp(b.memory, "bench-"); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(b.memory) }()
	// archgen asks Podman for the places of its objects once on a machine, and keeps them.
	if err := run(ctx, b.archgen, "apply"); err != nil {
		return nil, err
	}

	var results []result
	for _, n := range sizes {
		r, err := b.measure(ctx, n)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	stages, err := b.measureStages(ctx)
	if err != nil {
		return nil, err
	}
	m, err := describe(ctx, b.disk, b.podman)
	if err != nil {
		return nil, err
	}
	return page(m, b.rounds, results, stages), nil
}

// result is the measurements for one number of apps.
type result struct {
	apps, files int
	lines       []*line
}

// line is one command that is measured once per round.
type line struct {
	name string
	// fresh is a directory that has to be empty before each run.
	fresh   string
	command []string
	env     string

	wall, cpu []time.Duration
}

func (b *bench) measure(ctx context.Context, n int) (result, error) {
	in, out := filepath.Join(b.disk, fmt.Sprint(n, "/apps")), filepath.Join(b.disk, fmt.Sprint(n, "/out"))
	if err := errors.Join(writeApps(in, n), grantAll()); err != nil {
		return result{}, err
	}
	services, inMemory := filepath.Join(b.disk, fmt.Sprint(n, "/services")), filepath.Join(b.memory, strconv.Itoa(n))
	render := []string{b.archgen, "render", "--out", out, in}
	units, err := filepath.Abs(out)
	if err != nil {
		return result{}, err
	}
	lines := []*line{
		{name: "archgen render, first time, on disk", fresh: out, command: append(slices.Clone(render), "--podman", b.podman)},
		{name: "archgen render, nothing changed", command: append(slices.Clone(render), "--podman", b.podman)},
		{name: "the same, Podman's version not given", command: render},
		{name: "archgen version", command: []string{b.archgen, "version"}},
		{name: "podman --version", command: []string{"podman", "--version"}},
		{name: diskGenerator, fresh: services, command: []string{b.quadlet, "-user", "-no-kmsg-log", services}, env: "QUADLET_UNIT_DIRS=" + units},
		{name: memoryGenerator, fresh: inMemory, command: []string{b.quadlet, "-user", "-no-kmsg-log", inMemory}, env: "QUADLET_UNIT_DIRS=" + units},
	}
	for range b.rounds {
		for _, l := range lines {
			if err := l.once(ctx); err != nil {
				return result{}, err
			}
		}
	}
	files, err := filepath.Glob(out + "/[^.]*") // all but the lock
	if err != nil {
		return result{}, err
	}
	made, err := filepath.Glob(services + "/*.service")
	// Only archgen reads recipes.
	want := slices.DeleteFunc(slices.Clone(files), func(path string) bool { return filepath.Ext(path) == ".recipe" })
	if err == nil && len(made) != len(want) {
		err = fmt.Errorf("Podman's generator made %d services of %d files, so its times mean nothing", len(made), len(want))
	}
	return result{apps: n, files: len(files), lines: lines}, err
}

const (
	diskGenerator   = "Podman's generator on the result, to disk"
	memoryGenerator = "Podman's generator on the result, to memory"
)

func writeApps(dir string, n int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, s := range apps.Sources(n) {
		if err := os.WriteFile(filepath.Join(dir, s.Name), s.Data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// grantAll grants the rights of the apps, without which archgen render refuses them.
func grantAll() error {
	return writeFile(".config/archipelago", "archipelago.toml", `allow = ["host-read", "listen", "use"]`+"\n")
}

// once runs the command. It starts with idle disks, so that earlier writes do not count.
func (l *line) once(ctx context.Context) error {
	if l.fresh != "" {
		if err := os.RemoveAll(l.fresh); err != nil {
			return err
		}
		if err := os.MkdirAll(l.fresh, 0o755); err != nil {
			return err
		}
	}
	syscall.Sync()
	var output bytes.Buffer
	c := exec.CommandContext(ctx, l.command[0], l.command[1:]...)
	c.Stdout, c.Stderr = &output, &output
	c.Env = append(os.Environ(), l.env)
	start := time.Now()
	err := c.Run()
	wall := time.Since(start)
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(l.command, " "), err, &output)
	}
	l.wall = append(l.wall, wall)
	l.cpu = append(l.cpu, c.ProcessState.UserTime()+c.ProcessState.SystemTime())
	return nil
}

// stage is the time of one step for one manifest.
type stage struct {
	name              string
	microseconds      float64
	allocs, kilobytes float64
}

// measureStages runs the benchmarks of package generator, which use the largest number of
// manifests in sizes.
func (b *bench) measureStages(ctx context.Context) ([]stage, error) {
	c := exec.CommandContext(ctx, b.stages, "-test.run=^$", "-test.bench=.", "-test.benchtime=5x", "-test.count=3")
	c.Env = append(os.Environ(), "TMPDIR="+b.disk)
	out, err := c.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", b.stages, err, out)
	}
	all := map[string][]stage{}
	var order []string
	for text := range strings.Lines(string(out)) {
		s, ok := parseStage(text)
		if !ok {
			continue
		}
		if all[s.name] == nil {
			order = append(order, s.name)
		}
		all[s.name] = append(all[s.name], s)
	}
	if len(order) == 0 {
		return nil, errors.New("the benchmarks of package generator printed no figures")
	}
	list := make([]stage, 0, len(order))
	for _, name := range order {
		runs := all[name]
		slices.SortFunc(runs, func(a, b stage) int { return cmp.Compare(a.microseconds, b.microseconds) })
		list = append(list, runs[len(runs)/2])
	}
	return list, nil
}

// parseStage reads a line such as
//
//	BenchmarkRender-2  10  79 ns/op  78 ns/manifest  19 B/op  16 allocs/op
func parseStage(text string) (stage, bool) {
	f := strings.Fields(text)
	if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
		return stage{}, false
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(f[0], "Benchmark"), "-")
	s, found := stage{name: name}, false
	n := float64(sizes[len(sizes)-1])
	for i := 2; i+1 < len(f); i += 2 {
		v, err := strconv.ParseFloat(f[i], 64)
		if err != nil {
			return stage{}, false
		}
		switch f[i+1] {
		case "ns/manifest":
			s.microseconds, found = v/1000, true
		case "B/op":
			s.kilobytes = v / n / 1024
		case "allocs/op":
			s.allocs = v / n
		}
	}
	return s, found
}
