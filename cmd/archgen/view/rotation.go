package view

import (
	"fmt"
	"io"
	"time"

	"github.com/archipelago-os/archipelago/units/rotation"
)

// Rotation prints how long each restarted service was down.
func Rotation(w io.Writer, r rotation.Result) {
	const shown = 10 * time.Millisecond
	for _, d := range r.Downtimes {
		fmt.Fprintf(w, "%s was down for %v\n", d.Service, d.For.Round(shown))
	}
	if len(r.Downtimes) > 1 {
		fmt.Fprintf(w, "%s: %v from the first stop to the last start\n", r.Name, r.Span.Round(shown))
	}
	if r.Err == nil {
		fmt.Fprintf(w, "%s is rotated; everything that uses it serves\n", r.Name)
	}
}
