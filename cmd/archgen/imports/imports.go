// Package imports owns a run of archgen import: what it reads of the disk and of Podman, the file
// of answers, the questions at a terminal, the manifest with its templates, and the report.
//
// It decides nothing about an app: manifests/importer does. It stops and changes no container.
package imports

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/importer/podmanrun"
	"github.com/archipelago-os/archipelago/manifests/importer/quadlet"
	"github.com/archipelago-os/archipelago/units/durable"
)

// Answers is what a person decided in advance.
type Answers struct {
	// All is by the keys of the questions.
	All map[string]string
	// given is the keys of the command line, each of which has to be asked.
	given []string
}

// ReadAnswers joins the answers of a file, if one is named, with those of the command line,
// KEY=VALUE each, which take precedence.
func ReadAnswers(file string, set []string) (a Answers, err error) {
	a.All = map[string]string{}
	if file != "" {
		data, err := manifests.ReadFile(file)
		if err != nil {
			return a, fmt.Errorf("reading the answers: %w", err)
		}
		read, found := importer.ParseAnswers(file, data)
		if found.HasErrors() {
			return a, errors.New(found[0].String())
		}
		maps.Copy(a.All, read)
	}
	for _, text := range set {
		key, value, hasValue := strings.Cut(text, "=")
		if !hasValue || key == "" {
			return a, UsageError{fmt.Errorf("--set %s: write KEY=VALUE", text)}
		}
		a.All[key] = value
		a.given = append(a.given, key)
	}
	return a, nil
}

// Unasked is an answer of the command line that no question has the key of, or nothing.
func (a Answers) Unasked(results ...*importer.Result) string {
	asked := map[string]bool{}
	for _, r := range results {
		for _, q := range r.Questions {
			asked[q.Key] = true
		}
	}
	for _, key := range a.given {
		if !asked[key] {
			return key
		}
	}
	return ""
}

// Ask returns the answer of a person, if there is one to ask.
type Ask func(importer.Question) (answer string, ok bool)

// App imports the app of a file or directory into the directory out. ask is asked each question
// that has no answer, until it gives none.
func App(f Format, path, id, out string, answers Answers, ask Ask) (*importer.Result, error) {
	o, dir, err := projectOf(path, out)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir) // no link leads out of it
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing was written
	o.ID, o.Answers = id, maps.Clone(answers.All)
	r := answered(o.Answers, ask, func() *importer.Result { return f.read(root.FS(), o) })
	r.Below(dir)
	return r, nil
}

// Run imports a command such as podman run. Relative paths in it are below the working
// directory.
func Run(words []string, id string, answers Answers, ask Ask) (*importer.Result, error) {
	root, err := os.OpenRoot(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing was written
	o := compose.Options{ID: id, Answers: answers.All}
	return answered(answers.All, ask, func() *importer.Result { return podmanrun.Import(root.FS(), words, o) }), nil
}

// Quadlet imports the Quadlet files of a directory, or the app of one of them. specifiers is what
// systemd replaces for the user that runs them.
func Quadlet(path, id, out string, specifiers map[string]string, answers Answers, ask Ask) (apps []*importer.Result, err error) {
	o, dir, err := projectOf(path, out)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir) // no link leads out of it
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing was written
	for _, app := range quadlet.Find(root.FS(), quadlet.Options{File: o.File, ID: id, Project: o.Project, Specifiers: specifiers}) {
		own := maps.Clone(answers.All) // another app may be asked the same
		r := answered(own, ask, func() *importer.Result { return app.Import(own) })
		r.Below(dir)
		apps = append(apps, r)
	}
	return apps, nil
}

// Specifiers is what systemd's specifiers stand for in units of the user with an environment.
func Specifiers(getenv func(string) string) map[string]string {
	values := map[string]string{"U": strconv.Itoa(os.Getuid())}
	put := func(letter, variable, belowHome string) {
		value := getenv(variable)
		if home := getenv("HOME"); value == "" && belowHome != "" && home != "" {
			value = filepath.Join(home, belowHome)
		}
		if value != "" {
			values[letter] = value
		}
	}
	put("h", "HOME", "")
	put("u", "USER", "")
	put("t", "XDG_RUNTIME_DIR", "")
	put("C", "XDG_CACHE_HOME", ".cache")
	put("E", "XDG_CONFIG_HOME", ".config")
	put("S", "XDG_STATE_HOME", ".local/state")
	put("L", "XDG_STATE_HOME", ".local/state/log")
	return values
}

// answered imports again as long as there are answers to questions that had none.
func answered(answers map[string]string, ask Ask, read func() *importer.Result) *importer.Result {
	for {
		r := read()
		i := slices.IndexFunc(r.Questions, func(q importer.Question) bool { return !q.IsAnswered })
		if i < 0 {
			return r
		}
		answer, ok := ask(r.Questions[i])
		if !ok {
			return r
		}
		answers[r.Questions[i].Key] = answer
	}
}

// projectOf is the directory of a project, and the file if one is named.
func projectOf(path, out string) (o compose.Options, dir string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return o, "", err
	}
	if dir = path; !info.IsDir() {
		dir, o.File = filepath.Dir(path), filepath.Base(path)
	}
	from, err := filepath.Abs(out)
	if err != nil {
		return o, "", err
	}
	to, err := filepath.Abs(dir)
	if err != nil {
		return o, "", err
	}
	o.Name = filepath.Base(to)
	o.Project, err = filepath.Rel(from, to)
	return o, dir, err
}

// Write writes the files of an import into a directory and returns their paths. Without force it
// writes nothing if one of them exists.
func Write(r *importer.Result, dir string, force bool) (written []string, err error) {
	for _, f := range r.Files {
		path := filepath.Join(dir, f.Path)
		if _, err := os.Lstat(path); !force && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s exists already; use --force to replace it, or --id or --out for another name or directory", path)
		}
	}
	for _, f := range slices.Backward(r.Files) { // the manifest last, since it needs the others
		path := filepath.Join(dir, f.Path)
		if err := durable.Replace(filepath.Dir(path), filepath.Base(path), f.Data); err != nil {
			return written, err
		}
		if f.IsExecutable {
			if err := os.Chmod(path, 0o755); err != nil {
				return written, err
			}
		}
		written = append(written, path)
	}
	slices.Sort(written)
	return written, nil
}
