package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseStage(t *testing.T) {
	t.Parallel()
	const text = "BenchmarkRender-2   	      10	  79000000 ns/op	     79000 ns/manifest	19456000 B/op	  134734 allocs/op\n"
	got, ok := parseStage(text)
	want := stage{name: "Render", microseconds: 79, kilobytes: 19, allocs: 134.734}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(stage{})); d != "" || !ok {
		t.Errorf("-want +got:\n%s", d)
	}
	for _, other := range []string{"", "PASS", "goos: linux", "BenchmarkOther-2  10  5 ns/op", "BenchmarkRender-2  failed  in  a  strange way"} {
		if s, ok := parseStage(other); ok {
			t.Errorf("%q is read as %+v", other, s)
		}
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	times := []time.Duration{5, 1, 4, 2, 3, 10, 9, 8, 7, 6}
	for p, want := range map[int]time.Duration{1: 1, 50: 5, 90: 9, 100: 10} {
		if got := percentile(times, p); got != want {
			t.Errorf("p%d is %d, want %d", p, got, want)
		}
	}
}

// TestRatiosAreTakenWithinARound: a round in which the whole computer was slow has the same
// ratio as a fast one.
func TestRatiosAreTakenWithinARound(t *testing.T) {
	t.Parallel()
	a, b := []time.Duration{10, 100, 30}, []time.Duration{20, 200, 60}
	if got := medianRatio(a, b); got != 0.5 {
		t.Errorf("the ratio is %v, want 0.5", got)
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	times := func(d time.Duration) []time.Duration { return []time.Duration{d} }
	r := result{apps: 30, files: 118, lines: []*line{
		{name: "archgen", wall: times(50 * time.Millisecond), cpu: times(7 * time.Millisecond)},
		{name: memoryGenerator, wall: times(100 * time.Millisecond), cpu: times(60 * time.Millisecond)},
	}}
	got := string(page(computer{2, "6.1", "ext4", "5.4.2"}, 12, []result{r}, []stage{{"Render", 79, 134, 19}}))
	for _, want := range []string{
		"2 cores, Linux 6.1, ext4",
		"| archgen | 50 ms | 50 ms | 7.0 ms | 0.50 |",
		"| Render | 79 µs | 19.0 KiB | 134 |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the page:\n%s", want, got)
		}
	}
}
