package machine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// pullMoment is how long to wait for a pull unit: longer than archgen needs to find that
// nothing is missing.
const pullMoment = 3 * time.Second

// Pulls has systemd run archgen to pull what apps are missing, and tracks the pulls in
// progress.
type Pulls struct {
	Services Services

	mu sync.Mutex
	// last is the last pull of each app. Every event of an app that is down for a missing
	// image causes a pass, and without this record each pass would pull.
	last map[string]try
	// underWay is the apps with a pull in progress, each with the digest of the manifest
	// that it is for. The result of a pull for another manifest is ignored.
	underWay map[string]string
}

// try is the result of a pull and how long none is tried again. A pull can succeed without
// supplying what the app is missing.
type try struct {
	manifest string
	err      error
	at       time.Time
	wait     time.Duration
}

// The wait before the next pull doubles from firstWait to lastWait. A request of a user, a
// changed manifest or enough time since the last pull resets it.
const firstWait, lastWait = 2 * time.Second, 5 * time.Minute

// Get starts the pull unit of an app. It returns units.ErrPending if the unit has not ended
// after pullMoment, and the result of the unit once it has ended. Where the unit is not
// installed, Podman pulls images when the app starts. Shortly after a pull, Get returns its
// result again.
func (p *Pulls) Get(ctx context.Context, app units.App) error {
	before := p.lastTry(app)
	since := time.Since(before.at)
	if since < before.wait {
		return before.err
	}
	err := p.get(ctx, app)
	if errors.Is(err, units.ErrPending) || ctx.Err() != nil {
		return err
	}
	wait := firstWait
	if since < 4*before.wait {
		wait = min(2*before.wait, lastWait)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last = map[string]try{}
	}
	p.last[app.ID] = try{app.ManifestDigest, err, time.Now(), wait}
	return err
}

// lastTry returns the last pull for this manifest, unless a user has asked for the app
// since.
func (p *Pulls) lastTry(app units.App) try {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.last[app.ID]
	if app.Request != "" || last.manifest != app.ManifestDigest {
		return try{}
	}
	return last
}

func (p *Pulls) get(ctx context.Context, app units.App) error {
	name := units.PullOf(app.ID)
	awaited := p.note(app.ID, "") == app.ManifestDigest
	found, err := p.Services.Manager.Units(ctx, name)
	if err != nil {
		return err
	}
	if len(found) == 1 && found[0].ActiveState == "failed" {
		if awaited { // the unit stays failed, visible to all, until its next run
			return fmt.Errorf("%s failed%s", name, p.words(ctx, app.ID))
		}
		if err := p.Services.ResetFailed(ctx, name); err != nil {
			return err
		}
	}
	moment, cancel := context.WithTimeout(ctx, pullMoment)
	defer cancel()
	result, err := p.Services.Manager.Start(moment, name, systemd.Replace)
	switch {
	case err == nil && result == systemd.JobDone, errors.Is(err, systemd.ErrNoSuchUnit):
		return nil
	case moment.Err() != nil && ctx.Err() == nil:
		p.note(app.ID, app.ManifestDigest)
		return units.ErrPending
	case err == nil: // the same text as for a unit that ended later
		return fmt.Errorf("%s %s%s", name, result, p.words(ctx, app.ID))
	}
	return err
}

// note records the pull in progress of an app, and returns the one before.
func (p *Pulls) note(app, manifest string) (before string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.underWay == nil {
		p.underWay = map[string]string{}
	}
	before = p.underWay[app]
	p.underWay[app] = manifest
	return before
}

// words returns the last line of the unit's log, after a colon.
func (p *Pulls) words(ctx context.Context, app string) string {
	lines := p.Services.LastLines(ctx, units.PullOf(app))
	if len(lines) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(lines[len(lines)-1])
}
