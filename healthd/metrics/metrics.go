// Package metrics owns the file with the metrics of the apps for Prometheus. The textfile
// collector of node_exporter reads it, so healthd listens on no port.
//
// The file is written only after a change, and not more often than a scrape needs it.
package metrics

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
	"github.com/archipelago-os/archipelago/units/status"
)

// FileName is the name of the file in the runtime directory.
const FileName = "metrics.prom"

// spacing is the least time between two writes.
const spacing = 15 * time.Second

// Writer writes the file.
type Writer struct {
	// Dir is the runtime directory.
	Dir, Version string
	// StatusFeed has the status of the apps.
	StatusFeed *healthd.StatusFeed
	// Complain is called once if the file can't be written, and again only after a success.
	Complain func(error)
}

// Run writes until the context ends.
func (w Writer) Run(ctx context.Context) {
	next := time.NewTimer(0)
	defer next.Stop()
	var written []byte
	complained := false
	for {
		select {
		case <-w.StatusFeed.Changed():
		case <-ctx.Done():
			return
		}
		select { // a status that is set meanwhile is written with this one
		case <-next.C:
		case <-ctx.Done():
			return
		}
		status, _ := w.StatusFeed.Status()
		next.Reset(spacing)
		text := Text(status, w.Version)
		if bytes.Equal(text, written) {
			continue
		}
		err := durable.Replace(w.Dir, FileName, text)
		switch {
		case err == nil:
			written, complained = text, false
		case !complained:
			complained = true
			w.Complain(fmt.Errorf("metrics: %w", err))
		}
	}
}

// Family is a metric with all its samples.
type Family struct {
	Name, Kind, Help string
	samples          func(sink, healthd.Status)
}

// sink takes a sample: label names and values in turn.
type sink func(value float64, labels ...string)

// Families is all metrics. Their names and labels are a contract.
var Families = []Family{
	{
		"archipelago_app_state", "gauge", "Whether an app is in a state, 1 or 0.",
		states(func(a healthd.App) string { return string(a.State) }, "state", stateWords),
	},
	{
		"archipelago_app_level", "gauge", "Whether an app has a level, 1 or 0.",
		states(func(a healthd.App) string { return string(a.Level) }, "level", levelWords()),
	},
	{
		"archipelago_app_reason", "gauge", "The reason for the state of an app; only if there is one.",
		func(put sink, s healthd.Status) {
			for _, a := range s.Apps {
				if a.Reason != "" {
					put(1, "app", a.ID, "reason", string(a.Reason))
				}
			}
		},
	},
	{
		"archipelago_app_probe_latency_seconds", "gauge", "How long the last answer of an app took; missing if it gave none.",
		func(put sink, s healthd.Status) {
			for _, a := range s.Apps {
				if a.Latency > 0 {
					put(a.Latency.Seconds(), "app", a.ID)
				}
			}
		},
	},
	{
		"archipelago_app_restarts_total", "counter", "Automatic restarts of an app's services by systemd since healthd started.",
		func(put sink, s healthd.Status) {
			for _, a := range s.Apps {
				put(float64(a.Restarted), "app", a.ID)
			}
		},
	},
	{
		"archipelago_app_actions_total", "counter", "Actions for an app, by kind: repairs, changes and requests of an operator.",
		func(put sink, s healthd.Status) {
			for _, a := range s.Apps {
				for _, kind := range slices.Sorted(maps.Keys(a.Repairs)) {
					put(float64(a.Repairs[kind]), "app", a.ID, "action", string(kind))
				}
			}
		},
	},
	{
		"archipelago_passes_total", "counter", "Looks at apps: those that changed something, found nothing to do, or could not be taken.",
		func(put sink, s healthd.Status) {
			put(float64(s.Passes.Total-s.Passes.Idle-s.Passes.Failed), "result", "changed")
			put(float64(s.Passes.Idle), "result", "idle")
			put(float64(s.Passes.Failed), "result", "failed")
		},
	},
	{
		"archipelago_last_pass_duration_seconds", "gauge", "How long the last look took, with all that was done and waited for.",
		func(put sink, s healthd.Status) { put(s.Passes.Last.Seconds()) },
	},
	{
		"archipelago_drifted_files_total", "counter", "Unit files that were missing or differed, and were repaired.",
		func(put sink, s healthd.Status) { put(float64(s.Passes.Drift)) },
	},
	{
		"archipelago_watch_reason", "gauge", "The reason why changes are found late; only if there is one.",
		func(put sink, s healthd.Status) {
			if why := s.Watch.Reason(); why != "" {
				put(1, "reason", string(why))
			}
		},
	},
}

// build is the version of the program.
var build = Family{Name: "archipelago_build_info", Kind: "gauge", Help: "The version of healthd that writes this."}

var stateWords = []string{
	string(units.PhaseDone), string(units.PhaseFailed), string(units.PhasePaused), string(units.PhaseRestarting),
	string(units.PhaseRunning), string(units.PhaseStarting), string(units.PhaseStopped), string(units.PhaseStopping),
}

func levelWords() []string {
	words := make([]string, 0, len(status.Levels))
	for _, l := range status.Levels {
		words = append(words, string(l))
	}
	return words
}

// states makes a sample for each word that an app can have.
func states(of func(healthd.App) string, label string, words []string) func(sink, healthd.Status) {
	return func(put sink, s healthd.Status) {
		for _, a := range s.Apps {
			for _, word := range words {
				value := 0.0
				if word == of(a) {
					value = 1
				}
				put(value, "app", a.ID, label, word)
			}
		}
	}
}

// perApp is about how many bytes of the file are about one app.
const perApp = 1000

// Text is the content of the file.
func Text(s healthd.Status, version string) []byte {
	b := make([]byte, 0, (len(s.Apps)+1)*perApp)
	info := build
	info.samples = func(put sink, _ healthd.Status) { put(1, "version", version) }
	for _, f := range append([]Family{info}, Families...) {
		b = fmt.Appendf(b, "# HELP %s %s\n# TYPE %s %s\n", f.Name, f.Help, f.Name, f.Kind)
		f.samples(func(value float64, labels ...string) {
			b = appendLabels(append(b, f.Name...), labels)
			b = append(strconv.AppendFloat(append(b, ' '), value, 'g', -1, 64), '\n')
		}, s)
	}
	return b
}

// appendLabels appends labels in the format of Prometheus.
func appendLabels(b []byte, labels []string) []byte {
	if len(labels) == 0 {
		return b
	}
	separator := byte('{')
	for pair := range slices.Chunk(labels, 2) {
		b = append(append(b, separator), pair[0]...)
		b = append(append(append(b, '=', '"'), escape.Replace(pair[1])...), '"')
		separator = ','
	}
	return append(b, '}')
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
