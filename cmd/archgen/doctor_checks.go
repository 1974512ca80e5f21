package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/unitdir"
)

// checks is everything that doctor looks at, in the order in which it is mended:
// what comes later may need what comes before.
var checks = []checkup{
	{name: "podman", what: "the version of Podman", look: checkPodman},
	{name: "generator", what: "Podman's generator", look: checkGenerator},
	{name: "runtime directory", what: "XDG_RUNTIME_DIR", rootless: true, look: checkRuntimeDir},
	{name: "manager", what: "the systemd manager", look: checkManager},
	{name: "lingering", what: "whether apps start at boot", rootless: true, look: checkLingering},
	{name: "user ids", what: "the ids of the user's containers", rootless: true, look: checkSubIDs},
	{name: "pause process", what: "Podman's pause process", rootless: true, look: checkPause},
	{name: "cgroups", what: "control groups", look: checkCgroups},
	{name: "journal", what: "the user's journal", rootless: true, look: checkJournal},
	{name: "disk", what: "the space for images", look: checkDisk},
	{name: "archgen", what: "whether units find archgen", look: checkSelf},
	{name: "manifests", what: "the manifests of the apps", look: checkManifests},
	{name: "unit files", what: "the directory of unit files", look: checkUnitFiles},
	{name: "quadlet", what: "what Podman makes of the unit files", look: checkQuadlet},
	{name: "secrets", what: "how secrets are kept", look: checkSecrets},
	{name: "ports", what: "the ports of the apps", look: checkPorts},
	{name: "healthd", what: "whether healthd runs", look: checkHealthd},
	{name: "stop timeout", what: "how long a shutdown waits for apps", rootless: true, look: checkStopTimeout},
}

func checkPodman(ctx context.Context, _ *patient) finding {
	const mend = "sudo apt install podman   # or: sudo dnf install podman"
	text, err := said(ctx, "podman", "--version")
	if err != nil {
		return problem(mend, "Podman does not run: %v", err)
	}
	return judgePodman(text, mend)
}

// judgePodman judges what podman --version says.
func judgePodman(text, mend string) finding {
	text = strings.TrimPrefix(text, "podman version ")
	v, err := generator.ParseVersion(text)
	switch {
	case err != nil:
		return problem(mend, "%v", err)
	case v == generator.Newest && !strings.HasPrefix(text+".", v.String()+"."):
		return warn("", "%s is newer than %v, the newest that this archgen knows; its units are written for that", text, v)
	}
	return fine("%s", text)
}

func checkGenerator(ctx context.Context, p *patient) finding {
	const mend = "sudo apt install --reinstall podman   # or: sudo dnf reinstall podman"
	name := "podman-" + p.scope.String() + "-generator"
	path := p.generator(name)
	switch target, err := filepath.EvalSymlinks(path); {
	case path == "":
		return problem(mend, "systemd has no %s, so no app gets a unit", name)
	case err != nil:
		return problem(mend, "%s leads nowhere: %v", path, err)
	case target == os.DevNull:
		return problem("sudo rm "+path, "%s is masked, so no app gets a unit", name)
	}
	version, err := said(ctx, path, "-version")
	if err != nil {
		return problem(mend, "%s does not run: %v", path, err)
	}
	return fine("%s, version %s", path, version)
}

