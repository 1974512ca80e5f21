package metrics

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/status"
)

var update = flag.Bool("update", false, "rewrite the golden file")

func someStatus() healthd.Status {
	return healthd.Status{
		Passes: healthd.Passes{Total: 12, Idle: 7, Failed: 1, Last: 1250 * time.Microsecond, Drift: 3},
		Watch:  healthd.Watch{Errno: syscall.ENOSPC},
		Apps: []healthd.App{
			{
				App: status.App{ID: "knots", Condition: status.Condition{State: units.PhaseRunning, Level: status.Synced}}, Restarted: 1,
				Latency: 2500 * time.Microsecond, Repairs: map[units.Kind]int{units.Write: 2, units.Restart: 1},
			},
			{App: status.App{ID: "lnd", Condition: status.Condition{State: units.PhaseFailed, Reason: units.ReasonGaveUp}}},
		},
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	const file = "testdata/metrics.prom"
	have := string(Text(someStatus(), `1.2 "rc\1"`))
	if *update {
		if err := os.WriteFile(file, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), have); d != "" {
		t.Errorf("(-want +have):\n%s", d)
	}
}

// What Prometheus reads, and what promtool complains of: each metric is together,
// with its help and kind first; counters end in _total and nothing else does; no
// sample comes twice.
func TestPrometheusReadsIt(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]healthd.Status{"some": someStatus(), "none": {}} {
		if err := lint(string(Text(s, "1.2"))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"a 1\n", "# HELP a b\n# TYPE a gauge\nb 1\n", "# HELP a b\n# TYPE a gauge\na{b=c} 1\n", "# HELP a b\n# TYPE a gauge\na 1\na 2\n"} {
		if lint(bad) == nil {
			t.Errorf("this passes:\n%s", bad)
		}
	}
}

var (
	help   = regexp.MustCompile(`^# HELP ([a-z_]+) [A-Z].*\.$`)
	kind   = regexp.MustCompile(`^# TYPE ([a-z_]+) (gauge|counter)$`)
	sample = regexp.MustCompile(`^([a-z_]+)(\{[a-z]+="(?:[^"\\]|\\[\\"n])*"(?:,[a-z]+="(?:[^"\\]|\\[\\"n])*")*\})? [0-9.e+-]+$`)
)

func lint(text string) error {
	if !strings.HasSuffix(text, "\n") {
		return errors.New("the last line has no end")
	}
	seen := map[string]bool{}
	now, kinds := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		key, _, _ := strings.Cut(line, "} ")
		if h := help.FindStringSubmatch(line); h != nil {
			now, kinds, key = h[1], "", line
		} else if k := kind.FindStringSubmatch(line); k != nil && k[1] == now {
			kinds, key = k[2], line
			if (kinds == "counter") != strings.HasSuffix(now, "_total") {
				return fmt.Errorf("%s is a %s", now, kinds)
			}
		} else if s := sample.FindStringSubmatch(line); s == nil || s[1] != now || kinds == "" {
			return fmt.Errorf("this is no sample of %q: %q", now, line)
		} else if s[2] == "" {
			key = now
		}
		if seen[key] {
			return fmt.Errorf("twice: %q", line)
		}
		seen[key] = true
	}
	return nil
}

// It is written at once, then every 15 seconds at most, and only where something
// changed.
func TestWriting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Writer{Dir: filepath.Join(t.TempDir(), "archipelago"), Version: "1.2", StatusFeed: healthd.NewStatusFeed(), Complain: func(err error) { t.Error(err) }}
		ctx, end := context.WithCancel(t.Context())
		defer end()
		go w.Run(ctx)
		file := filepath.Join(w.Dir, FileName)
		s := someStatus()
		post := func(passes int) {
			s.Passes.Idle, s.Passes.Total = passes, passes+5
			w.StatusFeed.Set(s)
			synctest.Wait()
		}
		expect := func(passes int) {
			t.Helper()
			s := s
			s.Passes.Idle, s.Passes.Total = passes, passes+5
			have, err := os.ReadFile(file)
			if err != nil || string(have) != string(Text(s, "1.2")) {
				t.Errorf("it is not that of %d passes, or: %v", passes, err)
			}
		}
		post(1)
		expect(1)
		post(2)
		post(3)
		expect(1)
		time.Sleep(spacing)
		synctest.Wait()
		expect(3)

		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		post(3)
		if _, err := os.Stat(file); err == nil {
			t.Error("it was written, and nothing had changed")
		}
		time.Sleep(spacing)
		post(4)
		expect(4)
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("node_exporter can't read it: %v, %v", info, err)
		}
	})
}

func TestADirectoryThatCanNotBeWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "archipelago")
		if err := os.WriteFile(dir, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		var complaints []string
		w := Writer{Dir: dir, StatusFeed: healthd.NewStatusFeed(), Complain: func(err error) { complaints = append(complaints, err.Error()) }}
		ctx, end := context.WithCancel(t.Context())
		defer end()
		go w.Run(ctx)
		for range 3 {
			w.StatusFeed.Set(someStatus())
			time.Sleep(spacing)
			synctest.Wait()
		}
		if len(complaints) != 1 || !strings.Contains(complaints[0], dir) {
			t.Errorf("complaints: %q", complaints)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		w.StatusFeed.Set(someStatus())
		synctest.Wait()
		if _, err := os.Stat(filepath.Join(dir, FileName)); err != nil {
			t.Errorf("a write that failed was not made up for: %v", err)
		}
	})
}
