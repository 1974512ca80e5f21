package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/systemd"
)

// onTree is a patient whose files are those of a test.
func onTree(t *testing.T, files map[string]string) *patient {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(root, name), text)
	}
	getenv := func(name string) string {
		if name == "XDG_RUNTIME_DIR" {
			return filepath.Join(root, "run/user/1000")
		}
		return ""
	}
	return &patient{root: root, uid: 1000, user: "archy", getenv: getenv}
}

// expect compares a finding with its grade and with words that it has to say.
func expect(t *testing.T, f finding, g grade, words ...string) {
	t.Helper()
	if f.Verdict != g {
		t.Errorf("%s: %s; want %s", f.Verdict, f.Detail, g)
	}
	for _, w := range words {
		if text := f.Detail + "\n" + f.Mend; !strings.Contains(text, w) {
			t.Errorf("%q is not in %q", w, text)
		}
	}
}

// A check that hangs is left behind, and the others are there all the same.
func TestDoctorNeverHangs(t *testing.T) {
	t.Parallel()
	forever := make(chan struct{})
	defer close(forever)
	list := []checkup{
		{name: "deaf", what: "the deaf", look: func(context.Context, *patient) finding { <-forever; return finding{} }},
		{name: "quick", look: func(context.Context, *patient) finding { return fine("%d", 1) }},
		{name: "users only", rootless: true, look: func(context.Context, *patient) finding { return fine("") }},
	}
	found := examine(t.Context(), list, &patient{scope: units.System}, 50*time.Millisecond)
	want := []diagnosis{
		{"deaf", "the deaf", finding{Verdict: isProblem, Detail: "no answer about the deaf within 50ms"}},
		{"quick", "", finding{Verdict: isOK, Detail: "1"}},
	}
	if d := cmp.Diff(want, found, cmp.AllowUnexported(diagnosis{})); d != "" {
		t.Errorf("-want +have:\n%s", d)
	}
}