// generator is the first file of that name where systemd looks for generators.
func (p *patient) generator(name string) string {
	for _, dir := range []string{"run/systemd", "etc/systemd", "usr/local/lib/systemd", "usr/lib/systemd"} {
		path := filepath.Join(p.root, dir, p.scope.String()+"-generators", name)
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	return ""
}

func checkRuntimeDir(_ context.Context, p *patient) finding {
	const mend = "log in as the user itself: ssh USER@localhost, or: sudo machinectl shell USER@"
	dir := p.getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		return problem(mend, "XDG_RUNTIME_DIR is not set, as after su or sudo: neither systemd nor Podman finds what is the user's")
	}
	info, err := os.Stat(dir)
	if err != nil {
		return problem("sudo loginctl enable-linger "+p.user, "XDG_RUNTIME_DIR: %v", err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	switch {
	case !info.IsDir():
		return problem(mend, "XDG_RUNTIME_DIR=%s is no directory", dir)
	case int(owner) != p.uid:
		return problem(mend, "XDG_RUNTIME_DIR=%s belongs to the user %d, and this is %d", dir, owner, p.uid)
	case info.Mode().Perm()&0o077 != 0:
		return warn("chmod 700 "+dir, "XDG_RUNTIME_DIR=%s is open to others (%v)", dir, info.Mode().Perm())
	}
	return fine("%s", dir)
}

func checkManager(_ context.Context, p *patient) finding {
	if _, err := p.manager(); err != nil {
		mend := ""
		if p.scope == units.User {
			mend = "sudo loginctl enable-linger " + p.user + " && sudo systemctl start user@" + p.uidText() + ".service"
		}
		return problem(mend, "%v", err)
	}
	return fine("the %s manager answers", p.scope)
}

func checkLingering(_ context.Context, p *patient) finding {
	_, err := os.Stat(filepath.Join(p.root, "var/lib/systemd/linger", p.user))
	if err != nil {
		return problem("loginctl enable-linger", "%s does not linger: apps start when the user logs in, and stop when the last session ends", p.user)
	}
	return fine("apps start at boot")
}

// enoughIDs is what an image may use that knows no user above nobody.
const enoughIDs = 65536

func checkSubIDs(_ context.Context, p *patient) finding {
	if _, err := exec.LookPath("newuidmap"); err != nil {
		return problem("sudo apt install uidmap   # or: sudo dnf install shadow-utils-subid", "newuidmap is not installed, so containers have but one user")
	}
	return p.subIDs()
}

func (p *patient) subIDs() finding {
	if nss, err := os.ReadFile(filepath.Join(p.root, "etc/nsswitch.conf")); err == nil && !idsFromFiles(string(nss)) {
		return fine("/etc/nsswitch.conf has a service hand them out")
	}
	mend := "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 " + p.user + " && podman system migrate"
	for _, file := range []string{"etc/subuid", "etc/subgid"} {
		n := p.countIDs(file)
		switch {
		case n == 0:
			return problem(mend, "/%s has no range for %s, so images with more than one user don't run", file, p.user)
		case n < enoughIDs:
			return warn(mend, "/%s has only %d ids for %s; images may use %d", file, n, p.user, enoughIDs)
		}
	}
	return fine("%d of users, %d of groups", p.countIDs("etc/subuid"), p.countIDs("etc/subgid"))
}

// idsFromFiles reports whether ranges of ids stand in /etc/subuid and /etc/subgid.
func idsFromFiles(nsswitch string) bool {
	for line := range strings.Lines(nsswitch) {
		if source, ok := strings.CutPrefix(strings.TrimSpace(line), "subid:"); ok {
			return strings.TrimSpace(source) == "files"
		}
	}
	return true
}

func (p *patient) countIDs(file string) (n int) {
	data, err := os.ReadFile(filepath.Join(p.root, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != p.user && f[0] != p.uidText() {
			continue
		}
		if count, err := strconv.Atoi(f[2]); err == nil {
			n += count
		}
	}
	return n
}

// checkPause looks for what is left when the user's manager was killed: Podman
// finds no process in its user namespace, yet containers that should have one,
// and refuses every command. podman system migrate, which it advises, crashes.
func checkPause(_ context.Context, p *patient) finding {
	dir := p.getenv("XDG_RUNTIME_DIR")
	monitors, err := filepath.Glob(filepath.Join(dir, "containers/overlay-containers/*/userdata/conmon.pid"))
	switch {
	case dir == "" || err != nil || len(monitors) == 0:
		return fine("nothing is left over")
	case p.runs(filepath.Join(dir, "libpod/tmp/pause.pid")), slices.ContainsFunc(monitors, p.runs):
		return fine("it runs")
	}
	return problem(
		"sudo systemctl stop user-runtime-dir@"+p.uidText()+".service && sudo systemctl start user@"+p.uidText()+".service",
		"the user's systemd was killed, and Podman can't find its processes: every command of it fails")
}

// runs reports whether the process of a pid file runs.
func (p *patient) runs(pidFile string) bool {
	data, err := os.ReadFile(pidFile)
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(p.root, "proc", strconv.Itoa(pid)))
	return err == nil
}

func checkCgroups(ctx context.Context, p *patient) finding {
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &st); err != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		return problem("sudo grubby --update-kernel=ALL --remove-args=systemd.unified_cgroup_hierarchy=0   # then reboot; "+
			"without grubby: remove it from GRUB_CMDLINE_LINUX in /etc/default/grub, sudo update-grub",
			"control groups are not of version 2, which rootless Podman and its limits need")
	}
	manager, err := p.manager()
	if err != nil {
		return warn("", "version 2; which controllers there are can't be seen without the manager")
	}
	slice, err := manager.Units(ctx, "-.slice")
	if err != nil {
		return warn("", "version 2; which controllers there are can't be seen: %v", err)
	}
	data, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", slice[0].ControlGroup, "cgroup.controllers"))
	if err != nil {
		return warn("", "version 2; which controllers there are can't be seen: %v", err)
	}
	return judgeControllers(p.scope, strings.Fields(string(data)))
}

