package bus

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/archipelago-os/archipelago/healthd"
	"github.com/archipelago-os/archipelago/units"
)

// XML is the introspection data, as it is shipped and as the object returns it.
//
//go:embed org.archipelago.Manager1.xml
var XML string

// The names of errors. The first is D-Bus's own, which client libraries know.
const (
	accessDenied    = "org.freedesktop.DBus.Error.AccessDenied"
	noSuchApp       = "org.archipelago.Error.NoSuchApp"
	invalidManifest = "org.archipelago.Error.InvalidManifest"
	notReady        = "org.archipelago.Error.NotReady"
	ending          = "org.archipelago.Error.Ending"
	readOnly        = "org.freedesktop.DBus.Error.PropertyReadOnly"
	noInterface     = "org.freedesktop.DBus.Error.UnknownInterface"
	noProperty      = "org.freedesktop.DBus.Error.UnknownProperty"
)

func refusal(name, format string, args ...any) *dbus.Error {
	return dbus.NewError(name, []any{text(fmt.Sprintf(format, args...))})
}

// object is the exported object. Each call has its own goroutine.
type object struct {
	Server
	conn *dbus.Conn
	ctx  context.Context
}

// row is an app in a list.
type row struct{ ID, State, Reason, Level string }

// ListApps lists the apps, sorted by id.
func (o *object) ListApps() ([]row, *dbus.Error) {
	status, _ := o.StatusFeed.Status()
	rows := make([]row, 0, len(status.Apps))
	for _, a := range status.Apps {
		rows = append(rows, row{a.ID, string(a.State), string(a.Reason), string(a.Level)})
	}
	return rows, nil
}

// GetApp returns all details of an app to callers that may read its log. For others it
// omits what the app wrote.
func (o *object) GetApp(sender dbus.Sender, id string) (map[string]dbus.Variant, *dbus.Error) {
	a, err := o.find(id)
	if err != nil {
		return nil, err
	}
	if o.permit(sender) != nil {
		a = withoutWords(a)
	}
	facts := factsOf(a)
	if a.Latency > 0 {
		facts["LatencyUSec"] = microseconds(a.Latency)
	}
	facts["Log"], facts["PassLog"] = texts(a.Log), texts(a.PassLog)
	return variants(facts), nil
}

// withoutWords is an app without what it wrote, which may contain passwords: only few users
// may read it in the system's journal.
func withoutWords(a healthd.App) healthd.App {
	a.Log, a.Detail, a.Error, a.PassLog, a.PassError = nil, "", "", nil, ""
	return a
}

func (o *object) find(id string) (healthd.App, *dbus.Error) {
	status, posted := o.StatusFeed.Status()
	i := slices.IndexFunc(status.Apps, func(a healthd.App) bool { return a.ID == id })
	switch {
	case i >= 0:
		return status.Apps[i], nil
	case !posted:
		return healthd.App{}, refusal(notReady, "healthd has just started and is still checking the apps: ask again")
	}
	return healthd.App{}, refusal(noSuchApp, "there is no app %q: ListApps lists the apps", id)
}

// Reconcile requests a check of all apps.
func (o *object) Reconcile(sender dbus.Sender) *dbus.Error {
	return o.pass(sender, healthd.Hint{})
}

// ReconcileApp requests a check of an app.
func (o *object) ReconcileApp(sender dbus.Sender, id string) *dbus.Error {
	return o.pass(sender, healthd.Hint{App: id})
}

// Start starts an app.
func (o *object) Start(sender dbus.Sender, id string) *dbus.Error {
	return o.pass(sender, healthd.Hint{App: id, Asked: units.Start})
}

// Stop stops an app until an operator starts it or the machine boots.
func (o *object) Stop(sender dbus.Sender, id string) *dbus.Error {
	return o.pass(sender, healthd.Hint{App: id, Asked: units.Stop})
}

// Restart restarts an app.
func (o *object) Restart(sender dbus.Sender, id string) *dbus.Error {
	return o.pass(sender, healthd.Hint{App: id, Asked: units.Restart})
}

// pass passes on a request if the caller is permitted to make it and it can have an effect.
func (o *object) pass(sender dbus.Sender, h healthd.Hint) *dbus.Error {
	if err := o.permit(sender); err != nil {
		return err
	}
	if h.App != "" {
		a, err := o.find(h.App)
		switch {
		case err != nil:
			return err
		case h.Asked != "" && a.Reason == units.ReasonInvalidManifest:
			return refusal(invalidManifest, "the manifest of %s has an error, and the app stays as it is until the error is fixed: see archgen check", h.App)
		case h.Asked != "" && a.Reason == units.ReasonNotGranted:
			return refusal(invalidManifest, "%s asks for a right that is not granted: see archgen rights %s", h.App, h.App)
		}
	}
	select {
	case o.Ask <- h:
		return nil
	case <-o.ctx.Done():
		return refusal(ending, "healthd is stopping")
	}
}

// permit permits the owner of the apps and root to change what runs. The bus identifies the
// caller.
func (o *object) permit(sender dbus.Sender) *dbus.Error {
	ctx, cancel := context.WithTimeout(o.ctx, 5*time.Second)
	defer cancel()
	var uid uint32
	err := o.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetConnectionUnixUser", 0, string(sender)).Store(&uid)
	switch {
	case err != nil:
		return refusal(accessDenied, "can't identify the caller: %v", err)
	case !mayChange(uid, uint32(os.Getuid())):
		return refusal(accessDenied, "only the owner of the apps and root may change what runs; the user %d is neither", uid)
	}
	return nil
}

