package quadlet

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/podmanrun"
	"github.com/archipelago-os/archipelago/manifests/syntax"
	"github.com/archipelago-os/archipelago/units"
)

// key is the name of the part in the tree of Compose, whose keys have no dots.
func (u *unit) key() string { return strings.ReplaceAll(u.name, ".", "-") }

// unitOf is the unit of the app with a service or file, or nil.
func (a *app) unitOf(name string) *unit {
	for _, u := range a.units {
		if u.file.service() == name || u.stem == name {
			return u
		}
	}
	return nil
}

// description is the name of the app, where it describes its main part.
func (u *unit) description(e entry) {
	u.say(func(d *importer.Draft) {
		if u.part.Name != "main" {
			d.Report(importer.NoMeaning, e.at, e.id(), "the part is called after the app")
			return
		}
		d.App.Name = u.specified(e)
		d.Origin("app.name", e.at, e.id())
		d.Keep(e.at, e.id(), "app.name")
	})
}

// after orders the part after others of the app. The start of one that has a health check to wait
// for ends when it is healthy.
func (u *unit) after(e entry) {
	name := unitName(u.specified(e))
	other := u.unitOf(name)
	switch {
	case other == u:
	case other != nil && u.isRendered() && u.value("Container", "Network") == "container:"+containerOf(other.file): // which follows
	case other != nil:
		condition := "service_started"
		switch {
		case other.value("Service", "Type") == "oneshot":
			condition = "service_completed_successfully"
		case other.value("Container", "Notify") == "healthy" || other.isRendered():
			condition = "service_healthy"
		}
		u.put("depends_on."+other.key()+".condition", condition, e)
	case strings.HasPrefix(name, "network-online"):
		u.waitOnline(e)
	case isEngineUnit(name):
		u.report(importer.NoMeaning, e, "a part with the socket of the engine starts after it")
	case u.isObject(name), u.isOtherApp(name):
	case strings.HasSuffix(e.value, ".service"):
		u.report(importer.ForeignUnit, e, "the part starts after %s, which is not part of the app", e.value)
	default:
		u.directive(u.file, e)
	}
}

// isEngineUnit reports whether a unit listens for the engine.
func isEngineUnit(name string) bool {
	for _, e := range units.Engines {
		if e.Unit == name {
			return true
		}
	}
	return false
}

func (u *unit) waitOnline(e entry) {
	u.say(func(d *importer.Draft) {
		d.App.WaitOnline = true
		d.Keep(e.at, e.id(), "app.wait_online")
	})
}

// isObject reports whether a service makes a volume, network or image.
func (u *unit) isObject(service string) bool {
	for _, f := range u.files {
		if f.kind != ".container" && f.service() == service {
			return true
		}
	}
	return false
}

// requires reads that the part needs another unit. Parts of one app are started together.
func (u *unit) requires(e entry) {
	name := unitName(u.specified(e))
	switch {
	case u.unitOf(name) != nil || u.isObject(name) || u.isOtherApp(name):
		u.report(importer.NoMeaning, e, "the parts of an app are started together")
	case strings.HasPrefix(name, "network-online"):
		u.waitOnline(e)
	case isEngineUnit(name):
		u.report(importer.NoMeaning, e, "a part with the socket of the engine needs it")
	case strings.HasSuffix(e.value, ".service"):
		u.report(importer.ForeignUnit, e, "the part needs %s, which is not part of the app", e.value)
	default:
		u.report(importer.Directive, e, "%s=%s is left out", e.key, e.value)
	}
}

func (u *unit) partOf(e entry) {
	if u.unitOf(unitName(e.value)) != nil {
		u.report(importer.NoMeaning, e, "the parts of an app are stopped together")
		return
	}
	u.report(importer.Directive, e, lossText[importer.Directive], e.key)
}

// before is After= of the other unit.
func (u *unit) before(e entry) {
	other := u.unitOf(unitName(u.specified(e)))
	if other == nil {
		u.report(importer.Directive, e, lossText[importer.Directive], e.key)
		return
	}
	e.value = u.file.service() + ".service"
	other.after(e)
}

// limitInterval and limitBurst bound the starts; an interval of 0 is no limit.
func (u *unit) limitInterval(e entry) {
	u.limitAt = e
	u.limit.Interval = u.duration(e)
}

func (u *unit) limitBurst(e entry) {
	u.limitAt = e
	u.limit.Burst = u.number(e)
}

func (u *unit) number(e entry) int {
	n, err := strconv.Atoi(e.value)
	if err != nil {
		u.report(importer.BadSourceValue, e, "%s is no number", diag.Quote(diag.Shorten(e.value)))
	}
	return n
}