// judgeControllers judges the controllers that the manager may use.
func judgeControllers(scope units.Scope, have []string) finding {
	missing := slices.DeleteFunc([]string{"cpu", "memory", "pids"}, func(c string) bool { return slices.Contains(have, c) })
	switch {
	case len(missing) == 0:
		return fine("version 2 with %s", strings.Join(have, ", "))
	case scope == units.System:
		return warn("", "limits of %s have no effect: the kernel has no controllers for them; on a Raspberry Pi "+
			"add cgroup_enable=memory to cmdline.txt", strings.Join(missing, ", "))
	}
	return warn(dropIn("delegate", "Delegate=cpu cpuset io memory pids"),
		"limits of %s have no effect: these controllers are not handed to the user's manager", strings.Join(missing, ", "))
}

// dropIn is the commands that set something for every user's manager.
func dropIn(name, setting string) string {
	file := "/etc/systemd/system/user@.service.d/50-archipelago-" + name + ".conf"
	return "sudo mkdir -p " + filepath.Dir(file) + "\n" +
		`printf '[Service]\n` + setting + `\n' | sudo tee ` + file + "\n" +
		"sudo systemctl daemon-reload"
}

func checkJournal(_ context.Context, p *patient) finding {
	if _, err := os.Stat(filepath.Join(p.root, "var/log/journal")); err != nil {
		return warn("sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald",
			"the journal is not kept on the disk: a user can't read what the apps write, and it is lost at a reboot")
	}
	return fine("it is kept on the disk")
}

// littleSpace is less than a middling image takes while it is pulled.
const littleSpace = 2 << 30

func checkDisk(_ context.Context, p *patient) finding {
	dir := p.storage
	for {
		_, err := os.Stat(dir)
		if err == nil || dir == "/" || dir == "." {
			break
		}
		dir = filepath.Dir(dir)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return warn("", "the space in %s can't be seen: %v", dir, err)
	}
	free := st.Bavail * uint64(st.Bsize)
	text := fmt.Sprintf("%.1f GB free in %s", float64(free)/1e9, p.storage)
	switch {
	case free < littleSpace:
		return warn("podman image prune --all   # removes images that no container uses", "only %s: a pull may fail", text)
	case st.Files > 0 && st.Ffree < 10_000:
		return warn("podman image prune --all   # removes images that no container uses", "only %d inodes left in %s", st.Ffree, p.storage)
	}
	return fine("%s", text)
}

