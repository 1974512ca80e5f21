package generator_test

import (
	"testing"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/conform"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/test/bench/apps"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

// The benchmarks work on a whole set at a time, as archgen does, and report
// the share of one manifest. docs/benchmarks.md has figures.

const benchApps = 1000

func BenchmarkParse(b *testing.B) {
	sources := apps.Sources(benchApps)
	perManifest(b, func() {
		for _, s := range sources {
			m, diags := manifests.Parse(manifests.Input{Manifest: s, Dir: "/apps"})
			if diags = append(diags, manifests.Validate(m)...); len(diags) > 0 {
				b.Fatal(diags[0])
			}
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	list := parseApps(b)
	perManifest(b, func() { resolveApps(b, list) })
}

func BenchmarkRender(b *testing.B) {
	set := resolveApps(b, parseApps(b))
	perManifest(b, func() { renderApps(b, set) })
}

func BenchmarkConform(b *testing.B) {
	files := renderApps(b, resolveApps(b, parseApps(b)))
	perManifest(b, func() {
		if found := conform.Check(files, units.User); len(found) > 0 {
			b.Fatal(found[0])
		}
	})
}

// BenchmarkSyncFirst writes every file, durably; removing them again is not
// measured.
func BenchmarkSyncFirst(b *testing.B) {
	files := renderApps(b, resolveApps(b, parseApps(b)))
	dir := b.TempDir()
	perManifest(b, func() {
		syncApps(b, dir, files, len(files))
		b.StopTimer()
		syncApps(b, dir, nil, 0)
		b.StartTimer()
	})
}

// BenchmarkSyncNull finds every file as it should be.
func BenchmarkSyncNull(b *testing.B) {
	files := renderApps(b, resolveApps(b, parseApps(b)))
	dir := b.TempDir()
	syncApps(b, dir, files, len(files))
	perManifest(b, func() { syncApps(b, dir, files, 0) })
}

func parseApps(b *testing.B) []*manifests.Manifest {
	b.Helper()
	list := make([]*manifests.Manifest, 0, benchApps)
	for _, s := range apps.Sources(benchApps) {
		m, diags := manifests.Parse(manifests.Input{Manifest: s, Dir: "/apps"})
		if diags = append(diags, manifests.Validate(m)...); len(diags) > 0 {
			b.Fatal(diags[0])
		}
		list = append(list, m)
	}
	return list
}

func resolveApps(b *testing.B, list []*manifests.Manifest) *manifests.Set {
	b.Helper()
	set, diags := manifests.Resolve(list, manifests.DefaultSettings())
	if len(diags) > 0 {
		b.Fatal(diags[0])
	}
	return set
}

func renderApps(b *testing.B, set *manifests.Set) units.Set {
	b.Helper()
	result, diags := generator.Render(set, generator.Target{Podman: generator.Default, Generator: "bench"})
	if len(diags) > 0 {
		b.Fatal(diags[0])
	}
	return result.Files
}

func syncApps(b *testing.B, dir string, files units.Set, written int) {
	b.Helper()
	changes, err := unitdir.Sync(dir, files, func(units.Ownership) bool { return true })
	if err != nil || len(changes.Written) != written {
		b.Fatalf("%d files written, want %d: %v", len(changes.Written), written, err)
	}
}

// perManifest runs work on the whole set and reports time and allocations of
// one manifest.
func perManifest(b *testing.B, work func()) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		work()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchApps, "ns/manifest")
}