func TestDoctorPrints(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &cli{stdout: &out}
	c.printDiagnoses([]diagnosis{{Name: "podman", finding: fine("5.4.2")}, {Name: "user ids", finding: problem("do this\nthen that", "none")}})
	const want = `ok       podman    5.4.2
problem  user ids  none
         do this
         then that
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

func TestDoctorPodman(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]grade{
		"podman version 5.4.2": isOK, "podman version 4.7.0": isOK, "podman version 6.0.1": isOK, "podman version 6.0.0-dev": isOK,
		"podman version 6.1.0": isWarning, "podman version 7.0.0": isWarning, "podman version 4.6.1": isProblem, "what?": isProblem,
	} {
		if f := judgePodman(text, ""); f.Verdict != want {
			t.Errorf("%s: %s: %s", text, f.Verdict, f.Detail)
		}
	}
}

func TestDoctorGenerator(t *testing.T) {
	t.Parallel()
	const vendor = "usr/lib/systemd/user-generators/podman-user-generator"
	expect(t, checkGenerator(t.Context(), onTree(t, nil)), isProblem, "has no podman-user-generator")

	p := onTree(t, map[string]string{vendor: "#!/bin/sh\necho 5.4.2\n"})
	expect(t, checkGenerator(t.Context(), p), isProblem, "does not run", "permission denied")
	if err := os.Chmod(filepath.Join(p.root, vendor), 0o755); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	expect(t, checkGenerator(t.Context(), p), isOK, "version 5.4.2")

	mask := filepath.Join(p.root, "etc/systemd/user-generators/podman-user-generator")
	write(t, filepath.Join(filepath.Dir(mask), "other"), "")
	if err := os.Symlink("/dev/null", mask); err != nil {
		t.Fatal(err)
	}
	expect(t, checkGenerator(t.Context(), p), isProblem, "masked", "sudo rm "+mask)
}

// What Podman's generator complains about names the file that has to go.
func TestDoctorQuadlet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "app@lnd.container.d/mine.conf"), "")
	const loading = "quadlet-generator[7]: Loading source unit file /x/app@lnd.container\n"
	for name, tt := range map[string]struct {
		complaints string
		verdict    grade
		says       []string
	}{
		"nothing": {loading, isOK, nil},
		"a file beside ours": {
			loading + `quadlet-generator[7]: error loading "` + dir + `/mine.container", read ` + dir + "/mine.container: is a directory\n", isProblem,
			[]string{"no unit of any file in " + dir + ", as it can't read one of them: mine.container: read", "mv " + dir + "/mine.container ~/ && archgen apply"},
		},
		"a file elsewhere": {
			`quadlet-generator[7]: error loading "/etc/x/mine.container", no key` + "\n", isWarning,
			[]string{"no unit of any file in /etc/x, as it can't read one of them: mine.container: no key"},
		},
		"a drop-in": {
			`quadlet-generator[7]: converting "app@lnd.container": unsupported key 'Colour'` + "\n", isProblem,
			[]string{"no unit of app@lnd.container: unsupported key 'Colour'", "mv " + dir + "/app@lnd.container.d ~/ && archgen apply"},
		},
		"the second of two": {
			`quadlet-generator[7]: converting "mine.container": bad` + "\n" + `converting "app@a.db.container": bad` + "\n", isProblem,
			[]string{"no unit of app@a.db.container: bad", "archgen apply"},
		},
		"somebody else's": {`quadlet-generator[7]: converting "mine.container": bad` + "\n", isWarning, []string{"mine.container, which is not an app's: bad"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, judgeQuadlet(dir, tt.complaints), tt.verdict, tt.says...)
		})
	}
}

func TestDoctorRuntimeDir(t *testing.T) {
	t.Parallel()
	p := onTree(t, map[string]string{"run/user/1000/bus": ""})
	dir := p.getenv("XDG_RUNTIME_DIR")
	p.uid = os.Getuid()
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory has to be entered
		t.Fatal(err)
	}
	expect(t, checkRuntimeDir(t.Context(), p), isOK, dir)
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // that is what is to be found
		t.Fatal(err)
	}
	expect(t, checkRuntimeDir(t.Context(), p), isWarning, "chmod 700 "+dir)
	p.uid++
	expect(t, checkRuntimeDir(t.Context(), p), isProblem, "belongs to the user")
	p.getenv = func(string) string { return "" }
	expect(t, checkRuntimeDir(t.Context(), p), isProblem, "not set", "machinectl shell")
	p.getenv = func(string) string { return filepath.Join(dir, "absent") }
	expect(t, checkRuntimeDir(t.Context(), p), isProblem, "enable-linger archy")
}

func TestDoctorLingering(t *testing.T) {
	t.Parallel()
	expect(t, checkLingering(t.Context(), onTree(t, nil)), isProblem, "loginctl enable-linger")
	expect(t, checkLingering(t.Context(), onTree(t, map[string]string{"var/lib/systemd/linger/archy": ""})), isOK)
}

func TestDoctorUserIDs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		files map[string]string
		want  grade
		words string
	}{
		"none":               {nil, isProblem, "/etc/subuid has no range for archy"},
		"somebody else's":    {map[string]string{"etc/subuid": "bob:100000:65536\n", "etc/subgid": "bob:100000:65536\n"}, isProblem, "--add-subuids"},
		"no groups":          {map[string]string{"etc/subuid": "archy:100000:65536\n"}, isProblem, "/etc/subgid"},
		"too few":            {map[string]string{"etc/subuid": "archy:100000:1000\n", "etc/subgid": "archy:100000:65536\n"}, isWarning, "only 1000"},
		"by name":            {map[string]string{"etc/subuid": "archy:100000:65536\n", "etc/subgid": "archy:100000:65536\n"}, isOK, "65536"},
		"by number, in two":  {map[string]string{"etc/subuid": "1000:1:32768\n1000:99999:32768\n", "etc/subgid": "1000:1:65536\n"}, isOK, "65536"},
		"a service has them": {map[string]string{"etc/nsswitch.conf": "passwd: files\nsubid: sss\n"}, isOK, "nsswitch"},
		"files, said so":     {map[string]string{"etc/nsswitch.conf": "subid: files\n"}, isProblem, "subuid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, onTree(t, tt.files).subIDs(), tt.want, tt.words)
		})
	}
}

// After the user's manager was killed the monitors of containers are gone, and
// their files are not.
func TestDoctorPauseProcess(t *testing.T) {
	t.Parallel()
	const pause, monitor = "run/user/1000/libpod/tmp/pause.pid", "run/user/1000/containers/overlay-containers/ab/userdata/conmon.pid"
	for name, tt := range map[string]struct {
		files map[string]string
		want  grade
	}{
		"nothing ever ran":       {nil, isOK},
		"after a clean end":      {map[string]string{pause: "7"}, isOK},
		"running":                {map[string]string{pause: "7", monitor: "8", "proc/7/comm": "catatonit", "proc/8/comm": "conmon"}, isOK},
		"pause process gone":     {map[string]string{pause: "7", monitor: "8", "proc/8/comm": "conmon"}, isOK},
		"all killed":             {map[string]string{pause: "7", monitor: "8"}, isProblem},
		"and Podman tried since": {map[string]string{monitor: "8"}, isProblem},
		"files cut short":        {map[string]string{pause: "", monitor: ""}, isProblem},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := checkPause(t.Context(), onTree(t, tt.files))
			expect(t, f, tt.want)
			if tt.want == isProblem {
				expect(t, f, tt.want, "sudo systemctl stop user-runtime-dir@1000.service && sudo systemctl start user@1000.service")
			}
		})
	}
}

func TestDoctorControllers(t *testing.T) {
	t.Parallel()
	expect(t, judgeControllers(units.User, []string{"cpu", "io", "memory", "pids"}), isOK)
	expect(t, judgeControllers(units.User, []string{"memory", "pids"}), isWarning, "limits of cpu have", "Delegate=cpu cpuset io memory pids")
	expect(t, judgeControllers(units.System, []string{"cpu", "pids"}), isWarning, "limits of memory have", "cgroup_enable=memory")
}

func TestDoctorJournal(t *testing.T) {
	t.Parallel()
	expect(t, checkJournal(t.Context(), onTree(t, nil)), isWarning, "mkdir -p /var/log/journal")
	expect(t, checkJournal(t.Context(), onTree(t, map[string]string{"var/log/journal/x": ""})), isOK)
}

func TestDoctorSelf(t *testing.T) {
	t.Parallel()
	p := onTree(t, map[string]string{"bin/archgen": "", "plain/other": ""})
	bin, other := filepath.Join(p.root, "bin"), filepath.Join(p.root, "plain")
	expect(t, judgeSelf(other+":"+bin, bin), isWarning, "sudo install ", "/usr/local/bin/archgen") // no right to run it
	if err := os.Chmod(filepath.Join(bin, "archgen"), 0o755); err != nil {                         //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	expect(t, judgeSelf(other+":"+bin, bin), isOK, filepath.Join(bin, "archgen"))
	expect(t, judgeSelf(bin, other), isWarning, "systemd looks for archgen in "+other+" only", "does not start")
	expect(t, judgeSelf(other, bin), isWarning, "does not wait")
}

func TestDoctorStopTimeout(t *testing.T) {
	t.Parallel()
	apps := func(stop string) []units.App {
		return []units.App{
			{ID: "web", Files: units.Set{{Content: []byte("[Service]\nTimeoutStopSec=1m\n")}}},
			{ID: "knots", Files: units.Set{{Content: []byte("[Service]\nTimeoutStopSec=" + stop + "\n")}}},
		}
	}
	expect(t, judgeStopTimeout(apps("1m30s"), 2*time.Minute), isOK, "2m0s", "1m30s")
	expect(t, judgeStopTimeout(apps("10m30s"), 2*time.Minute), isProblem, "knots may take 10m30s", `printf '[Service]\nTimeoutStopSec=660\n'`, "user@.service.d")
	expect(t, judgeStopTimeout(apps("2m"), 2*time.Minute), isProblem)
}

func TestDoctorReadsTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"2min": 2 * time.Minute, "1min 30s": 90 * time.Second, "1h 5min": 65 * time.Minute, "45s": 45 * time.Second, "500ms": 500 * time.Millisecond} {
		if got, ok := span(text); !ok || got != want {
			t.Errorf("%s: %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"infinity", "", "soon"} {
		if got, ok := span(text); ok {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// The sockets of a machine: 127.0.0.1:18080 and [::]:8333 listen, as does
// udp 0.0.0.0:5353; 127.0.0.1:9000 is a connection.
var sockets = map[string]string{
	"proc/net/tcp": "  sl  local_address rem_address   st\n" +
		"   0: 0100007F:46A0 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1\n" +
		"   1: 0100007F:2328 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 112 1\n",
	"proc/net/tcp6": "  sl  local_address rem_address   st\n" +
		"   0: 00000000000000000000000000000000:208D 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 113 1\n",
	"proc/net/udp":   "   0: 00000000:14E9 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 114 1\n",
	"proc/42/comm":   "caddy\n",
	"proc/42/cgroup": "0::/user.slice/user-1000.slice/session-1.scope\n",
	"proc/sys/net/ipv4/ip_unprivileged_port_start": "1024\n",
}

func TestDoctorPorts(t *testing.T) {
	t.Parallel()
	wants := func(publish string) []units.App {
		file := units.File{Name: "app@web.container", Content: []byte("[Container]\nPublishPort=" + publish + "\n")}
		return []units.App{{ID: "web", Files: units.Set{file}, Parts: []units.Part{{Service: "app@web.service", File: file.Name}}}}
	}
	is := func(active units.ActiveState) map[string]machine.Service {
		return map[string]machine.Service{"app@web.service": {State: units.Unit{Active: active}}}
	}
	p := onTree(t, sockets)
	fd := filepath.Join(p.root, "proc/42/fd")
	if err := os.Mkdir(fd, 0o755); err != nil { //nolint:gosec // it is gone in a moment
		t.Fatal(err)
	}
	if err := os.Symlink("socket:[111]", filepath.Join(fd, "3")); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		publish string
		active  units.ActiveState
		want    grade
		words   string
	}{
		"free":                        {"127.0.0.1:18081:80/tcp", units.Inactive, isOK, "1 port"},
		"taken":                       {"127.0.0.1:18080:80/tcp", units.Failed, isProblem, "web wants 127.0.0.1:18080/tcp, which caddy, process 42, has"},
		"taken on one address":        {"0.0.0.0:18080:80/tcp", units.Failed, isProblem, "sport = :18080"},
		"its own, since it runs":      {"127.0.0.1:18080:80/tcp", units.Active, isOK, ""},
		"on another address":          {"192.168.1.5:18080:80/tcp", units.Failed, isOK, ""},
		"all of IPv6, another's":      {"127.0.0.1:8333:80/tcp", units.Inactive, isProblem, "which another user's process has"},
		"only a connection":           {"127.0.0.1:9000:80/tcp", units.Inactive, isOK, ""},
		"UDP":                         {"127.0.0.1:5353:53/udp", units.Inactive, isProblem, "ss -lnp --udp"},
		"TCP where UDP is taken":      {"127.0.0.1:5353:53/tcp", units.Inactive, isOK, ""},
		"within a range":              {"127.0.0.1:18075-18084:80-89/tcp", units.Inactive, isProblem, "18080"},
		"lower than a user may":       {"0.0.0.0:443:443/tcp", units.Inactive, isProblem, "ip_unprivileged_port_start=443"},
		"lowest that a user may have": {"0.0.0.0:1024:443/tcp", units.Inactive, isOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, p.judgePorts(wants(tt.publish), is(tt.active)), tt.want, tt.words)
		})
	}
}

// An app that is being started has its port already.
func TestDoctorPortsOfAStart(t *testing.T) {
	t.Parallel()
	p := onTree(t, sockets)
	write(t, filepath.Join(p.root, "proc/42/cgroup"), "0::/user.slice/user@1000.service/app.slice/app-app.slice/app@web.service/runtime\n")
	if err := os.Mkdir(filepath.Join(p.root, "proc/42/fd"), 0o755); err != nil { //nolint:gosec // it is gone in a moment
		t.Fatal(err)
	}
	if err := os.Symlink("socket:[111]", filepath.Join(p.root, "proc/42/fd/3")); err != nil {
		t.Fatal(err)
	}
	l := listener{inode: "111"}
	if !p.belongs(l, "web") || p.belongs(l, "we") || p.belongs(listener{inode: "113"}, "web") {
		t.Error("the socket is web's, and nobody else's")
	}
}

func TestDoctorUnitFiles(t *testing.T) {
	t.Parallel()
	const text = "[Container]\nImage=x\n\n[X-Archipelago]\nApp=web\nDigest=d\n"
	file := units.File{Name: "app@web.container", App: "web", Digest: "d", Content: []byte(text)}
	look := func(t *testing.T, spoil func(dir string)) finding {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "archipelago")
		write(t, filepath.Join(dir, file.Name), text)
		spoil(dir)
		return judgeUnitFiles(appFiles{
			want:   units.Desired{Apps: []units.App{{ID: "web", Files: units.Set{file}}}},
			places: paths.Paths{Units: dir},
		})
	}
	for name, tt := range map[string]struct {
		spoil func(dir string)
		want  grade
		words string
	}{
		"right":    {func(string) {}, isOK, "1 file"},
		"none yet": {func(dir string) { _ = os.RemoveAll(dir) }, isOK, "not there yet"},
		"no place": {func(dir string) { _ = os.RemoveAll(dir); write(t, dir, "") }, isProblem, "no directory"},
		"edited":   {func(dir string) { write(t, filepath.Join(dir, file.Name), text+"\n#") }, isWarning, "1 file is not"},
		"foreign":  {func(dir string) { write(t, filepath.Join(dir, file.Name), "[Container]\nImage=y\n") }, isProblem, "was not written by archgen"},
		"a guest":  {func(dir string) { write(t, filepath.Join(dir, "mine.container"), "[Container]\n") }, isWarning, "mine.container was not written"},
		"no unit":  {func(dir string) { write(t, filepath.Join(dir, "notes.txt"), "") }, isOK, "1 file"},
		"in a pipe": {func(dir string) {
			_ = os.Remove(filepath.Join(dir, file.Name))
			_ = syscall.Mkfifo(filepath.Join(dir, file.Name), 0o600)
		}, isProblem, "no file that can be a unit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, look(t, tt.spoil), tt.want, tt.words)
		})
	}
}

// The files of an app that was rolled back, or has a broken manifest, are right as
// they are.
func TestDoctorLeavesKeptFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "app@web.container"), "[Container]\nImage=x\n\n[X-Archipelago]\nApp=web\nDigest=d\n")
	web := units.App{ID: "web", ManifestDigest: "m", Files: units.Set{{Name: "app@web.container", App: "web", Content: []byte("other")}}}
	a := appFiles{want: units.Desired{Apps: []units.App{web}}, places: paths.Paths{Units: dir}, history: units.History{}}
	expect(t, judgeUnitFiles(a), isWarning, "1 file is not")
	a.history.RollBack(web)
	expect(t, judgeUnitFiles(a), isOK, "1 file")
	a = appFiles{want: units.Desired{Kept: []string{"web"}}, places: a.places}
	expect(t, judgeUnitFiles(a), isOK, "1 file")
}

// An app whose manifest has an error stays as it last was. It may still be on a network of
// an older version, which did not isolate apps.
func TestDoctorNetworks(t *testing.T) {
	t.Parallel()
	network := func(app, options string) units.File {
		return units.File{Name: "archipelago-private." + app + ".network", App: app, Content: []byte("[Network]\nNetworkName=x\n" + options)}
	}
	now := network("web", "Options=isolate=strict\n")
	expect(t, judgeNetworks(units.Set{now}), isOK, "1 network, each kept from the others")
	expect(t, judgeNetworks(units.Set{now, network("old", "")}), isProblem, "other apps reach every port of old")
}

// Users whose units are enabled run the system's apps a second time.
func TestDoctorUsers(t *testing.T) {
	t.Parallel()
	expect(t, checkUsers(t.Context(), onTree(t, nil)), isOK)
	enabled := onTree(t, map[string]string{"etc/systemd/user/paths.target.wants/archipelago-reconcile.path": ""})
	expect(t, checkUsers(t.Context(), enabled), isWarning, "run the apps of the system as well", "systemctl --global disable archipelago-reconcile.path")
}

// healthd that does not watch is a warning, with the command that mends it.
func TestDoctorJudgesHealthd(t *testing.T) {
	t.Parallel()
	unit := func(load, active, file string) systemd.Unit {
		return systemd.Unit{LoadState: load, ActiveState: active, UnitFileState: file}
	}
	expect(t, judgeHealthd(unit("loaded", "active", "enabled"), units.User), isOK, "watches")
	expect(t, judgeHealthd(unit("loaded", "active", "disabled"), units.User), isWarning, "next boot", "systemctl --user enable --now archipelago-healthd.service")
	expect(t, judgeHealthd(unit("loaded", "inactive", "disabled"), units.System), isWarning, "does not run", "\nsystemctl enable --now archipelago-healthd.service")
	expect(t, judgeHealthd(unit("loaded", "inactive", "enabled"), units.User), isWarning, "does not run", "systemctl --user enable --now archipelago-healthd.service")
	expect(t, judgeHealthd(unit("loaded", "activating", "enabled"), units.User), isWarning, "come up", "journalctl --user -x ")
	expect(t, judgeHealthd(unit("masked", "inactive", "masked"), units.User), isWarning, "masked", "systemctl --user unmask archipelago-healthd.service && ")
	expect(t, judgeHealthd(unit("not-found", "inactive", ""), units.User), isWarning, "not installed")
}
