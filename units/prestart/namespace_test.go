package prestart

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// pausing is a machine with a Podman that stores its pause process in a file: at once, and ends later.
type pausing struct {
	*world
	mutex sync.Mutex
	calls int
	// stores: it stores the process where archgen looks. opened is called after that.
	stores bool
	opened func()
}

func newPausing(t *testing.T) *pausing {
	t.Helper()
	p := &pausing{world: newWorld(t, units.Prestart{}), stores: true, opened: func() {}}
	if err := os.MkdirAll(p.Renderer.Runtime, 0o700); err != nil {
		t.Fatal(err)
	}
	p.PauseFile = filepath.Join(t.TempDir(), "pause.pid")
	p.Podman = func(_ context.Context, call podmancli.Call) error {
		if !slices.Equal(call.Args, []string{"unshare", "true"}) {
			t.Errorf("Podman was called with %q", call.Args)
		}
		p.mutex.Lock()
		p.calls++
		p.mutex.Unlock()
		if p.stores {
			if err := os.WriteFile(p.PauseFile, []byte("1"), 0o600); err != nil {
				t.Error(err)
			}
		}
		p.opened()
		return nil
	}
	return p
}

// start starts a part of its own.
func (p *pausing) start(t *testing.T, i int) {
	t.Helper()
	part := *p.Part
	part.ID = fmt.Sprintf("ui.%d", i)
	if err := part.Configure(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestOneStartOpensTheNamespace: of the starts of a boot, one has Podman create its user namespace. The
// others continue as soon as it is there, also if that process of Podman has more to do.
func TestOneStartOpensTheNamespace(t *testing.T) {
	p := newPausing(t)
	others := make(chan struct{})
	p.opened = func() { <-others }
	var all sync.WaitGroup
	const starts = 8
	done := make(chan struct{}, starts)
	for i := range starts {
		all.Go(func() {
			p.start(t, i)
			done <- struct{}{}
		})
	}
	for range starts - 1 {
		<-done
	}
	close(others)
	all.Wait()
	if p.calls != 1 {
		t.Errorf("Podman created the namespace %d times", p.calls)
	}
}

// TestNamespaceIsOpenedOnce: Podman is asked only where it uses a namespace and has none, and once in a
// boot if archgen does not find what it stores.
func TestNamespaceIsOpenedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(p *pausing)
		calls   int
	}{
		"there is none":                {func(*pausing) {}, 1},
		"it is stored elsewhere":       {func(p *pausing) { p.stores = false }, 1},
		"Podman uses none":             {func(p *pausing) { p.PauseFile = "" }, 0},
		"there is one":                 {func(p *pausing) { writePause(p) }, 0},
		"the directory is unavailable": {func(p *pausing) { p.Renderer.Runtime = "/proc/none" }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPausing(t)
			c.prepare(p)
			p.openNamespace(t.Context())
			p.openNamespace(t.Context())
			if p.calls != c.calls {
				t.Errorf("Podman was asked %d times, want %d", p.calls, c.calls)
			}
		})
	}
}

func writePause(p *pausing) {
	if err := os.WriteFile(p.PauseFile, nil, 0o600); err != nil {
		p.t.Error(err)
	}
}