func checkSelf(ctx context.Context, p *patient) finding {
	args := []string{"show-environment"}
	if p.scope == units.User {
		args = append(args, "--user")
	}
	text, err := said(ctx, "systemctl", args...)
	if err != nil {
		return warn("", "the manager's environment can't be seen: %v", err)
	}
	path := searched
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PATH="); ok {
			path = value
		}
	}
	return judgeSelf(path, searched)
}

// searched is where systemd itself looks for a program, whatever PATH says.
const searched = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"

// judgeSelf looks for archgen in the PATH of units, and where systemd itself looks.
func judgeSelf(path, searched string) finding {
	self, err := os.Executable()
	if err != nil {
		self = "archgen"
	}
	mend := "sudo install " + self + " /usr/local/bin/archgen"
	file, bySystemd := find("archgen", path), find("archgen", searched)
	switch {
	case file == "" && bySystemd == "":
		return warn(mend, "units don't find archgen in %s: a start does not wait until the app serves, and an app with configuration files does not start", path)
	case bySystemd == "":
		return warn(mend, "systemd looks for archgen in %s only, and it is in %s: an app with configuration files does not start", searched, filepath.Dir(file))
	case file == "":
		return warn(mend, "units don't find archgen in %s, so a start does not wait until the app serves", path)
	}
	return fine("%s", file)
}

// find looks for a program in a list of directories, and returns its path.
func find(program, path string) string {
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, program)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return ""
}

func checkManifests(_ context.Context, p *patient) finding {
	a, err := p.apps()
	if err != nil {
		return problem("", "%v", err)
	}
	errs, warnings := a.compiled.Diags.Count()
	n := len(a.want.Apps) + len(a.want.Kept)
	switch {
	case errs > 0:
		first := a.compiled.Diags[slices.IndexFunc(a.compiled.Diags, isError)]
		return problem("archgen check", "%s", counted(errs, "error")+"; the first: "+first.String())
	case warnings > 0:
		return warn("archgen check", "%s, %s", counted(n, "app"), counted(warnings, "warning"))
	}
	return fine("%s", counted(n, "app"))
}

func checkUnitFiles(_ context.Context, p *patient) finding {
	a, err := p.apps()
	if err != nil {
		return warn("", "they can't be judged: %v", err)
	}
	store := unitdir.Store{State: a.places.State}
	if a.history, err = store.History(); err != nil {
		return problem("archgen apply", "%v", err)
	}
	return judgeUnitFiles(a)
}

// judgeUnitFiles looks for what archgen did not write or can't read.
func judgeUnitFiles(a appFiles) finding {
	dir := a.places.Units
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fine("%s is not there yet", dir)
	case err != nil:
		return problem("", "%v", err)
	case !info.IsDir():
		return problem("mv "+dir+" "+dir+".old && archgen apply", "%s is no directory", dir)
	case unix.Access(dir, unix.W_OK) != nil:
		return problem("sudo chown -R \"$(id -u):$(id -g)\" "+dir, "%s can't be written to", dir)
	}
	want := slices.Clone(a.want.Shared)
	for _, app := range a.want.Apps {
		want = append(want, app.Files...)
	}
	want.Sort()
	found, ours, err := machine.Files(dir).Look(want)
	if err != nil {
		return problem("sudo chown -R \"$(id -u):$(id -g)\" "+dir, "%v", err)
	}
	maps.DeleteFunc(found, func(_ string, f units.FoundFile) bool {
		return f.State != units.FileForeign && f.State != units.FileOdd && a.keeps(f.App)
	})
	return judgeFound(dir, found, ours)
}

// keeps reports whether an app keeps the files that it has: its manifest has an
// error, or it did not serve with it.
func (a appFiles) keeps(id string) bool {
	return slices.Contains(a.want.Kept, id) ||
		slices.ContainsFunc(a.want.Apps, func(app units.App) bool { return app.ID == id && a.history.RolledBack(app) })
}

