package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/archipelago-os/archipelago/manifests/diag"

	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// FilesDir is the directory of an app's templates and seeds, beside its manifest.
func FilesDir(id string) string { return id + ".files" }

// OverlaysDir is the directory of the operator's overlays of a manifest, beside it.
func OverlaysDir(id string) string { return id + ".d" }

// OverlayFilesDir is the directory of the operator's templates and seeds, which replace those of
// the manifest on this machine.
func OverlayFilesDir(id string) string { return filepath.Join(OverlaysDir(id), "files") }

// HoldsFiles reports whether a directory has overlays, grants, templates or seeds of an app. Its
// path is relative to the directory of manifests.
func HoldsFiles(dir string) bool {
	top, below, _ := strings.Cut(dir, "/")
	if overlays := strings.HasSuffix(top, ".d"); overlays {
		return below == "" || below == "files" || strings.HasPrefix(below, "files/")
	}
	return strings.HasSuffix(top, ".files")
}

// AppOf is the id of the app that a manifest, an overlay or a template belongs to: all
// have it in their path. It is empty for any other file.
func AppOf(file string) string {
	dir := filepath.Dir(file)
	if filepath.Base(dir) == "files" { // of an overlay's directory
		dir = filepath.Dir(dir)
	}
	for _, suffix := range []string{".d", ".files"} {
		if id, isDir := strings.CutSuffix(filepath.Base(dir), suffix); isDir {
			return id
		}
	}
	name := filepath.Base(file)
	if !isManifestName(name) {
		return ""
	}
	return strings.TrimSuffix(name, filepath.Ext(name))
}

// TemplateNames lists the text files beside the manifest that an app uses, sorted: templates, and
// files of environment variables.
func (a *App) TemplateNames() []string {
	var names []string
	for _, p := range a.Parts() {
		for _, f := range p.Files {
			if f.Template != "" {
				names = append(names, f.Template)
			}
		}
		for _, f := range p.EnvFiles {
			if f != "" && !filepath.IsAbs(f) {
				names = append(names, f)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// kindOf is what a text file beside the manifest is to the app.
func (a *App) kindOf(name string) string {
	isTemplate := func(p Part) bool {
		return slices.ContainsFunc(p.Files, func(f File) bool { return f.Template == name })
	}
	if slices.ContainsFunc(a.Parts(), isTemplate) {
		return "template"
	}
	return "file"
}

// templates reads the templates of a manifest, each from the first of the
// overlays' directories that has it, or else from beside the manifest.
func (l *Loaded) templates(m *Manifest, dir string, overlayDirs []string) (diags diag.List) {
	a := &m.Document.App
	places := make([]string, 0, len(overlayDirs)+1)
	for _, d := range overlayDirs {
		places = append(places, filepath.Join(d, OverlayFilesDir(a.ID)))
	}
	own := filepath.Join(dir, FilesDir(a.ID))
	for _, name := range a.TemplateNames() {
		text, problem := l.readTemplate(places, own, name, a.kindOf(name))
		if problem != nil {
			diags = append(diags, m.ofTemplate(name, *problem))
			continue
		}
		l.note(text)
		if m.Templates == nil {
			m.Templates = map[string]Source{}
		}
		m.Templates[name] = text
	}
	return diags
}

// ofTemplate places what is wrong with a whole template where it is named.
func (m *Manifest) ofTemplate(name string, problem diag.Diagnostic) diag.Diagnostic {
	if problem.Line > 0 {
		return problem
	}
	for _, p := range m.Document.App.Parts() {
		for i, f := range p.Files {
			if f.Template == name {
				return m.Diag(diag.Error, problem.Code, fmt.Sprintf("%s.files[%d].template", p.Path, i), problem.Hint, "%s", problem.Message)
			}
		}
		if i := slices.Index(p.EnvFiles, name); i >= 0 {
			return m.Diag(diag.Error, problem.Code, fmt.Sprintf("%s.env_files[%d]", p.Path, i), problem.Hint, "%s", problem.Message)
		}
	}
	return problem
}

// readTemplate reads a template, or another kind of text, from the first of the operator's
// places that has it, or else from the manifest's own.
func (l *Loaded) readTemplate(places []string, own, name, kind string) (Source, *diag.Diagnostic) {
	for _, place := range append(places, own) {
		path := filepath.Join(place, name)
		data, err := l.templateIn(place, name, place == own)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Source{}, &diag.Diagnostic{Code: diag.Unreadable, Message: fmt.Sprintf("the %s %s can't be read: %v", kind, path, CauseOf(err))}
		}
		return checkTemplate(Source{path, data}, kind)
	}
	return Source{}, &diag.Diagnostic{
		Code: diag.Unreadable, Message: "there is no " + kind + " " + name,
		Hint: "put it into " + own,
	}
}

// templateIn reads a template. One of the operator's may be a link, as other overlays.
func (l *Loaded) templateIn(place, name string, isOwn bool) ([]byte, error) {
	path := filepath.Join(place, name)
	if !isOwn {
		return ReadInside(l.Root, path)
	}
	if err := StaysInside(l.Root, path); err != nil {
		return nil, err
	}
	return ReadTemplate(place, name)
}

func checkTemplate(s Source, kind string) (Source, *diag.Diagnostic) {
	if len(s.Data) > MaxFileSize {
		return s, &diag.Diagnostic{Code: diag.TooLarge, Message: fmt.Sprintf("the %s %s has more than %d bytes", kind, s.Name, MaxFileSize)}
	}
	wrong, what := bytes.IndexByte(s.Data, 0), "holds a NUL byte"
	if wrong < 0 && !utf8.Valid(s.Data) {
		wrong, what = syntax.FirstInvalid(s.Data), "is not valid UTF-8"
	}
	if wrong < 0 {
		return s, nil
	}
	line, column := syntax.Place(s.Data, wrong)
	return s, &diag.Diagnostic{Code: diag.NotUTF8, File: s.Name, Line: line, Column: column, Message: "the " + kind + " " + what}
}
