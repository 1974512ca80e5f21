package doctor

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/units"
)

func checkSystemd(ctx context.Context, e *Env) Result {
	text, err := e.said(ctx, "systemctl", "--version")
	if err != nil {
		return warn("", "the version is unknown: %v", err)
	}
	return judgeSystemd(text)
}

// judgeSystemd judges the output of systemctl --version.
func judgeSystemd(text string) Result {
	const growing = 254 // knows RestartSteps=
	words := append(strings.Fields(text), "", "")
	version, err := strconv.Atoi(words[1])
	switch {
	case words[0] != "systemd" || err != nil:
		return warn("", "the version is unknown: systemctl printed %q", ui.OneLine(text))
	case version < growing:
		return warn("", "%d does not increase the delay between restarts, which systemd %d does: an app that crashes repeatedly starts several times a second; "+
			"set restart.delay of each app to 5s", version, growing)
	}
	return fine("%d", version)
}

func checkManager(_ context.Context, e *Env) Result {
	if _, err := e.Manager(); err != nil {
		fix := ""
		if e.Scope == units.User {
			fix = "sudo loginctl enable-linger " + e.User + " && sudo systemctl start user@" + e.uidText() + ".service"
		}
		return problem(fix, "%v", err)
	}
	return fine("the %s manager answers", e.Scope)
}

func checkCgroups(ctx context.Context, e *Env) Result {
	root := filepath.Join(e.Root, "sys/fs/cgroup")
	if st, err := e.Statfs(root); err != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		return problem("sudo grubby --update-kernel=ALL --remove-args=systemd.unified_cgroup_hierarchy=0   # then reboot; "+
			"without grubby: remove it from GRUB_CMDLINE_LINUX in /etc/default/grub, sudo update-grub",
			"control groups are not version 2; rootless Podman and its limits need version 2")
	}
	manager, err := e.Manager()
	if err != nil {
		return warn("", "version 2; the controllers are unknown without the manager")
	}
	slice, err := manager.Units(ctx, "-.slice")
	if err != nil {
		return warn("", "version 2; the controllers are unknown: %v", err)
	}
	data, err := os.ReadFile(filepath.Join(root, slice[0].ControlGroup, "cgroup.controllers"))
	if err != nil {
		return warn("", "version 2; the controllers are unknown: %v", err)
	}
	return judgeControllers(e.Scope, strings.Fields(string(data)))
}

// judgeControllers judges the controllers that the manager may use.
func judgeControllers(scope units.Scope, have []string) Result {
	missing := slices.DeleteFunc([]string{"cpu", "memory", "pids"}, func(c string) bool { return slices.Contains(have, c) })
	switch {
	case len(missing) == 0:
		return fine("version 2 with %s", strings.Join(have, ", "))
	case scope == units.System:
		return warn("", "limits of %s have no effect: the kernel lacks these controllers; on a Raspberry Pi "+
			"add cgroup_enable=memory to cmdline.txt", strings.Join(missing, ", "))
	}
	return warn(dropIn("delegate", "Delegate=cpu cpuset io memory pids"),
		"limits of %s have no effect: these controllers are not delegated to the user's manager", strings.Join(missing, ", "))
}

// dropIn is the commands that set an option of every user's manager.
func dropIn(name, setting string) string {
	file := "/etc/systemd/system/user@.service.d/50-archipelago-" + name + ".conf"
	return "sudo mkdir -p " + filepath.Dir(file) + "\n" +
		`printf '[Service]\n` + setting + `\n' | sudo tee ` + file + "\n" +
		"sudo systemctl daemon-reload"
}

func checkJournal(_ context.Context, e *Env) Result {
	if _, err := os.Stat(filepath.Join(e.Root, "var/log/journal")); err != nil {
		return warn("sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald",
			"the journal is not stored on disk: a user can't read the logs of the apps, and a reboot deletes them")
	}
	return fine("it is stored on disk")
}

func checkSelf(ctx context.Context, e *Env) Result {
	args := []string{"show-environment"}
	if e.Scope == units.User {
		args = append(args, "--user")
	}
	text, err := e.said(ctx, "systemctl", args...)
	if err != nil {
		return warn("", "reading the manager's environment: %v", err)
	}
	path := searched
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PATH="); ok {
			path = value
		}
	}
	return e.judgeSelf(path, searched)
}

// searched is the directories in which systemd itself looks for a program; it ignores PATH.
const searched = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"

// judgeSelf looks for archgen in the PATH of units, and in the directories of systemd.
func (e *Env) judgeSelf(path, searched string) Result {
	fix := "sudo install " + e.Self + " /usr/local/bin/archgen"
	file, bySystemd := e.find("archgen", path), e.find("archgen", searched)
	switch {
	case file == "" && bySystemd == "":
		return warn(fix, "units can't find archgen in %s: a start does not wait until the app serves, and an app with configuration files does not start", path)
	case bySystemd == "":
		return warn(fix, "systemd looks for archgen in %s only, but it is in %s: an app with configuration files does not start", searched, filepath.Dir(file))
	case file == "":
		return warn(fix, "units can't find archgen in %s, so a start does not wait until the app serves", path)
	}
	return fine("%s", file)
}

// find looks for a program in a list of directories, and returns its path.
func (e *Env) find(program, path string) string {
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, program)
		if info, err := os.Stat(filepath.Join(e.Root, file)); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return ""
}

func checkStopTimeout(ctx context.Context, e *Env) Result {
	a, err := e.Apps()
	if err != nil {
		return warn("", "can't be checked without the manifests: %v", err)
	}
	text, err := e.said(ctx, "systemctl", "show", "--property=TimeoutStopUSec", "--value", "user@"+e.uidText()+".service")
	if err != nil {
		return warn("", "reading the stop timeout of user@%d.service: %v", e.UID, err)
	}
	have, limited := span(text)
	if !limited {
		return fine("a shutdown waits for every app")
	}
	return judgeStopTimeout(a.Want.Apps, have)
}

// judgeStopTimeout compares the stop timeout of the user's manager with that of the slowest
// app.
func judgeStopTimeout(apps []units.App, have time.Duration) Result {
	var longest time.Duration
	var slowest string
	for _, app := range apps {
		for _, f := range app.Files {
			for line := range strings.Lines(string(f.Content)) {
				text, _ := strings.CutPrefix(strings.TrimSpace(line), "TimeoutStopSec=")
				if d, ok := span(text); ok && d > longest {
					longest, slowest = d, app.ID
				}
			}
		}
	}
	if longest < have {
		return fine("a shutdown waits %v; apps take at most %v", have, longest)
	}
	need := longest + 30*time.Second
	return problem(dropIn("stop", "TimeoutStopSec="+strconv.Itoa(int(need.Seconds()))),
		"a shutdown kills all apps after %v, but %s may take %v to stop: it could lose data", have, slowest, longest)
}

// span reads a time span in systemd's format. It reports false for infinity and for other
// text.
func span(text string) (time.Duration, bool) {
	d, err := time.ParseDuration(strings.NewReplacer("min", "m", " ", "").Replace(text))
	return d, err == nil
}
