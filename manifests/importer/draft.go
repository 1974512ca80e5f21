package importer

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// Draft is an app while it is imported.
type Draft struct {
	App manifests.App
	// Templates is the content of the app's configuration files by name.
	Templates map[string][]byte
	// Seeds is the files of the folders that volumes begin with, by the names of the folders.
	Seeds map[string][]manifests.SeedFile
	// Sources is the text of the files that were read.
	Sources map[string][]byte

	findings  []Finding
	questions []Question
	answers   map[string]string
	// notes is where a value was inferred from, by its path in the manifest.
	notes map[string]syntax.Position
	// origins is where the values of the manifest come from, by their paths, for what is refused.
	origins map[string]origin
	// zeros is the paths of zero values that are written, since their default differs.
	zeros map[string]bool
	// masked is the places of secret values, which no excerpt shows.
	masked []mask
}

// origin is a key of the source.
type origin struct {
	at  syntax.Position
	key string
}

type mask struct {
	at    syntax.Position
	value string
}

// NewDraft starts an app. answers is by the keys of the questions.
func NewDraft(answers map[string]string) *Draft {
	return &Draft{
		Templates: map[string][]byte{}, Seeds: map[string][]manifests.SeedFile{}, Sources: map[string][]byte{},
		answers: answers, notes: map[string]syntax.Position{}, origins: map[string]origin{}, zeros: map[string]bool{},
	}
}

// Report says what happens to a key of the source. The code decides the severity and what a
// person can do.
func (d *Draft) Report(code Code, p syntax.Position, key, format string, args ...any) {
	loss := lossOf(code)
	d.findings = append(d.findings, at(Finding{
		Severity: loss.Severity, Code: code, Key: key, Message: shown.Replace(fmt.Sprintf(format, args...)), Hint: loss.Mend,
	}, p))
}

// Keep says that the manifest has a key of the source, and where.
func (d *Draft) Keep(p syntax.Position, key, to string) {
	d.findings = append(d.findings, at(Finding{Severity: Kept, Code: KeptAsIs, Key: key, To: to, Message: "kept as " + to}, p))
}

// Origin records which key of the source a value of the manifest comes from.
func (d *Draft) Origin(path string, p syntax.Position, key string) { d.origins[path] = origin{p, key} }

// Says reports whether there is a finding for a key or one below it.
func (d *Draft) Says(key string) bool {
	return slices.ContainsFunc(d.findings, func(f Finding) bool {
		rest, isBelow := strings.CutPrefix(f.Key, key)
		return isBelow && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// Unreadable reports what is wrong with a file.
func (d *Draft) Unreadable(found diag.List) {
	for _, f := range found {
		d.findings = append(d.findings, Finding{
			Severity: Refused, Code: BadSource, File: f.File, Line: f.Line, Column: f.Column, Message: f.Message, Hint: f.Hint,
		})
	}
}

// Note records where a value of the manifest was inferred from. The manifest says it in a
// comment.
func (d *Draft) Note(path string, p syntax.Position) { d.notes[path] = p }

// Zero has a zero value written, such as a false where the default is true.
func (d *Draft) Zero(path string) { d.zeros[path] = true }

// Mask hides a secret value in excerpts of the source.
func (d *Draft) Mask(p syntax.Position, value string) {
	if value != "" {
		d.masked = append(d.masked, mask{p, value})
	}
}

// Finish writes the manifest. What archgen check would refuse is left out and reported.
func (d *Draft) Finish() *Result {
	tree := d.tree()
	r := &Result{ID: d.App.ID, Version: d.App.Version, Sources: d.excerpts()}
	if text, ok := d.settle(tree); ok {
		dir := manifests.FilesDir(d.App.ID) + "/"
		r.Files = []File{{Path: d.App.ID + ".yaml", Data: text}}
		for _, name := range d.templatesOf(tree) {
			r.Files = append(r.Files, File{Path: dir + name, Data: d.Templates[name]})
		}
		for _, name := range slices.Sorted(maps.Keys(d.Seeds)) {
			for _, f := range d.Seeds[name] {
				r.Files = append(r.Files, File{Path: dir + name + "/" + f.Path, Data: f.Data, IsExecutable: f.IsExecutable})
			}
		}
	}
	sortFindings(d.findings)
	r.Findings, r.Questions = d.findings, d.questions
	return r
}

// settle removes from the manifest what does not pass the checks, until the rest does.
func (d *Draft) settle(tree *syntax.Node) (text []byte, ok bool) {
	const most = 100
	for range most {
		text = print(tree)
		found := checked(d.App.ID, text)
		if !found.HasErrors() {
			return text, true
		}
		first := found[slices.IndexFunc(found, func(f diag.Diagnostic) bool { return f.Severity == diag.Error })]
		if !d.removeValue(tree, first) {
			from := d.originOf(first.Path)
			d.Report(NotRepresentable, from.at, from.key, "no manifest can be written: %s: %s", first.Path, first.Message)
			return nil, false
		}
	}
	d.Report(NotRepresentable, syntax.Position{}, "", "no manifest can be written: too much of it is refused")
	return nil, false
}

// Check is what archgen check finds in the manifest of a result by itself.
func Check(r *Result) diag.List {
	if len(r.Files) == 0 {
		return nil
	}
	return checked(r.ID, r.Files[0].Data)
}

// checked is what archgen check finds in a manifest by itself.
func checked(id string, text []byte) diag.List {
	m, found := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: id + ".yaml", Data: text}})
	if m == nil || found.HasErrors() {
		return found
	}
	if found = append(found, manifests.Validate(m)...); found.HasErrors() {
		return found
	}
	_, problems := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
	return append(found, slices.DeleteFunc(problems, IsOfOthers)...)
}

