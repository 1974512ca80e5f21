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

// group is a control group. Its CPU time is that of all that ever ran in it.
type group string

func (g group) cpu() time.Duration {
	return time.Duration(numberIn(filepath.Join(string(g), "cpu.stat"), "usage_usec")) * time.Microsecond
}

// group is the control group of a unit of the user's manager; "" is the manager's
// own, which holds all others.
func (f *fleet) group(ctx context.Context, unit string) (group, error) {
	if unit == "" {
		g, err := f.group(ctx, "init.scope")
		return group(filepath.Dir(string(g))), err
	}
	text, err := output(ctx, "systemctl", "--user", "show", "-P", "ControlGroup", unit)
	return group("/sys/fs/cgroup" + text), err
}

// numberIn is a number that a file of the kernel has under a name; 0 where the
// file is gone, as of a thread that ended.
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

// cost is what it costs to have apps watched for a while.
type cost struct {
	name  string
	over  time.Duration
	whole time.Duration // CPU time of all that the user's manager started, and its own
	lines int           // of the user's journal

	// Of healthd, where it runs. own includes what it runs; sleeps is how often
	// one of its threads went to sleep, and so was woken up.
	own                 time.Duration
	sleeps, healthdSaid int
	rss                 [2]int // at the beginning and at the end, KiB
	anonymous, peak     int
}

// perMinute scales a count.
func (c cost) perMinute(n int) float64 { return float64(n) / c.over.Minutes() }

// share is CPU time in percent of a core.
func (c cost) share(d time.Duration) float64 { return 100 * d.Seconds() / c.over.Seconds() }

// What happens after a start doesn't count: containers start for a while, and healthd
// gives memory back once, when it has been calm for a while.
const warmUp, healthdWarmUp = 10 * time.Second, 45 * time.Second

// watchFor measures for a while. Nothing else may go on.
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

// said is how many lines the journal has since then.
func said(ctx context.Context, since time.Time, which ...string) (int, error) {
	at := fmt.Sprintf("--since=@%d.%06d", since.Unix(), since.Nanosecond()/1000)
	text, err := output(ctx, "journalctl", append([]string{"--user", "--quiet", "--no-pager", "--output=cat", at}, which...)...)
	if text == "" {
		return 0, err
	}
	return strings.Count(text, "\n") + 1, err
}

// sleepsOf counts how often the threads of a process went to sleep by themselves.
func sleepsOf(pid int) (n int) {
	tasks, _ := filepath.Glob(shown(pid, "task/*/status")) // the pattern is sound
	for _, task := range tasks {
		n += numberIn(task, "voluntary_ctxt_switches")
	}
	return n
}
