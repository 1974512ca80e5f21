// Package datasheet owns the tables about apps that an operator reads before installing them:
// what each app is, what it needs from the machine and what it can do to it. It reads resolved
// manifests and never prints.
package datasheet

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units/probe"
)

// Table is the facts of one kind.
type Table struct {
	Title string
	// Text explains the table, if it needs that.
	Text  string
	Heads []string
	// Rows have a cell for each head, which may be empty.
	Rows [][]string
}

// Of makes the tables of apps. The first has a row for each app, the others one
// for each port, volume, right or part. mark sets names apart from the text around them.
func Of(apps []*manifests.Resolved, mark func(name string) string) []Table {
	s := sheet{mark}
	return []Table{s.overview(apps), s.notices(apps), s.networks(apps), s.ports(apps), s.data(apps), s.rights(apps), s.times(apps), s.images(apps)}
}

type sheet struct{ mark func(string) string }

func (s sheet) overview(apps []*manifests.Resolved) Table {
	t := Table{Title: "Apps", Heads: []string{"app", "version", "what it is", "provides", "requires", "companions"}}
	for _, a := range apps {
		app := &a.Document.App
		if slices.ContainsFunc(app.Requires, func(r manifests.Require) bool { return r.Optional }) {
			t.Text = "Optional requirements are in brackets."
		}
		t.add(s.mark(app.ID), app.Version, app.Description, s.provided(app), s.required(app), s.marks(app.Companions))
	}
	return t
}

// notices is what an operator has to know before installing the apps.
func (s sheet) notices(apps []*manifests.Resolved) Table {
	t := Table{Title: "Notices", Heads: []string{"app", "know before installing"}}
	for _, a := range apps {
		for _, text := range a.Document.App.Notices {
			t.add(s.mark(a.ID()), text)
		}
	}
	return t
}

// networks is the apps that do not support every Bitcoin network.
func (s sheet) networks(apps []*manifests.Resolved) Table {
	t := Table{Title: "Networks", Heads: []string{"app", "supports only"}, Text: "Apps that are not listed support all networks."}
	for _, a := range apps {
		if known := a.Document.App.Networks; len(known) > 0 {
			t.add(s.mark(a.ID()), s.marks(known))
		}
	}
	return t
}

func (s sheet) ports(apps []*manifests.Resolved) Table {
	t := Table{Title: "Ports", Heads: []string{"app", "port", "of the host", "from where", "in the container"}}
	eachPart(apps, func(app *manifests.Resolved, p manifests.Part) {
		for _, port := range p.Ports {
			host, from := "", "other containers"
			if port.Host != 0 {
				host, from = span(port.Host, port.Count)+"/"+port.Protocol, reach(port.Bind)
			}
			t.add(s.part(app, p), port.Name, host, from, span(port.Container, port.Count))
		}
	})
	return t
}

// span is a port, or a range of them.
func span(first, n int) string {
	if n > 1 {
		return fmt.Sprintf("%d-%d", first, first+n-1)
	}
	return strconv.Itoa(first)
}

// reach is from where a port can be reached that listens on an address.
func reach(bind string) string {
	switch address, err := netip.ParseAddr(bind); {
	case err == nil && address.IsLoopback():
		return "this machine"
	case err == nil && address.IsUnspecified():
		return "everywhere"
	}
	return "the network of " + bind
}

func (s sheet) data(apps []*manifests.Resolved) Table {
	t := Table{
		Title: "Data", Heads: []string{"app", "volume", "in the container", "in a backup"},
		Text: "Volumes are " + s.mark("ID.NAME") + " to Podman. They remain when an app is removed, except with " + s.mark("--purge") + " or if the manifest has " + s.mark("retain: false") +
			". The app recreates what no backup contains, or it has to be exported into another volume first, such as the dump of a database.",
	}
	eachPart(apps, func(app *manifests.Resolved, p manifests.Part) {
		for _, v := range p.Volumes {
			switch {
			case v.App != "":
				t.add(s.part(app, p), s.mark(v.App+"."+v.Name)+access(v), v.Target, "")
			case v.Name != "":
				t.add(s.part(app, p), s.volume(app, v.Name), v.Target, s.saved(app, v.Name))
			case v.Path != "":
				t.add(s.part(app, p), s.mark(v.Path)+", of the host", v.Target, "")
			}
		}
	})
	return t
}

// volume is a volume of the app, with the existing one that replaces it.
func (s sheet) volume(app *manifests.Resolved, name string) string {
	if existing := app.Existing(name); existing != "" {
		return s.mark(name) + ", stored in " + s.mark(existing)
	}
	return s.mark(name)
}

