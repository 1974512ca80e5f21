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

// pullMoment is how long a unit that gets something is waited for: longer than it
// takes to find that all is there.
const pullMoment = 3 * time.Second

// Pulls lets systemd run archgen to get what apps lack, and knows what is under way.
type Pulls struct {
	Services Services

	mu sync.Mutex
	// last is the last try for each app: whatever happens to one that is down for want
	// of something is a pass, and each pass would try.
	last map[string]try
	// underWay is the apps for which something is got, with the manifest that asks
	// for it: how a unit ended that was run for another one tells nothing.
	underWay map[string]string
}

// try is how getting something ended, and how long it is not tried again. It may have
// ended well and not have brought what the app lacks.
type try struct {
	manifest string
	err      error
	at       time.Time
	wait     time.Duration
}

// After a try the next one waits this long, doubled each time, unless a person asks,
// the manifest is another, or it was some time ago.
const firstWait, lastWait = 2 * time.Second, 5 * time.Minute

// Get gets what an app lacks. What is not there after a moment is units.ErrPending;
// when its unit has ended, Get says how. Where the unit is not installed, images come
// with the app's start. Soon after a try, it is what came of that.
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

// lastTry is the last one for this manifest, if nobody has asked since.
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
		if awaited { // it stays failed for all to see until it is run again
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
	case err == nil: // in the words of a unit that was waited for
		return fmt.Errorf("%s %s%s", name, result, p.words(ctx, app.ID))
	}
	return err
}

// note sets what is under way for an app, and returns what was.
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

// words is what the unit said last, after a colon.
func (p *Pulls) words(ctx context.Context, app string) string {
	lines := p.Services.LastLines(ctx, units.PullOf(app))
	if len(lines) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(lines[len(lines)-1])
}
