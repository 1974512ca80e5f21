package rotation

import (
	"maps"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/units/machine"
)

// Result is the result of a rotation.
type Result struct {
	// Name is the secret.
	Name string
	// Err is nil if the secret has its new value and everything serves with it.
	Err error
	// Downtimes is the downtimes of the restarted services, sorted by name. It is empty if
	// the rotation was interrupted.
	Downtimes []Downtime
	// Span is the time from the first stop to the last start.
	Span time.Duration
}

// Downtime is how long a service was down.
type Downtime struct {
	Service string
	For     time.Duration
}

// measure finds the services that were restarted between two observations.
func (r *Result) measure(before, after map[string]machine.Service) {
	var first, last uint64
	for _, name := range slices.Sorted(maps.Keys(after)) {
		was, is := before[name].Systemd, after[name].Systemd
		if was.InvocationID == is.InvocationID || is.ActiveExitTimestamp == 0 || is.ActiveEnterTimestamp < is.ActiveExitTimestamp {
			continue
		}
		r.Downtimes = append(r.Downtimes, Downtime{name, micros(is.ActiveEnterTimestamp - is.ActiveExitTimestamp)})
		if first == 0 || is.ActiveExitTimestamp < first {
			first = is.ActiveExitTimestamp
		}
		last = max(last, is.ActiveEnterTimestamp)
	}
	r.Span = micros(last - first)
}

func micros(n uint64) time.Duration { return time.Duration(n) * time.Microsecond }