var (
	spanText = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*`)
	// units of systemd.time(7).
	spanUnits = map[string]time.Duration{
		"": time.Second, "s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
		"us": time.Microsecond, "usec": time.Microsecond, "ms": time.Millisecond, "msec": time.Millisecond,
		"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
		"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
		"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour, "w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
	}
)

// duration reads a time span of systemd. infinity is 0.
func (u *unit) duration(e entry) manifests.Duration {
	rest, total := e.value, time.Duration(0)
	if rest == "infinity" {
		return 0
	}
	for rest != "" {
		m := spanText.FindStringSubmatch(rest)
		if m == nil || spanUnits[m[2]] == 0 {
			u.report(importer.BadSourceValue, e, "%s is no time span", diag.Quote(diag.Shorten(e.value)))
			return 0
		}
		number, err := strconv.ParseFloat(m[1], 64)
		if err != nil || number > 1e9 {
			u.report(importer.BadSourceValue, e, "%s is too long", diag.Quote(diag.Shorten(e.value)))
			return 0
		}
		total += time.Duration(number * float64(spanUnits[m[2]]))
		rest = rest[len(m[0]):]
	}
	return manifests.Duration(total.Round(time.Millisecond))
}

func (u *unit) serviceType(e entry) {
	if e.value != "oneshot" {
		u.report(importer.NoMeaning, e, "Quadlet sets the type of the service")
		return
	}
	u.set("oneshot", e, func(c *manifests.Container) { c.Oneshot = true })
}

// restarts is what Compose calls a value of Restart=.
var restarts = map[string]string{"always": "always", "no": "no", "on-failure": "on-failure"}

func (u *unit) restart(e entry) {
	policy, isSame := restarts[e.value]
	if !isSame {
		policy = "on-failure"
		u.report(importer.RestartCondition, e, "%s becomes on-failure", diag.Quote(diag.Shorten(e.value)))
	}
	u.put("restart", policy, e)
}

func (u *unit) restartDelay(e entry) {
	if d := u.duration(e); d > 0 {
		const least = manifests.Duration(100 * time.Millisecond)
		u.set("restart.delay", e, func(c *manifests.Container) {
			if d != least { // the default
				c.Restart.Delay = max(d, least)
			}
		})
	}
}

func (u *unit) restartMaxDelay(e entry) {
	if d := u.duration(e); d > 0 {
		u.set("restart.max_delay", e, func(c *manifests.Container) { c.Restart.MaxDelay = d })
	}
}

// usual is exit codes that archgen takes for a clean exit in any case.
var usual = []string{"0", "130", "131", "143"}

func (u *unit) exitStatus(e entry) {
	if slices.Contains(usual, e.value) {
		return
	}
	if _, err := strconv.Atoi(e.value); err != nil {
		u.report(importer.Directive, e, "the signal %s is left out: a manifest has exit codes only", diag.Quote(diag.Shorten(e.value)))
		return
	}
	code := u.number(e)
	u.set("stop.success_exit_codes", e, func(c *manifests.Container) {
		c.Stop.SuccessExitCodes = append(c.Stop.SuccessExitCodes, code)
	})
}

func (u *unit) startTimeout(e entry) {
	if d := u.duration(e); d > 0 || e.value == "infinity" {
		const longest = manifests.Duration(7 * 24 * time.Hour)
		if d == 0 {
			d = longest
		}
		u.set("start.timeout", e, func(c *manifests.Container) { c.Start.Timeout = d })
	}
}

// stopTimeout is how long systemd waits. The program has as long as the container says, if it
// says that.
func (u *unit) stopTimeout(e entry) {
	switch d := u.duration(e); {
	case u.value("Container", "StopTimeout") != "" || d == 0:
		u.report(importer.NoMeaning, e, "systemd waits 30 s longer than the container")
	default:
		u.set("stop.timeout", e, func(c *manifests.Container) { c.Stop.Timeout = d })
	}
}

func (u *unit) timeout(e entry) {
	u.startTimeout(e)
	u.stopTimeout(e)
}

func (u *unit) serviceEnvironment(e entry) {
	u.report(importer.NoMeaning, e, "the variable is replaced where the container names it")
}

func (u *unit) cpuWeight(e entry) {
	weight := u.number(e)
	u.set("limits.cpu_weight", e, func(c *manifests.Container) { c.Limits.CPUWeight = weight })
}

func (u *unit) memoryLow(e entry) {
	podmanrun.Put(u.service, "mem_reservation", scalar(strings.ToLower(u.specified(e)), e.at))
}

// wantedBy enables the app.
func (u *unit) wantedBy(e entry) {
	u.isEnabled = true
	if e.value == "default.target" || e.value == "multi-user.target" || u.unitOf(unitName(e.value)) != nil {
		u.report(importer.NoMeaning, e, "the app starts at boot")
		return
	}
	u.report(importer.Directive, e, "the app starts at boot, not with %s", diag.Quote(diag.Shorten(e.value)))
}

// sortVolumes puts the mounts into the order of the file, and notes their places again.
func (u *unit) sortVolumes(d *importer.Draft) {
	var order []string
	var places []syntax.Position
	for _, e := range u.entries {
		target := ""
		switch e.id() {
		case "Container.Volume":
			parts := strings.SplitN(e.value, ":", 3)
			target = parts[min(1, len(parts)-1)]
		case "Container.Mount":
			if n := podmanrun.Mount(e.value, e.at).Get("target"); n != nil {
				target = n.Text
			}
		}
		if target != "" {
			order, places = append(order, path.Clean(target)), append(places, e.at)
		}
	}
	slices.SortStableFunc(u.part.Volumes, func(a, b manifests.Volume) int {
		return cmp.Compare(slices.Index(order, a.Target), slices.Index(order, b.Target))
	})
	for i, v := range u.part.Volumes {
		if at := slices.Index(order, v.Target); at >= 0 {
			d.Note(fmt.Sprintf("%s.volumes[%d]", u.part.Path, i), places[at])
		}
	}
}

// finish writes what several keys say together.
func (u *unit) finish(d *importer.Draft) {
	const longest = manifests.Duration(30 * 24 * time.Hour)
	if u.limit.Burst > 0 && u.limit.Interval > 0 {
		u.part.Restart.Limit = &manifests.RestartLimit{Burst: u.limit.Burst, Interval: min(u.limit.Interval, longest)}
		d.Origin(u.part.Path+".restart", u.limitAt.at, u.limitAt.id())
	}
	if u.part.Name == "main" && !u.isEnabled {
		d.Zero("app.enabled")
		d.Note("app.enabled", u.start())
	}
	if u.isRendered() {
		u.sortVolumes(d)
		u.finishRendered(d)
	}
}
