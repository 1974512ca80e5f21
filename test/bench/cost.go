package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// group is a control group. Its CPU time includes all processes that ever ran in it.
type group string

func (g group) cpu() time.Duration {
	return time.Duration(numberIn(filepath.Join(string(g), "cpu.stat"), "usage_usec")) * time.Microsecond
}

// group returns the control group of a unit of the user's manager. For "" it returns the
// manager's own, which contains all others.
func (f *fleet) group(ctx context.Context, unit string) (group, error) {
	if unit == "" {
		g, err := f.group(ctx, "init.scope")
		return group(filepath.Dir(string(g))), err
	}
	text, err := output(ctx, "systemctl", "--user", "show", "-P", "ControlGroup", unit)
	return group("/sys/fs/cgroup" + text), err
}

// numberIn returns the number under a name in a file of the kernel, or 0 if the file is
// gone, for example because a thread has ended.
func numberIn(file, name string) int {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && strings.TrimSuffix(f[0], ":") == name {
			n, _ := strconv.Atoi(f[1])
			return n
		}
	}
	return 0
}

// cost is the cost of watching apps for a while.
type cost struct {
	name  string
	over  time.Duration
	whole time.Duration // CPU time of the user's manager and all that it started
	lines int           // of the user's journal

	// The fields of healthd, if it runs. own includes its child processes. sleeps is how
	// often one of its threads went to sleep, and so was woken up.
	own                 time.Duration
	sleeps, healthdSaid int
	rss                 [2]int // at the beginning and at the end, KiB
	anonymous, peak     int
}

// perMinute converts a count to a rate.
func (c cost) perMinute(n int) float64 { return float64(n) / c.over.Minutes() }

// share converts CPU time to percent of a core.
func (c cost) share(d time.Duration) float64 { return 100 * d.Seconds() / c.over.Seconds() }

// The time after a start does not count: containers take a while to start, and healthd
// returns memory once after it has been idle for a while.
const warmUp, healthdWarmUp = 10 * time.Second, 45 * time.Second

// watchFor measures for a while. Nothing else may run.
func (f *fleet) watchFor(ctx context.Context, name string, d time.Duration, withHealthd bool) (cost, error) {
	c := cost{name: name}
	idle := warmUp
	if withHealthd {
		idle = healthdWarmUp
	}
	if err := pause(ctx, idle); err != nil {
		return c, err
	}
	whole, err := f.group(ctx, "")
	if err != nil {
		return c, err
	}
	var own group
	pid := 0
	if withHealthd {
		if own, err = f.group(ctx, healthdUnit); err != nil {
			return c, err
		}
		if pid, err = f.pid(ctx); err != nil {
			return c, err
		}
	}
	start, wholeBefore, ownBefore, sleeps := time.Now(), whole.cpu(), own.cpu(), sleepsOf(pid)
	c.rss[0] = numberIn(shown(pid, "status"), "VmRSS")
	if err := pause(ctx, d); err != nil {
		return c, err
	}
	c.over, c.whole, c.own, c.sleeps = time.Since(start), whole.cpu()-wholeBefore, own.cpu()-ownBefore, sleepsOf(pid)-sleeps
	c.rss[1] = numberIn(shown(pid, "status"), "VmRSS")
	c.anonymous, c.peak = numberIn(shown(pid, "status"), "RssAnon"), numberIn(shown(pid, "status"), "VmHWM")
	if c.lines, err = said(ctx, start); err != nil || !withHealthd {
		return c, err
	}
	if c.healthdSaid, err = said(ctx, start, "--user-unit="+healthdUnit); err != nil {
		return c, err
	}
	if now, err := f.pid(ctx); err != nil || now != pid {
		return c, fmt.Errorf("%s was restarted while it was measured: %w", healthdUnit, err)
	}
	return c, nil
}

// said returns the number of lines in the journal since a time.
func said(ctx context.Context, since time.Time, which ...string) (int, error) {
	at := fmt.Sprintf("--since=@%d.%06d", since.Unix(), since.Nanosecond()/1000)
	text, err := output(ctx, "journalctl", append([]string{"--user", "--quiet", "--no-pager", "--output=cat", at}, which...)...)
	if text == "" {
		return 0, err
	}
	return strings.Count(text, "\n") + 1, err
}

// sleepsOf counts how often the threads of a process went to sleep voluntarily.
func sleepsOf(pid int) (n int) {
	tasks, _ := filepath.Glob(shown(pid, "task/*/status")) // the pattern is valid
	for _, task := range tasks {
		n += numberIn(task, "voluntary_ctxt_switches")
	}
	return n
}