func judgeFound(dir string, found map[string]units.FoundFile, ours units.Set) finding {
	for name, f := range found {
		switch f.State {
		case units.FileForeign:
			return problem("mv "+filepath.Join(dir, name)+" ~/ && archgen apply", "%s was not written by archgen, and has the place of a file of %s", name, f.App)
		case units.FileOdd:
			return problem("archgen apply", "%s is no file that can be a unit", name)
		case units.FileMissing, units.FileDiffers, units.FileStale:
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return problem("", "%v", err)
	}
	for _, e := range entries {
		_, isOurs := ours.Find(e.Name())
		if _, isFound := found[e.Name()]; !isOurs && !isFound && isQuadlet(e.Name()) {
			return warn("mv "+filepath.Join(dir, e.Name())+" "+filepath.Dir(dir)+"/", "%s was not written by archgen; Podman reads it all the same", e.Name())
		}
	}
	if len(found) > 0 {
		return warn("archgen apply   # archgen diff shows what that does", "%s not as the manifests say", counted(len(found), "file")+map[bool]string{true: " is", false: " are"}[len(found) == 1])
	}
	return fine("%s in %s", counted(len(ours), "file"), dir)
}

// checkQuadlet lets Podman's generator read all unit files as at a reload, and
// looks at what it complains about.
func checkQuadlet(ctx context.Context, p *patient) finding {
	a, err := p.apps()
	if err != nil {
		return warn("", "it can't be judged without the manifests: %v", err)
	}
	path := p.generator("podman-" + p.scope.String() + "-generator")
	if path == "" {
		return warn("", "it can't be judged without Podman's generator")
	}
	args := []string{"-dryrun"}
	if p.scope == units.User {
		args = append(args, "-user")
	}
	cmd := exec.CommandContext(ctx, path, args...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return warn("", "it can't be judged: %v", err)
	}
	return judgeQuadlet(a.places.Units, complaints.String())
}

// judgeQuadlet judges what the generator wrote. A file that it can't read makes
// it pass over all files of the same directory, whoever's they are.
func judgeQuadlet(dir, complaints string) finding {
	others := fine("it makes a unit of each of them")
	for line := range strings.Lines(complaints) {
		if _, text, ok := strings.Cut(line, "]: "); ok && strings.HasPrefix(line, "quadlet-generator[") {
			line = text
		}
		what, text, _ := strings.Cut(oneLine(line), ` "`)
		file, why, ok := strings.Cut(text, `"`)
		why = strings.TrimLeft(why, ",: ")
		switch {
		case !ok:
		case what == "error loading" && filepath.Dir(file) == dir:
			return problem("mv "+file+" ~/ && archgen apply", "Podman makes no unit of any file in %s, as it can't read one of them: %s: %s", dir, filepath.Base(file), why)
		case what == "error loading":
			others = warn("mv "+file+" ~/", "Podman makes no unit of any file in %s, as it can't read one of them: %s: %s", filepath.Dir(file), filepath.Base(file), why)
		case what == "converting" && units.AppOf(units.ServiceOf(file)) != "":
			return problem(mendRefused(dir, file), "Podman makes no unit of %s: %s", file, why)
		case what == "converting":
			others = warn("", "Podman makes no unit of %s, which is not an app's: %s", file, why)
		}
	}
	return others
}

// mendRefused is the command for a file of ours that Podman refuses: the drop-ins
// of the operator are to blame, or it was written for another Podman.
func mendRefused(dir, file string) string {
	dropIns := filepath.Join(dir, file+".d")
	if _, err := os.Stat(dropIns); err == nil {
		return "mv " + dropIns + " ~/ && archgen apply   # or mend the drop-in there that says so"
	}
	return "archgen apply"
}

// isQuadlet reports whether Podman makes a unit of a file of that name.
func isQuadlet(name string) bool {
	return slices.Contains([]string{".container", ".volume", ".network", ".pod", ".kube", ".image", ".build", ".artifact"}, filepath.Ext(name))
}

func checkSecrets(ctx context.Context, p *patient) finding {
	places, err := machine.PlacesOf(p.scope, p.getenv)
	if err != nil {
		return warn("", "nobody can tell where they are: %v", err)
	}
	store := places.Secrets(p.scope)
	r, err := store.Rotation()
	if err != nil {
		return problem("", "%v", err)
	}
	if r != nil {
		return problem("archgen apply", "the rotation of %s that began on %s has not come to its end", r.Name, r.Began.Local().Format(time.DateTime))
	}
	if err := store.Sealing(ctx); err != nil {
		return warn("", "they are files that nobody else can read, and not encrypted: %v (for a user, systemd 256 and newer can)", err)
	}
	switch open, err := store.Plain(); {
	case err != nil:
		return problem("", "%v", err)
	case len(open) > 0:
		return warn("archgen secret rotate "+open[0], "they are encrypted by systemd-creds, but for those from when that could not be done: %s", strings.Join(open, ", "))
	}
	return fine("they are encrypted by systemd-creds")
}

func checkStopTimeout(ctx context.Context, p *patient) finding {
	a, err := p.apps()
	if err != nil {
		return warn("", "it can't be judged without the manifests: %v", err)
	}
	text, err := said(ctx, "systemctl", "show", "--property=TimeoutStopUSec", "--value", "user@"+p.uidText()+".service")
	if err != nil {
		return warn("", "that of user@%d.service can't be seen: %v", p.uid, err)
	}
	have, limited := span(text)
	if !limited {
		return fine("a shutdown waits for every app")
	}
	return judgeStopTimeout(a.want.Apps, have)
}

// judgeStopTimeout compares the time that the user's manager has with what the
// slowest app may take.
func judgeStopTimeout(apps []units.App, have time.Duration) finding {
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
		return fine("a shutdown waits %v, apps take %v at most", have, longest)
	}
	need := longest + 30*time.Second
	return problem(dropIn("stop", "TimeoutStopSec="+strconv.Itoa(int(need.Seconds()))),
		"a shutdown kills all apps after %v, and %s may take %v to stop: it could lose data", have, slowest, longest)
}

