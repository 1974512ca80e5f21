package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// page formats the figures as text.
func page(m computer, rounds int, results []result, stages []stage) []byte {
	var p strings.Builder
	fmt.Fprintf(&p, `# Benchmarks

Written by `+"`make bench`"+`; don't edit. Measured on %d cores, Linux %s, %s,
with Podman %s on the test machine (test/host), all in one run.

The manifests are those of test/bench/apps: distinct, 18 to 33 lines each, a
fifth of them with three containers, most with ports, volumes, environment, a
probe and a requirement. All files are in the page cache.

## Whole processes

%d rounds, each of which runs every command once; the disks are synced before
each. "CPU" is user and system time. The last column is the median of the
ratios within a round to Podman's generator writing to memory, which is what
runs at every boot and daemon-reload.
`, m.cores, m.kernel, m.filesystem, m.podman, rounds)
	for _, r := range results {
		table(&p, r)
	}
	p.WriteString(`
archgen writes every file under a temporary name, syncs it, renames it, and
syncs the directory: first-time figures are mostly the disk's. Podman's generator
syncs each file as well.

## Steps

The share of one manifest when 1,000 are worked on as a set, one core, median
of three runs. "Sync" is comparing and writing the files.

| step | time | memory | allocations |
| --- | ---: | ---: | ---: |
`)
	for _, s := range stages {
		fmt.Fprintf(&p, "| %s | %.0f µs | %.1f KiB | %.0f |\n", stageNames[s.name], s.microseconds, s.kilobytes, s.allocs)
	}
	p.WriteString(`
Other work on the same computer moves all times, by half and more on a small
virtual machine, so compare ratios and allocations between runs, not times.
`)
	return []byte(p.String())
}

// stageNames is the benchmarks of package generator and what they measure.
var stageNames = map[string]string{
	"Parse":     "Parse and validate",
	"Resolve":   "Resolve",
	"Render":    "Render",
	"Conform":   "Conform: Podman's converter reads the result",
	"SyncFirst": "Sync, first time, on disk",
	"SyncNull":  "Sync, nothing changed",
}

func table(p *strings.Builder, r result) {
	fmt.Fprintf(p, "\n%d manifests, %d files:\n\n", r.apps, r.files)
	p.WriteString("| command | p50 | p90 | CPU p50 | ÷ generator |\n| --- | ---: | ---: | ---: | ---: |\n")
	generator := r.line(memoryGenerator)
	for _, l := range r.lines {
		fmt.Fprintf(p, "| %s | %s | %s | %s | %.2f |\n", l.name,
			milliseconds(percentile(l.wall, 50)), milliseconds(percentile(l.wall, 90)), milliseconds(percentile(l.cpu, 50)),
			medianRatio(l.wall, generator.wall))
	}
}

func (r result) line(name string) *line {
	i := slices.IndexFunc(r.lines, func(l *line) bool { return l.name == name })
	return r.lines[i]
}

func milliseconds(d time.Duration) string {
	ms := float64(d.Microseconds()) / 1000
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// percentile returns the smallest value that p percent of the values don't exceed.
func percentile[T time.Duration | float64](values []T, p int) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)*p+99)/100-1]
}

// medianRatio compares two commands round by round.
func medianRatio(a, b []time.Duration) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = float64(a[i]) / float64(b[i])
	}
	return percentile(ratios, 50)
}
