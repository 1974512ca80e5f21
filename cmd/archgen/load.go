package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/conform"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// source is the part of the command line that says which manifests are meant
// and for which machine.
type source struct {
	root         string
	user, system bool
	podman       string
}

func (s *source) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.root, "root", "", "work on the system image below `DIR`, not this machine")
	f.BoolVar(&s.user, "user", false, "for a user's systemd and rootless Podman (default)")
	f.BoolVar(&s.system, "system", false, "for the system's systemd and Podman as root")
	f.StringVar(&s.podman, "podman", "", "for Podman `VERSION` (default: the installed one)")
	cmd.MarkFlagsMutuallyExclusive("user", "system")
}

func (s *source) scope() units.Scope {
	if s.system {
		return units.System
	}
	return units.User
}

// compiled is a set of manifests and everything that was made of it.
type compiled struct {
	loaded manifests.Loaded
	set    *manifests.Set
	result *generator.Result
	diags  diag.List
	// whole: the set is all apps there are, so files of others are stale.
	whole bool
	// only is the apps that were asked for by id; nil means all.
	only map[string]bool
}

// owns reports whether files of the app may be written and removed.
func (k *compiled) owns(app string) bool {
	if k.only != nil {
		return k.only[app]
	}
	return k.whole || k.set.App(app) != nil
}

// load reads the manifests that the arguments name and compiles them.
func (c *cli) load(s *source, args []string) (*compiled, error) {
	k := &compiled{loaded: manifests.Loaded{Root: s.root}}
	if info, err := os.Stat(s.root); s.root != "" && (err != nil || !info.IsDir()) {
		return nil, fmt.Errorf("%s is not a directory, so it can't be the root of a system image", s.root)
	}
	if err := c.find(k, s, args); err != nil {
		return nil, err
	}
	settings, problems, err := c.settings(k, s)
	if err != nil {
		return nil, err
	}
	k.diags = append(k.diags, problems...)
	target, err := c.target(s, settings)
	if err != nil {
		return nil, err
	}
	if k.diags.HasErrors() {
		// Rendering would only say in other words what is wrong already.
		set, problems := manifests.Resolve(k.loaded.Manifests, settings)
		k.set, k.diags = set, append(k.diags, problems...)
		return k, nil
	}
	k.diags = append(k.diags, k.compile(k.loaded.Manifests, settings, target)...)
	return k, nil
}

// compile resolves, renders and checks manifests, as far as there is no error.
func (k *compiled) compile(list []*manifests.Manifest, settings manifests.Settings, target generator.Target) diag.List {
	set, diags := manifests.Resolve(list, settings)
	k.set = set
	if diags.HasErrors() {
		return diags
	}
	result, problems := generator.Render(set, target)
	k.result = result
	diags = append(diags, problems...)
	if !diags.HasErrors() {
		diags = append(diags, conformity(result, target)...)
	}
	return diags
}

// conformity is what Podman's own converter says of a whole set.
func conformity(result *generator.Result, t generator.Target) diag.List {
	findings := conform.Check(result.Files, t.Scope)
	diags := make(diag.List, 0, len(findings))
	for _, f := range findings {
		sev, code := diag.Error, diag.PodmanRejects
		if f.Warning {
			sev, code = diag.Warning, diag.PodmanWarns
		}
		diags = append(diags, result.Diagnose(f.File, f.Line, sev, code, f.Message))
	}
	return diags
}

// find reads the manifests.
func (c *cli) find(k *compiled, s *source, args []string) error {
	if len(args) == 0 {
		dirs, err := c.appDirs(s)
		if err != nil {
			return err
		}
		c.findAll(k, dirs)
		return nil
	}
	var paths, ids []string
	for _, arg := range args {
		if strings.ContainsAny(arg, "/.") {
			paths = append(paths, arg)
		} else {
			ids = append(ids, arg)
		}
	}
	switch {
	case len(paths) == 0:
		return c.findIDs(k, s, ids)
	case len(ids) > 0:
		return usageError{fmt.Errorf("%s is a path and %s the id of an installed app: give either paths or ids", paths[0], ids[0])}
	}
	for _, path := range paths {
		c.findPath(k, path)
	}
	return nil
}