// span reads a time as systemd writes it. It reports false for infinity and for
// what is none.
func span(text string) (time.Duration, bool) {
	d, err := time.ParseDuration(strings.NewReplacer("min", "m", " ", "").Replace(text))
	return d, err == nil
}

func checkPorts(_ context.Context, p *patient) finding {
	a, err := p.apps()
	if err != nil {
		return warn("", "they can't be judged without the manifests: %v", err)
	}
	services, err := p.services()
	if err != nil {
		return warn("", "they can't be judged without the manager: %v", err)
	}
	return p.judgePorts(a.want.Apps, services)
}

// judgePorts looks for ports that an app wants and somebody else has.
func (p *patient) judgePorts(apps []units.App, services map[string]machine.Service) finding {
	taken, n := p.listeners(), 0
	lowest := p.lowestPort()
	for _, app := range apps {
		for _, part := range app.Parts {
			file, _ := app.Files.Find(part.File)
			u := services[part.Service].State
			for _, want := range expand(portsOf(file)) {
				n++
				if int(want.addr.Port()) < lowest {
					return problem("echo net.ipv4.ip_unprivileged_port_start="+strconv.Itoa(int(want.addr.Port()))+
						" | sudo tee /etc/sysctl.d/50-archipelago.conf && sudo sysctl --system",
						"%s wants the port %d, and users may only have those from %d on", app.ID, want.addr.Port(), lowest)
				}
				if u.Active == units.Active {
					continue // else it would not be: the port is its own
				}
				for _, has := range taken {
					if !want.clashes(has) || p.belongs(has, app.ID) {
						continue
					}
					return problem(fmt.Sprintf("sudo ss -lnp --%s 'sport = :%d'   # stop it, or give %s another port in %s.d/ports.yaml",
						want.protocol, want.addr.Port(), app.ID, app.ID),
						"%s wants %s/%s, which %s has", app.ID, want.addr, want.protocol, p.holder(has))
				}
			}
		}
	}
	return fine("%s, none of them somebody else's", counted(n, "port"))
}

