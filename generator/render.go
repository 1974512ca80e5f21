// Package generator owns the rendering of apps to Quadlet files: which units an app has, which
// keys they have for a version of Podman, and how a value is written so that it arrives
// unchanged.
//
// It is pure: it reads no file, runs nothing and uses no clock. The same input always gives
// the same bytes.
package generator

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"sync"

	"github.com/archipelago-os/archipelago/generator/configfile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/parallel"
	"github.com/archipelago-os/archipelago/units"
)

// Result is the rendered files of a set, and where each of their lines came from.
type Result struct {
	Files units.Set

	scope   units.Scope
	sources map[string]source
}

// source leads from a rendered file back to its manifest.
type source struct {
	app   *manifests.Resolved
	lines []lineOrigin
}

type lineOrigin struct {
	line   int
	origin origin
}

// Diagnose turns a finding about a line of a rendered file into a diagnostic
// on the manifest value that the line came from.
func (r *Result) Diagnose(file string, line int, sev diag.Severity, code diag.Code, message string) diag.Diagnostic {
	src, ok := r.sources[file]
	if !ok || src.app == nil {
		return diag.Diagnostic{Severity: sev, Code: code, Message: file + ": " + message}
	}
	at := "app"
	for _, l := range src.lines {
		if l.line == line && l.origin.base != "" {
			at = l.origin.path()
		}
	}
	return src.app.Diag(sev, code, at, "", "%s: %s", file, message)
}

// Render compiles a resolved set for a target. With errors in the list the
// result is incomplete and must not be written.
func Render(set *manifests.Set, t Target) (*Result, diag.List) {
	var hosts []host
	for _, app := range set.Apps {
		for _, companion := range app.Companions {
			hosts = append(hosts, host{app, companion})
		}
	}
	blocks := slices.Collect(slices.Chunk(set.Apps, blockSize))
	rendered := make([]*renderer, len(blocks)+1)
	parallel.Each(len(blocks), func(i int) {
		rendered[i] = renderBlock(set, t, hosts, func(r *renderer) {
			for _, app := range blocks[i] {
				r.app(app)
			}
		})
	})
	rendered[len(blocks)] = renderBlock(set, t, hosts, func(r *renderer) {
		for _, name := range set.Capabilities {
			r.capability(name)
		}
	})
	result := &Result{scope: t.Scope, sources: make(map[string]source, 2*len(set.Apps))}
	var diags diag.List
	for _, r := range rendered {
		result.Files = append(result.Files, r.result.Files...)
		maps.Copy(result.sources, r.result.sources)
		diags = append(diags, r.diags...)
	}
	result.Files.Sort()
	diags.Sort()
	return result, diags
}

// blockSize is how many apps are rendered one after another: enough that starting a block costs
// nothing in comparison.
const blockSize = 16

// renderBlock renders a part of a set.
func renderBlock(set *manifests.Set, t Target, hosts []host, do func(*renderer)) *renderer {
	r := &renderer{target: t, set: set, hosts: hosts, result: &Result{scope: t.Scope, sources: map[string]source{}}}
	r.writer = writers.Get().(*writer)
	defer writers.Put(r.writer)
	do(r)
	return r
}

var writers = sync.Pool{New: func() any { return new(writer) }}

type renderer struct {
	target Target
	set    *manifests.Set
	writer *writer
	result *Result
	diags  diag.List
	hosts  []host
	// templates is the bytes of the app's templates so far, budget what checking them cost.
	templates int
	budget    configfile.Budget
	// data is the bytes of what they may name.
	data int
}

// host is an app and one of its companions.
type host struct{ app, companion *manifests.Resolved }

// app renders every file of one app.
func (r *renderer) app(app *manifests.Resolved) {
	r.templates, r.data, r.budget = 0, 0, configfile.Budget{}
	for i := range app.Parts {
		p := &app.Parts[i]
		image := ""
		switch {
		case p.Build != nil:
			image = r.build(app, p)
		case p.Prefetch:
			image = r.image(app, p)
		}
		r.container(app, p, image)
	}
	for _, name := range app.Networks() {
		r.network(app, name)
	}
	for _, name := range app.VolumeNames() {
		if app.Existing(name) == "" { // else the volume exists already
			r.volume(app, name)
		}
	}
}

// file starts a unit file; app is nil for the network of a capability.
func (r *renderer) file(app *manifests.Resolved) *writer {
	w := r.writer
	w.reset(r.target)
	if app == nil {
		w.comment("Rendered by archgen. Changes made here are lost.")
		return w
	}
	w.comment("Rendered by archgen from " + path.Base(app.File) + ". Changes made here are lost: change the manifest,")
	w.comment("or lay a file NAME.yaml over it in " + app.ID() + ".d/ beside it.")
	return w
}

// close writes the closing sections, adds the file to the result and returns
// its digest.
func (r *renderer) close(name, section string, app *manifests.Resolved, mark func(*writer)) string {
	w := r.writer
	digest := w.digest(section)
	w.begin(units.OwnershipSection)
	none := origin{index: -1}
	f := units.File{Name: name, Digest: digest}
	if app != nil {
		f.App = app.ID()
		w.put(none, "App", f.App)
	}
	mark(w)
	w.put(none, "Digest", digest)
	if app != nil {
		w.put(none, "ManifestDigest", app.Digest)
	}
	w.put(none, "Generator", "archgen "+r.target.Generator)
	text, err := w.finish(digest)
	f.Content = text
	r.report(app, w, name, err)
	r.result.Files = append(r.result.Files, f)
	src := source{app: app, lines: make([]lineOrigin, 0, len(w.assignments))}
	for _, a := range w.assignments {
		src.lines = append(src.lines, lineOrigin{a.line, a.origin})
	}
	r.result.sources[name] = src
	return digest
}

// report turns what could not be written into diagnostics.
func (r *renderer) report(app *manifests.Resolved, w *writer, name string, verifyErr error) {
	for _, p := range w.problems {
		if app == nil {
			r.diags = append(r.diags, diag.Diagnostic{Code: p.code, Message: name + ": " + p.message, Hint: p.hint})
			continue
		}
		r.diags = append(r.diags, app.Diag(diag.Error, p.code, p.origin.path(), p.hint, "%s", p.message))
	}
	if verifyErr != nil {
		r.diags = append(r.diags, diag.Diagnostic{
			Code:    diag.Unrepresentable,
			Message: fmt.Sprintf("%s does not read back as it was meant: %v", name, verifyErr),
			Hint:    "this is a mistake in archgen; please report it with the manifest",
		})
	}
}

func noMark(*writer) {}

// quadlet writes the section that Quadlet itself reads, where it does. Without
// it every unit waits for the machine to be online, up to 90 s where nothing
// brings the network up (measured with Podman 5.4).
func quadlet(w *writer, waitOnline bool) {
	if waitOnline || w.target.Podman.before(quadletKeys["Quadlet"]["DefaultDependencies"].since) {
		return
	}
	w.begin("Quadlet")
	w.put(origin{index: -1}, "DefaultDependencies", "false")
}
