package machine

import (
	"context"
	"testing"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
)

// TestServingIsNotAsked: a pass does not ask at its begin what a daemon knows, and it asks every app
// that it has started.
func TestServingIsNotAsked(t *testing.T) {
	t.Parallel()
	const silent = `[X-Archipelago]
App=x
Serving={"kind":"tcp","address":"127.0.0.1:1","interval":"30s","timeout":"1s","retries":3}
`
	asked := 0
	known := func(context.Context) map[string]bool { asked++; return map[string]bool{"lnd": true} }
	m := Machine{Health: Health{Prober: &probe.Prober{}}, Serving: known}
	host := m.ForPreview()
	for _, tt := range []struct {
		app  string
		u    units.Unit
		want units.Health
	}{
		{"lnd", units.Unit{}, units.Serving},
		{"lnd", units.Unit{Health: units.Unhealthy}, units.Unhealthy}, // Podman's own check is read from its files
		{"tor", units.Unit{}, units.Failing},
	} {
		file := units.File{App: tt.app, Content: []byte(silent)}
		if got, _ := host.Health(t.Context(), file, units.Part{}, tt.u); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.app, got, tt.want)
		}
		if got, _ := host.Ask(t.Context(), file, units.Part{}, tt.u); got != units.Failing {
			t.Errorf("%s, asked after a start: %q", tt.app, got)
		}
	}
	if asked != 1 {
		t.Errorf("the daemon was asked %d times", asked)
	}
	m.Serving = nil
	if got, _ := m.ForPreview().Health(t.Context(), units.File{App: "lnd", Content: []byte(silent)}, units.Part{}, units.Unit{}); got != units.Failing {
		t.Errorf("without a daemon: %q", got)
	}
}
