// Command bench measures Archipelago against the alternatives of its users, on one machine
// in one run, and prints the parts of docs/benchmarks.md. It owns that page and nothing
// else: it judges no figure, and fails only when a command fails.
//
// test/bench/run runs it on the test machine, once for each part, because one part comes
// after a reboot.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sizes is the numbers of apps that are rendered: those of a node, and those of the
// performance target.
var sizes = []int{30, 1000}

func main() {
	b := bench{quadlet: "/usr/libexec/podman/quadlet"}
	part := flag.String("part", "render", "which `PART` to measure: "+strings.Join(slices.Sorted(maps.Keys(parts)), ", "))
	flag.StringVar(&b.archgen, "archgen", "archgen", "`PATH` of archgen")
	flag.StringVar(&b.stages, "stages", "", "`PATH` of the test binary of package generator")
	flag.StringVar(&b.memory, "memory", os.Getenv("XDG_RUNTIME_DIR"), "`DIR` on a tmpfs")
	flag.StringVar(&b.tree, "tree", "", "`DIR` that make install has filled")
	flag.StringVar(&b.packages, "packages", "", "`DIR` with the deb and the rpm")
	flag.StringVar(&b.contender, "contender", "archgen", "whose apps to put, to take or that have booted: plain, archgen")
	flag.IntVar(&b.rounds, "rounds", 10, "`NUMBER` of rounds; a round runs every command once")
	flag.IntVar(&b.apps, "apps", 30, "`NUMBER` of apps that run")
	flag.DurationVar(&b.soak, "soak", time.Minute, "how long healthd is watched")
	flag.DurationVar(&b.period, "period", 30*time.Second, "how often the loop that polls looks")
	flag.Parse()
	measure, known := parts[*part]
	if !known {
		fmt.Fprintf(os.Stderr, "bench: there is no part %q\n", *part)
		os.Exit(2)
	}
	page, err := measure(&b, context.Background())
	if err == nil {
		_, err = os.Stdout.Write(page)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parts is the parts of the page.
var parts = map[string]func(*bench, context.Context) ([]byte, error){
	"render": (*bench).render,
	"sizes":  (*bench).sizes,
	"side":   (*bench).sideBySide,
	"update": (*bench).update,
	"watch":  (*bench).watch,
	"many":   (*bench).many,
	"put":    (*bench).put,
	"take":   (*bench).take,
	"booted": (*bench).booted,
	"boot":   (*bench).boot,
}

type bench struct {
	archgen, quadlet, stages, memory, tree, packages, contender string

	rounds, apps int
	soak, period time.Duration

	podman string // the version to render for, major.minor
	disk   string // a directory on the disk
}

// computer is what the figures depend on most.
type computer struct {
	cores                      int
	kernel, filesystem, podman string
}

func describe(ctx context.Context, dir, podman string) (computer, error) {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return computer{}, err
	}
	system, err := filesystem(ctx, dir)
	if err != nil {
		return computer{}, err
	}
	out, err := exec.CommandContext(ctx, "nproc").Output()
	if err != nil {
		return computer{}, fmt.Errorf("nproc: %w", err)
	}
	cores, err := strconv.Atoi(strings.TrimSpace(string(out)))
	version, _, _ := strings.Cut(strings.TrimSpace(string(kernel)), "-")
	return computer{cores, version, system, podman}, err
}

// filesystem returns the type of the file system that contains dir.
func filesystem(ctx context.Context, dir string) (string, error) {
	out, err := exec.CommandContext(ctx, "stat", "--file-system", "--format=%T", dir).Output()
	if err != nil {
		return "", fmt.Errorf("stat %s: %w", dir, err)
	}
	// stat can't distinguish the three; today all mount as ext4.
	return strings.ReplaceAll(strings.TrimSpace(string(out)), "ext2/ext3", "ext4"), nil
}