func mayChange(uid, owner uint32) bool { return uid == owner || uid == 0 }

// propertiesOf is the properties of the object in the form that D-Bus needs.
type propertiesOf object

// Get returns one property.
func (p *propertiesOf) Get(of, name string) (dbus.Variant, *dbus.Error) {
	all, err := p.GetAll(of)
	if err != nil {
		return dbus.Variant{}, err
	}
	value, ok := all[name]
	if !ok {
		return value, refusal(noProperty, "there is no property %q", name)
	}
	return value, nil
}

// GetAll returns all properties.
func (p *propertiesOf) GetAll(of string) (map[string]dbus.Variant, *dbus.Error) {
	if of != Name && of != "" {
		return nil, refusal(noInterface, "the interface %q has no properties here; %s has", of, Name)
	}
	status, _ := p.StatusFeed.Status()
	o := (*object)(p)
	return variants(o.properties(status, o.factsOfAll(status.Apps, told{}))), nil
}

// Set refuses to set a property.
func (p *propertiesOf) Set(_, name string, _ dbus.Variant) *dbus.Error {
	return refusal(readOnly, "%s can't be set", name)
}

// properties is the properties of the object, with the facts of all apps.
func (o *object) properties(status healthd.Status, apps any) map[string]any {
	return map[string]any{
		"Version": o.Version, "Passes": uint64(status.Passes.Total), "LastPassUSec": microseconds(status.Passes.Last),
		"Drift": uint64(status.Passes.Drift), "Apps": apps, "WatchReason": string(status.Watch.Reason()), "WatchError": text(status.Watch.Error),
	}
}

// told is what was said about apps.
type told struct {
	// apps is the apps, sorted by id, and facts their facts.
	apps  []healthd.App
	facts map[string]map[string]dbus.Variant
}

// factsOfAll is the facts of all apps, by id. It makes only those that were not told: with many apps,
// making all takes longer than a pass. If all were told, it returns what was told.
func (o *object) factsOfAll(now []healthd.App, before told) map[string]map[string]dbus.Variant {
	if areTold(now, before.apps) {
		return before.facts
	}
	facts := make(map[string]map[string]dbus.Variant, len(now))
	for i := range now {
		id := now[i].ID
		if j, was := find(before.apps, id, i); was && haveSameFacts(&before.apps[j], &now[i]) {
			facts[id] = before.facts[id]
			continue
		}
		a := now[i]
		if o.Scope == units.System { // its bus delivers signals to every user
			a = withoutWords(a)
		}
		facts[id] = variants(factsOf(a))
	}
	return facts
}

// areTold reports whether all facts were told. It makes nothing: a quiet healthd asks it after each probe.
func areTold(now, before []healthd.App) bool {
	for i := range min(len(now), len(before)) {
		if now[i].ID != before[i].ID || !haveSameFacts(&before[i], &now[i]) {
			return false
		}
	}
	return len(now) == len(before)
}

// find returns the index of an app. It looks at guess first.
func find(apps []healthd.App, id string, guess int) (index int, isThere bool) {
	if guess < len(apps) && apps[guess].ID == id {
		return guess, true
	}
	return slices.BinarySearchFunc(apps, id, func(a healthd.App, id string) int { return cmp.Compare(a.ID, id) })
}

// haveSameFacts reports whether factsOf is the same for both.
func haveSameFacts(a, b *healthd.App) bool {
	return a.PassError == b.PassError && maps.Equal(a.Repairs, b.Repairs) && reflect.DeepEqual(&a.App, &b.App)
}

// factsOf is what a signal says about an app. The latency is left out: it changes with every
// answer.
func factsOf(a healthd.App) map[string]any {
	repairs := make(map[string]uint64, len(a.Repairs))
	for kind, n := range a.Repairs {
		repairs[string(kind)] = uint64(n)
	}
	facts := map[string]any{
		"State": string(a.State), "Reason": string(a.Reason), "Meaning": a.Meaning, "Mend": a.Mend,
		"Health": string(a.Health), "Level": string(a.Level), "Detail": text(a.Detail), "Error": text(a.Error), "PassError": text(a.PassError),
		"SinceUSec": sinceEpoch(a.Since), "NextRepairUSec": sinceEpoch(a.NextRepairAt), "TrialUSec": sinceEpoch(a.TrialUntil), "Restarts": uint64(a.Restarts), "Repairs": repairs,
	}
	if a.Progress != nil {
		facts["Progress"] = *a.Progress
	}
	if a.ExitCode != nil {
		facts["ExitCode"] = int32(*a.ExitCode)
	}
	return facts
}

// sinceEpoch is a time in microseconds since 1970, 0 for none.
func sinceEpoch(t *time.Time) uint64 {
	if t == nil {
		return 0
	}
	return uint64(t.UnixMicro())
}

func variants(values map[string]any) map[string]dbus.Variant {
	list := make(map[string]dbus.Variant, len(values))
	for name, value := range values {
		list[name] = dbus.MakeVariant(value)
	}
	return list
}

func microseconds(d time.Duration) uint64 { return uint64(d.Microseconds()) }

// text makes what an app wrote valid for D-Bus. The bus disconnects a sender of invalid
// text.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func texts(lines []string) []string {
	list := make([]string, 0, len(lines))
	for _, line := range lines {
		list = append(list, text(line))
	}
	return list
}
