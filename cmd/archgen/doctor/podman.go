package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/units"
)

func checkPodman(ctx context.Context, e *Env) Result {
	const fix = "sudo apt install podman   # or: sudo dnf install podman"
	out, err := e.Podman.Output(ctx, "--version")
	if err != nil {
		return problem(fix, "Podman does not run: %v", err)
	}
	return judgePodman(strings.TrimSpace(string(out)), fix)
}

// judgePodman judges what podman --version says.
func judgePodman(text, fix string) Result {
	text = strings.TrimPrefix(text, "podman version ")
	v, err := generator.ParseVersion(text)
	switch {
	case err != nil:
		return problem(fix, "%v", err)
	case v == generator.Newest && !strings.HasPrefix(text+".", v.String()+"."):
		return warn("", "%s is newer than %v, the newest that this archgen knows; its units are written for that", text, v)
	}
	return fine("%s", text)
}

func checkGenerator(ctx context.Context, e *Env) Result {
	const fix = "sudo apt install --reinstall podman   # or: sudo dnf reinstall podman"
	name := "podman-" + e.Scope.String() + "-generator"
	path := e.generator(name)
	switch target, err := filepath.EvalSymlinks(path); {
	case path == "":
		return problem(fix, "systemd has no %s, so no app gets a unit", name)
	case err != nil:
		return problem(fix, "%s leads nowhere: %v", path, err)
	case target == os.DevNull:
		return problem("sudo rm "+path, "%s is masked, so no app gets a unit", name)
	}
	version, err := e.said(ctx, path, "-version")
	if err != nil {
		return problem(fix, "%s does not run: %v", path, err)
	}
	return fine("%s, version %s", path, version)
}

// generator is the first file of that name where systemd looks for generators.
func (e *Env) generator(name string) string {
	for _, dir := range []string{"run/systemd", "etc/systemd", "usr/local/lib/systemd", "usr/lib/systemd"} {
		path := filepath.Join(e.Root, dir, e.Scope.String()+"-generators", name)
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	return ""
}

// checkPause looks for what is left when the user's manager was killed: Podman
// finds no process in its user namespace, yet containers that should have one,
// and refuses every command. podman system migrate, which it advises, crashes.
func checkPause(_ context.Context, e *Env) Result {
	dir := e.Getenv("XDG_RUNTIME_DIR")
	monitors, err := filepath.Glob(filepath.Join(dir, "containers/overlay-containers/*/userdata/conmon.pid"))
	switch {
	case dir == "" || err != nil || len(monitors) == 0:
		return fine("nothing is left over")
	case e.runs(filepath.Join(dir, "libpod/tmp/pause.pid")), slices.ContainsFunc(monitors, e.runs):
		return fine("it runs")
	}
	return problem(
		"sudo systemctl stop user-runtime-dir@"+e.uidText()+".service && sudo systemctl start user@"+e.uidText()+".service",
		"the user's systemd was killed, and Podman can't find its processes: every command of it fails")
}

// runs reports whether the process of a pid file runs.
func (e *Env) runs(pidFile string) bool {
	data, err := os.ReadFile(pidFile)
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(e.Root, "proc", strconv.Itoa(pid)))
	return err == nil
}

// littleSpace is less than a middling image takes while it is pulled.
const littleSpace = 2 << 30

func checkDisk(_ context.Context, e *Env) Result {
	dir := e.Storage
	for {
		_, err := os.Stat(dir)
		if err == nil || dir == "/" || dir == "." {
			break
		}
		dir = filepath.Dir(dir)
	}
	st, err := e.Statfs(dir)
	if err != nil {
		return warn("", "the space in %s can't be seen: %v", dir, err)
	}
	free := st.Bavail * uint64(st.Bsize)
	text := fmt.Sprintf("%.1f GB free in %s", float64(free)/1e9, e.Storage)
	switch {
	case free < littleSpace:
		return warn("podman image prune --all   # removes images that no container uses", "only %s: a pull may fail", text)
	case st.Files > 0 && st.Ffree < 10_000:
		return warn("podman image prune --all   # removes images that no container uses", "only %d inodes left in %s", st.Ffree, e.Storage)
	}
	return fine("%s", text)
}

// checkQuadlet lets Podman's generator read all unit files as at a reload, and
// looks at what it complains about.
func checkQuadlet(ctx context.Context, e *Env) Result {
	a, err := e.Apps()
	if err != nil {
		return warn("", "it can't be judged without the manifests: %v", err)
	}
	path := e.generator("podman-" + e.Scope.String() + "-generator")
	if path == "" {
		return warn("", "it can't be judged without Podman's generator")
	}
	args := []string{"-dryrun"}
	if e.Scope == units.User {
		args = append(args, "-user")
	}
	out, err := e.Exec(ctx, path, args...)
	if _, hasRun := errors.AsType[*exec.ExitError](err); err != nil && !hasRun {
		return warn("", "it can't be judged: %v", err)
	}
	return judgeQuadlet(a.Paths.Units, out.Stderr)
}

// judgeQuadlet judges what the generator wrote. A file that it can't read makes
// it pass over all files of the same directory, whoever's they are.
func judgeQuadlet(dir, complaints string) Result {
	others := fine("it makes a unit of each of them")
	for line := range strings.Lines(complaints) {
		if _, text, ok := strings.Cut(line, "]: "); ok && strings.HasPrefix(line, "quadlet-generator[") {
			line = text
		}
		what, text, _ := strings.Cut(ui.OneLine(line), ` "`)
		file, why, ok := strings.Cut(text, `"`)
		why = strings.TrimLeft(why, ",: ")
		switch {
		case !ok:
		case what == "error loading" && filepath.Dir(file) == dir:
			return problem("mv "+file+" ~/ && archgen apply", "Podman makes no unit of any file in %s, as it can't read one of them: %s: %s", dir, filepath.Base(file), why)
		case what == "error loading":
			others = warn("mv "+file+" ~/", "Podman makes no unit of any file in %s, as it can't read one of them: %s: %s", filepath.Dir(file), filepath.Base(file), why)
		case what == "converting" && units.AppOf(units.ServiceOf(file)) != "":
			return problem(fixRefused(dir, file), "Podman makes no unit of %s: %s", file, why)
		case what == "converting":
			others = warn("", "Podman makes no unit of %s, which is not an app's: %s", file, why)
		}
	}
	return others
}

// fixRefused is the command for a file of ours that Podman refuses: the drop-ins
// of the operator are to blame, or it was written for another Podman.
func fixRefused(dir, file string) string {
	dropIns := filepath.Join(dir, file+".d")
	if _, err := os.Stat(dropIns); err == nil {
		return "mv " + dropIns + " ~/ && archgen apply   # or fix the drop-in there that says so"
	}
	return "archgen apply"
}

// isQuadlet reports whether Podman makes a unit of a file of that name.
func isQuadlet(name string) bool {
	return slices.Contains([]string{".container", ".volume", ".network", ".pod", ".kube", ".image", ".build", ".artifact"}, filepath.Ext(name))
}