// access is what a container does with a volume of another app.
func access(v manifests.Volume) string {
	if v.ReadOnly {
		return ", to read"
	}
	return ", to read and change"
}

func (s sheet) rights(apps []*manifests.Resolved) Table {
	t := Table{
		Title: "Rights", Heads: []string{"app", "right", "severity", "allows the app to"},
		Text: "What an app can do beyond its own containers.",
	}
	for _, app := range apps {
		list := rights.Of(app)
		for _, r := range list {
			t.add(s.mark(app.ID()), s.mark(r.ID), r.Severity.String(), r.Allows)
		}
		if len(list) == 0 {
			t.add(s.mark(app.ID()), "none", "", "")
		}
	}
	return t
}

func (s sheet) times(apps []*manifests.Resolved) Table {
	t := Table{
		Title: "Times and checks", Heads: []string{"app", "start", "stop", "serves when", "has caught up when"},
		Text: "A start that exceeds its time has failed, unless the app answers that it is loading. A program that exceeds its stop time is killed.",
	}
	eachPart(apps, func(app *manifests.Resolved, p manifests.Part) {
		t.add(s.part(app, p), p.Start.Timeout.String(), p.Stop.Timeout.String(), s.question(p.Health.Serving), s.question(p.Health.Synced))
	})
	return t
}

func (s sheet) images(apps []*manifests.Resolved) Table {
	t := Table{Title: "Images", Heads: []string{"app", "image", "digest"}}
	eachPart(apps, func(app *manifests.Resolved, p manifests.Part) {
		if p.Build != nil {
			t.add(s.part(app, p), "built from "+s.mark(p.Build.Context), "")
			return
		}
		image, digest, _ := strings.Cut(p.Image, "@")
		t.add(s.part(app, p), s.mark(image), s.digest(digest))
	})
	return t
}

func (t *Table) add(cells ...string) { t.Rows = append(t.Rows, cells) }

func eachPart(apps []*manifests.Resolved, do func(app *manifests.Resolved, p manifests.Part)) {
	for _, a := range apps {
		for _, p := range a.Parts {
			do(a, p)
		}
	}
}

func (s sheet) part(app *manifests.Resolved, p manifests.Part) string {
	if p.Name == "main" {
		return s.mark(app.ID())
	}
	return s.mark(app.ID() + "." + p.Name)
}

func (s sheet) marks(names []string) string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		out = append(out, s.mark(n))
	}
	return strings.Join(out, ", ")
}

func (s sheet) provided(app *manifests.App) string {
	list := make([]string, 0, len(app.Provides))
	for _, p := range app.Provides {
		list = append(list, p.Capability)
	}
	return s.marks(list)
}

func (s sheet) required(app *manifests.App) string {
	list := make([]string, 0, len(app.Requires))
	for _, r := range app.Requires {
		text := s.mark(r.Capability)
		if r.Optional {
			text = "(" + text + ")"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// saved is what backups keep of a volume.
func (s sheet) saved(app *manifests.Resolved, volume string) string {
	b := app.Document.App.Data.Backup
	only, not := within(volume, b.Include), within(volume, b.Exclude)
	switch {
	case len(b.Include) > 0 && len(only) == 0, slices.Contains(not, volume):
		return "nothing"
	case len(only) == 0 || slices.Contains(only, volume):
		only = []string{"all"}
	default:
		only = []string{s.marks(only)}
	}
	if len(not) == 0 {
		return only[0]
	}
	return only[0] + " but " + s.marks(not)
}

// within is those of the entries that are about a volume.
func within(volume string, entries []string) []string {
	var list []string
	for _, e := range entries {
		if of, _, _ := strings.Cut(e, "/"); of == volume {
			list = append(list, e)
		}
	}
	return list
}

// question is what a probe asks, in a few words.
func (s sheet) question(p *manifests.Probe) string {
	switch q := p.Question(); {
	case q != nil:
		t, err := probe.New(q.Kind, q.Options)
		if err != nil {
			panic(fmt.Sprintf("the schema and the probes disagree: %v", err))
		}
		return t.Shows(s.mark)
	case p != nil && len(p.Exec) > 0:
		return s.mark(p.Exec[0]) + " in the container succeeds"
	}
	return ""
}

// digest is the beginning of one, enough to tell it from others.
func (s sheet) digest(digest string) string {
	const shown = len("sha256:") + 12
	if len(digest) < shown {
		return "none is recorded"
	}
	return s.mark(digest[:shown] + "…")
}