// ofOtherVolume is the place of the id of another app.
var ofOtherVolume = regexp.MustCompile(`\.volumes\[\d+\]\.app$`)

// IsOfOthers reports whether a diagnostic is about an app that is not in the set: a capability
// that it provides, or a volume that it shares. The manifest is right without it.
func IsOfOthers(d diag.Diagnostic) bool {
	return d.Code == diag.Unsatisfied || d.Code == diag.NotShared || d.Code == diag.UnknownName && ofOtherVolume.MatchString(d.Path)
}

// removeValue removes what a diagnostic is about: an item of a list as a whole, or a value. It
// reports false for a part, without which the app would be another one.
func (d *Draft) removeValue(tree *syntax.Node, why diag.Diagnostic) bool {
	path := why.Path
	if i := strings.LastIndexByte(path, ']'); i >= 0 {
		path = path[:i+1]
	}
	if part, ok := strings.CutPrefix(path, "app.containers."); ok && !strings.Contains(part, ".") || !remove(tree, path) {
		return false
	}
	from := d.originOf(why.Path)
	if path == why.Path { // it is not kept after all
		d.findings = slices.DeleteFunc(d.findings, func(f Finding) bool { return f.Code == KeptAsIs && f.Key == from.key })
	}
	d.Report(NotRepresentable, from.at, from.key, "%s is left out: %s", path, why.Message)
	return true
}

// originOf is the source of a value, or of the nearest around it.
func (d *Draft) originOf(path string) origin {
	for path != "" {
		if from, ok := d.origins[path]; ok {
			return from
		}
		if p, ok := d.notes[path]; ok {
			return origin{at: p}
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return origin{}
}

// templatesOf is the names of the templates that the manifest uses.
func (d *Draft) templatesOf(tree *syntax.Node) []string {
	var used []string
	var walk func(n *syntax.Node)
	walk = func(n *syntax.Node) {
		for _, e := range n.Entries {
			if e.Key == "template" {
				used = append(used, e.Value.Text)
			}
			walk(e.Value)
		}
		for _, item := range n.Items {
			walk(item)
		}
	}
	walk(tree)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(d.Templates)), func(name string) bool { return !slices.Contains(used, name) })
}

// excerpts is the sources with the secret values masked.
func (d *Draft) excerpts() map[string][]byte {
	all := maps.Clone(d.Sources)
	for _, m := range d.masked {
		lines := bytes.Split(all[m.at.File], []byte("\n"))
		if m.at.Line < 1 || m.at.Line > len(lines) {
			continue
		}
		line := lines[m.at.Line-1]
		from := min(max(m.at.Column-1, 0), len(line))
		lines[m.at.Line-1] = slices.Concat(line[:from], bytes.ReplaceAll(line[from:], []byte(m.value), bytes.Repeat([]byte("*"), len(m.value))))
		all[m.at.File] = bytes.Join(lines, []byte("\n"))
	}
	return all
}

// Abandon is the result where no app can be made.
func (d *Draft) Abandon() *Result {
	sortFindings(d.findings)
	return &Result{ID: d.App.ID, Findings: d.findings, Questions: d.questions, Sources: d.excerpts()}
}