// findAll reads directories that hold all apps there are.
func (c *cli) findAll(k *compiled, dirs []string) {
	k.whole = true
	k.diags = append(k.diags, k.loaded.LoadDirs(dirs)...)
	if len(k.loaded.Manifests) == 0 && !k.diags.HasErrors() {
		fmt.Fprintf(c.stderr, "archgen: there is no manifest in %s\n", strings.Join(dirs, ", "))
	}
}

func (c *cli) findPath(k *compiled, path string) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		c.findAll(k, []string{path})
		return
	}
	k.diags = append(k.diags, k.loaded.LoadFile(path)...)
}

// findIDs loads every installed app, since the ones that are asked for may
// need others, and notes which are meant.
func (c *cli) findIDs(k *compiled, s *source, ids []string) error {
	dirs, err := c.appDirs(s)
	if err != nil {
		return err
	}
	k.diags = append(k.diags, k.loaded.LoadDirs(dirs)...)
	k.only = map[string]bool{}
	for _, id := range ids {
		k.only[id] = true
		if !slices.ContainsFunc(k.loaded.Manifests, func(m *manifests.Manifest) bool { return m.Document.App.ID == id }) {
			hint := "give the path of a file or directory"
			if _, err := os.Stat(id); err == nil {
				hint = "write ./" + id + " to mean the file or directory here"
			}
			return fmt.Errorf("no app %q is installed in %s; %s", id, strings.Join(dirs, ", "), hint)
		}
	}
	return nil
}

// appDirs is where installed apps are, first wins.
func (c *cli) appDirs(s *source) ([]string, error) {
	dirs := []string{filepath.Join(s.root, "/etc/archipelago/apps"), filepath.Join(s.root, "/usr/share/archipelago/apps")}
	if s.system || s.root != "" {
		return dirs, nil
	}
	config, err := c.configHome()
	if err != nil {
		return nil, err
	}
	return append([]string{filepath.Join(config, "archipelago/apps")}, dirs...), nil
}

// configHome is the user's configuration directory.
func (c *cli) configHome() (string, error) {
	if dir := c.getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	if home := c.getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".config"), nil
	}
	return "", errors.New("HOME is not set, so there is no place for a user's apps: set it, or use --root DIR, or give --out DIR and the paths of the manifests")
}

// settings reads archipelago.toml, the user's before the machine's.
func (c *cli) settings(k *compiled, s *source) (manifests.Settings, diag.List, error) {
	files := []string{filepath.Join(s.root, "/etc/archipelago/archipelago.toml")}
	if config, err := c.configHome(); err == nil && !s.system && s.root == "" {
		files = append([]string{filepath.Join(config, "archipelago/archipelago.toml")}, files...)
	}
	for _, file := range files {
		data, err := manifests.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return manifests.Settings{}, nil, fmt.Errorf("%s can't be read: %w", file, reason(err))
		}
		if k.loaded.Sources == nil {
			k.loaded.Sources = map[string][]byte{}
		}
		k.loaded.Sources[file] = data
		settings, diags := manifests.ParseSettings(manifests.Source{Name: file, Data: data})
		return settings, diags, nil
	}
	return manifests.Settings{}, nil, nil
}

// target chooses the Podman version to render for.
func (c *cli) target(s *source, settings manifests.Settings) (generator.Target, error) {
	t := generator.Target{Podman: generator.Default, Scope: s.scope(), Generator: version()}
	text := s.podman
	if text == "" {
		text = settings.Podman
	}
	if text == "" && s.root == "" {
		text = installedPodman()
	}
	if text == "" {
		return t, nil
	}
	v, err := generator.ParseVersion(text)
	if err != nil {
		return t, usageError{err}
	}
	t.Podman = v
	return t, nil
}

// installedPodman is the version of this machine's Podman, or empty. Its
// generator, which is what will read the files, says it in an eighth of the time.
func installedPodman() string {
	podman, err := exec.LookPath("podman")
	if err != nil {
		return ""
	}
	for _, dir := range []string{"libexec", "lib"} {
		v := answer(filepath.Join(filepath.Dir(podman), "..", dir, "podman/quadlet"), "-version")
		if _, err := generator.ParseVersion(v); err == nil {
			return v
		}
	}
	_, v, _ := strings.Cut(answer(podman, "--version"), "podman version ")
	return v
}

// answer is what a program prints, or empty.
func answer(program, arg string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, arg).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// reason is an error without the path, which the message names already.
func reason(err error) error {
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
