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

// judgePodman judges the output of podman --version.
func judgePodman(text, fix string) Result {
	text = strings.TrimPrefix(text, "podman version ")
	v, err := generator.ParseVersion(text)
	switch {
	case err != nil:
		return problem(fix, "%v", err)
	case v == generator.Newest && !strings.HasPrefix(text+".", v.String()+"."):
		return warn("", "%s is newer than %v, the newest version that this archgen knows; archgen writes unit files for %[2]v", text, v)
	}
	return fine("%s", text)
}

func checkGenerator(ctx context.Context, e *Env) Result {
	const fix = "sudo apt install --reinstall podman   # or: sudo dnf reinstall podman"
	name := "podman-" + e.Scope.String() + "-generator"
	path := e.generator(name)
	switch target, err := filepath.EvalSymlinks(path); {
	case path == "":
		return problem(fix, "systemd has no %s, so apps have no units", name)
	case err != nil:
		return problem(fix, "%s is a broken link: %v", path, err)
	case target == os.DevNull:
		return problem("sudo rm "+path, "%s is masked, so apps have no units", name)
	}
	version, err := e.said(ctx, path, "-version")
	if err != nil {
		return problem(fix, "%s does not run: %v", path, err)
	}
	return fine("%s, version %s", path, version)
}

// generator is the first file of that name in systemd's directories of generators.
func (e *Env) generator(name string) string {
	for _, dir := range []string{"run/systemd", "etc/systemd", "usr/local/lib/systemd", "usr/lib/systemd"} {
		path := filepath.Join(e.Root, dir, e.Scope.String()+"-generators", name)
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	return ""
}

// checkPause detects what remains after the user's manager was killed: Podman finds
// containers but no process in its user namespace, and refuses every command. podman
// system migrate, which it recommends, crashes.
func checkPause(_ context.Context, e *Env) Result {
	dir := e.Getenv("XDG_RUNTIME_DIR")
	monitors, err := filepath.Glob(filepath.Join(dir, "containers/overlay-containers/*/userdata/conmon.pid"))
	switch {
	case dir == "" || err != nil || len(monitors) == 0:
		return fine("no containers")
	case e.runs(filepath.Join(dir, "libpod/tmp/pause.pid")), slices.ContainsFunc(monitors, e.runs):
		return fine("it runs")
	}
	return problem(
		"sudo systemctl stop user-runtime-dir@"+e.uidText()+".service && sudo systemctl start user@"+e.uidText()+".service",
		"the user's systemd was killed, and Podman can't find its processes: every podman command fails")
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

// littleSpace is less than an average image needs while it is pulled.
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
		return warn("", "reading the free space in %s: %v", dir, err)
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

// checkQuadlet has Podman's generator read all unit files as at a reload, and checks its
// errors.
func checkQuadlet(ctx context.Context, e *Env) Result {
	a, err := e.Apps()
	if err != nil {
		return warn("", "can't be checked without the manifests: %v", err)
	}
	path := e.generator("podman-" + e.Scope.String() + "-generator")
	if path == "" {
		return warn("", "can't be checked without Podman's generator")
	}
	args := []string{"-dryrun"}
	if e.Scope == units.User {
		args = append(args, "-user")
	}
	out, err := e.Exec(ctx, path, args...)
	if _, hasRun := errors.AsType[*exec.ExitError](err); err != nil && !hasRun {
		return warn("", "can't be checked: %v", err)
	}
	return judgeQuadlet(a.Paths.Units, out.Stderr)
}

// judgeQuadlet judges the errors of the generator. If the generator can't read one file, it
// skips all files of the same directory.
func judgeQuadlet(dir, complaints string) Result {
	others := fine("Podman makes a unit of each file")
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
			return problem("mv "+file+" ~/ && archgen apply", "Podman makes no units of the files in %s, because it can't read one of them: %s: %s", dir, filepath.Base(file), why)
		case what == "error loading":
			others = warn("mv "+file+" ~/", "Podman makes no units of the files in %s, because it can't read one of them: %s: %s", filepath.Dir(file), filepath.Base(file), why)
		case what == "converting" && units.AppOf(units.ServiceOf(file)) != "":
			return problem(fixRefused(dir, file), "Podman makes no unit of %s: %s", file, why)
		case what == "converting":
			others = warn("", "Podman makes no unit of %s, which belongs to no app: %s", file, why)
		}
	}
	return others
}

// fixRefused is the command for one of our files that Podman refuses: a drop-in of the
// operator is wrong, or the file was written for another version of Podman.
func fixRefused(dir, file string) string {
	dropIns := filepath.Join(dir, file+".d")
	if _, err := os.Stat(dropIns); err == nil {
		return "mv " + dropIns + " ~/ && archgen apply   # or fix the drop-in that causes it"
	}
	return "archgen apply"
}

// isQuadlet reports whether Podman makes a unit of a file of that name.
func isQuadlet(name string) bool {
	return slices.Contains([]string{".container", ".volume", ".network", ".pod", ".kube", ".image", ".build", ".artifact"}, filepath.Ext(name))
}