// lowestPort is the lowest port that the containers may listen on.
func (p *patient) lowestPort() int {
	if p.scope == units.System || p.uid == 0 {
		return 0
	}
	data, err := os.ReadFile(filepath.Join(p.root, "proc/sys/net/ipv4/ip_unprivileged_port_start"))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return n
}

// listener is a socket that waits for others, or would.
type listener struct {
	protocol string
	addr     netip.AddrPort
	inode    string
}

func (l listener) clashes(o listener) bool {
	a, b := l.addr.Addr(), o.addr.Addr()
	return l.protocol == o.protocol && l.addr.Port() == o.addr.Port() && (a == b || a.IsUnspecified() || b.IsUnspecified())
}

// expand makes a listener of each port of ranges.
func expand(ports []port) []listener {
	var list []listener
	for _, p := range ports {
		address, err := netip.ParseAddr(p.Address)
		first, last, isRange := strings.Cut(p.Host, "-")
		if !isRange {
			last = first
		}
		from, errFrom := strconv.ParseUint(first, 10, 16)
		to, errTo := strconv.ParseUint(last, 10, 16)
		if err != nil || errFrom != nil || errTo != nil {
			continue
		}
		for n := from; n <= to; n++ {
			list = append(list, listener{protocol: p.Protocol, addr: netip.AddrPortFrom(address, uint16(n))})
		}
	}
	return list
}

// listeners reads the sockets of the machine that wait for others.
func (p *patient) listeners() []listener {
	var list []listener
	for _, table := range []struct{ file, protocol, state string }{
		{"tcp", "tcp", "0A"}, {"tcp6", "tcp", "0A"}, {"udp", "udp", "07"}, {"udp6", "udp", "07"},
	} {
		data, err := os.ReadFile(filepath.Join(p.root, "proc/net", table.file))
		if err != nil {
			continue // a kernel without IPv6
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != table.state {
				continue
			}
			if addr, ok := socketAddress(f[1]); ok {
				list = append(list, listener{table.protocol, addr, f[9]})
			}
		}
	}
	return list
}

// socketAddress reads an address of /proc/net/tcp: words of 32 bits in the order
// of the machine, which all that Podman runs on have little end first.
func socketAddress(text string) (netip.AddrPort, bool) {
	host, portText, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(portText, 16, 16)
	if err != nil || len(host)%8 != 0 {
		return netip.AddrPort{}, false
	}
	var raw []byte
	for ; host != ""; host = host[8:] {
		word, err := strconv.ParseUint(host[:8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, false
		}
		raw = append(raw, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}

// belongs reports whether a socket is held by a process of an app: one that is
// just being started.
func (p *patient) belongs(l listener, app string) bool {
	process := p.process(l.inode)
	if process == "" {
		return false
	}
	groups, err := os.ReadFile(filepath.Join(process, "cgroup"))
	return err == nil && (strings.Contains(string(groups), "/app@"+app+".service") || strings.Contains(string(groups), "/app@"+app+"."))
}

// holder is the process that holds a socket, as far as this user may know.
func (p *patient) holder(l listener) string {
	process := p.process(l.inode)
	if process == "" {
		return "another user's process"
	}
	name, err := os.ReadFile(filepath.Join(process, "comm"))
	if err != nil {
		return "process " + filepath.Base(process)
	}
	return oneLine(string(name)) + ", process " + filepath.Base(process) + ","
}

// process is the directory of the process that has a socket open, empty where it
// is another user's.
func (p *patient) process(inode string) string {
	links, err := filepath.Glob(filepath.Join(p.root, "proc/[0-9]*/fd/*"))
	if err != nil {
		return ""
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == "socket:["+inode+"]" {
			return filepath.Dir(filepath.Dir(link))
		}
	}
	return ""
}

func isError(d diag.Diagnostic) bool { return d.Severity == diag.Error }

// counted is a number of things.
func counted(n int, what string) string { return strconv.Itoa(n) + " " + plural(n, what) }
