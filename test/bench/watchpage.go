package main

import (
	"fmt"
	"strings"
	"time"
)

// watchPage formats the figures about running apps as text.
func watchPage(b *bench, w *watched) []byte {
	var p strings.Builder
	fmt.Fprintf(&p, `
## Running apps

%d apps run on the test machine, each with a network, a volume and a port of its
own.

### A pass that finds nothing to do

%d rounds, as above. The last column compares with podman ps, the minimum that a
polling loop has to run.

| command | p50 | p90 | CPU p50 | ÷ podman ps |
| --- | ---: | ---: | ---: | ---: |
`, b.apps, b.rounds)
	passTable(&p, w.pass)
	fmt.Fprintf(&p, `
In healthd's own process a pass takes %s (p90 %s), %s of CPU time, and %s of
systemd's CPU time, over %d passes.

All these passes together changed %d files and reloaded systemd %d times. The
passes of healthd ran no program; %d of archgen apply ran %s.
`, milliseconds(percentile(w.pass.wall, 50)), milliseconds(percentile(w.pass.wall, 90)), milliseconds(w.pass.cpu), milliseconds(w.pass.manager),
		w.pass.passes, w.pass.written, w.pass.reloads, b.rounds, w.pass.ran())
	latencyTable(&p, b, w)
	costTable(&p, w.costs)
	return []byte(p.String())
}

func passTable(p *strings.Builder, n *nullPass) {
	r := result{lines: n.lines}
	base := r.line(podmanPS)
	for _, l := range n.lines {
		fmt.Fprintf(p, "| %s | %s | %s | %s | %.2f |\n", l.name,
			milliseconds(percentile(l.wall, 50)), milliseconds(percentile(l.wall, 90)), milliseconds(percentile(l.cpu, 50)),
			medianRatio(l.wall, base.wall))
	}
}

func latencyTable(p *strings.Builder, b *bench, w *watched) {
	fmt.Fprintf(p, `
### From a fault to its end

The benchmark causes each fault once for every app. Under healthd it causes one at a
time, while nothing else happens; only for a dead port, the app before may still be
settling. "The loop" polls as a shell script would: every %v it runs podman ps and
podman inspect, checks each unit file and each port, and restores or restarts what
is wrong, one after another. Faults come at all moments in between, %d in each
period, a third of each kind.

"Unit gone": healthd is stopped with SIGSTOP while the file is deleted, systemd
reloads its units and the app is stopped; the time begins when healthd continues.
An app is killed by killing its process. The kernel reports that to healthd, by the
control group. systemd notices it when conmon, the parent, has run podman container
cleanup and ended. healthd acts on an app when it takes the lock of a pass. A port is
dead when the process that forwards it (rootlessport) was killed. Probes are %v
apart.

| fault | n | p50 | p99 |
| --- | ---: | ---: | ---: |
`, b.period, b.apps, probePeriod)
	for _, l := range w.latency {
		latencyRow(p, l.name, l.times)
	}
	for _, l := range w.polled {
		latencyRow(p, "the loop: "+l.name, l.times)
	}
}

func latencyRow(p *strings.Builder, name string, times []time.Duration) {
	fmt.Fprintf(p, "| %s | %d | %s | %s |\n", name, len(times), milliseconds(percentile(times, 50)), milliseconds(percentile(times, 99)))
}

func costTable(p *strings.Builder, costs []cost) {
	p.WriteString(`
### What watching costs

CPU is in percent of one core. "All" is the control group of the user's systemd:
the apps, the processes that forward their ports and probe them, and systemd.
"healthd" is the control group of healthd, with its child processes. Both count
everything that ever ran in them, including children that ended. Journal lines are
the user's. Wakeups are the voluntary context switches of all threads. None of these
times includes healthd's full pass, which it makes every five minutes.
`)
	costRows(p, "apps are probed by", costs)
}

// costRows formats costs as tables. first is the heading of their names.
func costRows(p *strings.Builder, first string, costs []cost) {
	fmt.Fprintf(p, "\n| %s | time | CPU of all | CPU of healthd | journal lines a minute | of healthd |\n| --- | ---: | ---: | ---: | ---: | ---: |\n", first)
	for _, c := range costs {
		fmt.Fprintf(p, "| %s | %v | %.2f %% | %.3f %% | %.1f | %.1f |\n",
			c.name, c.over.Round(time.Second), c.share(c.whole), c.share(c.own), c.perMinute(c.lines), c.perMinute(c.healthdSaid))
	}
	p.WriteString("\n| healthd's | RSS at first | at the end | peak | anonymous | wakeups a minute |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
	for _, c := range costs {
		if c.peak > 0 {
			fmt.Fprintf(p, "| %s | %.1f MB | %.1f MB | %.1f MB | %.1f MB | %.0f |\n", c.name,
				megabytes(c.rss[0]), megabytes(c.rss[1]), megabytes(c.peak), megabytes(c.anonymous), c.perMinute(c.sleeps))
		}
	}
}

func megabytes(kib int) float64 { return float64(kib) * 1024 / 1e6 }

// bootRows formats the figures about boots as text.
func bootRows(apps int) ([]byte, error) {
	var p strings.Builder
	fmt.Fprintf(&p, `
### Boot

%d apps are enabled, and the power is cut. Medians of boots in turn, from the start of
the user's systemd, and of starts of all apps at once on a machine that is up. By hand,
existing containers are started; systemd's units create theirs again. In brackets is
the ratio to plain Quadlet files.

| from | to | time |
| --- | --- | ---: |
`, apps)
	var plain time.Duration
	for i, name := range bootable {
		manager, served, err := notedBoots(name)
		if err != nil {
			return nil, err
		}
		own := percentile(served, 50)
		if i == 0 {
			plain = own
			fmt.Fprintf(&p, "| systemd starts | the user's systemd starts | %s |\n", milliseconds(percentile(manager, 50)))
		}
		fmt.Fprintf(&p, "| the user's systemd starts | all apps serve, %s, %d boots | %s (%.2f) |\n", name, len(served), milliseconds(own), float64(own)/float64(plain))
	}
	return []byte(p.String()), nil
}

// startRows formats the figures about starts as text.
func startRows(bySystemd, byHand []time.Duration) []byte {
	return fmt.Appendf(nil, `| systemctl start of all | all apps serve | %s |
| podman start of all by hand | all apps serve | %s |
`, milliseconds(percentile(bySystemd, 50)), milliseconds(percentile(byHand, 50)))
}
