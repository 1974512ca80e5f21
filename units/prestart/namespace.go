package prestart

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/archipelago-os/archipelago/units/durable"
)

// After a boot there is no user namespace of Podman. Every process of Podman that finds none creates
// one, and executes itself again in it. One that finds a namespace joins it before Go's runtime starts
// (shortcut in Podman's pkg/rootless/rootless_linux.c). All apps start at once, so one start has Podman
// create the namespace, and the others wait until it is there.

const (
	// namespaceLock is the lock of creating the namespace.
	namespaceLock = "namespace.lock"
	// namespaceOpened says that Podman was asked to create the namespace in this boot. Where it then
	// is not at the place that archgen knows, it is not asked again.
	namespaceOpened = "namespace.opened"
	// namespaceTime is how long a start waits. Podman creates the namespace in 0.1 s.
	namespaceTime = 10 * time.Second
	// namespacePause is the time between two looks at whether there is a namespace.
	namespacePause = 20 * time.Millisecond
)

// openNamespace has Podman create its user namespace if this is the first start after a boot. A
// failure is not reported: Podman reports it when it starts the container.
func (p *Part) openNamespace(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, namespaceTime)
	defer cancel()
	for !p.hasNamespace() && ctx.Err() == nil {
		unlock, err := durable.LockFile(ctx, p.Renderer.Runtime, namespaceLock, namespacePause)
		if _, isHeld := errors.AsType[*durable.HeldError](err); isHeld {
			continue
		}
		if err != nil {
			return
		}
		defer unlock()
		if !p.hasNamespace() {
			_ = p.Podman.Run(ctx, "unshare", "true")
			_ = os.WriteFile(p.namespaceOpened(), nil, 0o600)
		}
		return
	}
}

func (p *Part) namespaceOpened() string { return filepath.Join(p.Renderer.Runtime, namespaceOpened) }

// hasNamespace reports whether no start has to create the namespace.
func (p *Part) hasNamespace() bool {
	if p.PauseFile == "" {
		return true
	}
	for _, file := range []string{p.PauseFile, p.namespaceOpened()} {
		if _, err := os.Lstat(file); err == nil {
			return true
		}
	}
	return false
}
