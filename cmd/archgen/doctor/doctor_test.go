package doctor

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/update"
)

// write writes a file and the directories above it.
func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// onTree is a machine whose files are those of a test.
func onTree(t *testing.T, files map[string]string) *Env {
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
	return &Env{Root: root, UID: 1000, User: "archy", Getenv: getenv, Exec: execute}
}

// expect compares a Result with its Severity and with texts that it must contain.
func expect(t *testing.T, r Result, s Severity, words ...string) {
	t.Helper()
	if r.Severity != s {
		t.Errorf("%s: %s; want %s", r.Severity, r.Detail, s)
	}
	for _, w := range words {
		if text := r.Detail + "\n" + r.Fix; !strings.Contains(text, w) {
			t.Errorf("%q is not in %q", w, text)
		}
	}
}

// A check that hangs is reported as a problem, and the others have their results.
func TestDoctorNeverHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		forever := make(chan struct{})
		defer close(forever)
		list := []check{
			{name: "deaf", about: "the deaf", run: func(context.Context, *Env) Result { <-forever; return Result{} }},
			{name: "quick", run: func(context.Context, *Env) Result { return fine("%d", 1) }},
			{name: "users only", rootless: true, run: func(context.Context, *Env) Result { return fine("") }},
		}
		want := []Result{
			{Name: "deaf", About: "the deaf", Severity: Problem, Detail: "checking the deaf took longer than 50ms"},
			{Name: "quick", Severity: OK, Detail: "1"},
		}
		if d := cmp.Diff(want, run(t.Context(), list, &Env{Scope: units.System}, 50*time.Millisecond)); d != "" {
			t.Errorf("-want +have:\n%s", d)
		}
	})
}

func TestDoctorPodman(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Severity{
		"podman version 5.4.2": OK, "podman version 4.7.0": OK, "podman version 6.0.1": OK, "podman version 6.0.0-dev": OK,
		"podman version 6.1.0": Warning, "podman version 7.0.0": Warning, "podman version 4.6.1": Problem, "what?": Problem,
	} {
		if f := judgePodman(text, ""); f.Severity != want {
			t.Errorf("%s: %s: %s", text, f.Severity, f.Detail)
		}
	}
}

func TestDoctorSystemd(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Severity{
		"systemd 257 (257.13-1)\n+PAM": OK, "systemd 254 (254)": OK, "systemd 252 (252-46.el9)": Warning, "systemd": Warning, "what? 257": Warning, "": Warning,
	} {
		if f := judgeSystemd(text); f.Severity != want {
			t.Errorf("%s: %s: %s", text, f.Severity, f.Detail)
		}
	}
}

func TestDoctorGenerator(t *testing.T) {
	t.Parallel()
	const vendor = "usr/lib/systemd/user-generators/podman-user-generator"
	expect(t, checkGenerator(t.Context(), onTree(t, nil)), Problem, "has no podman-user-generator")

	e := onTree(t, map[string]string{vendor: "#!/bin/sh\necho 5.4.2\n"})
	expect(t, checkGenerator(t.Context(), e), Problem, "does not run", "permission denied")
	if err := os.Chmod(filepath.Join(e.Root, vendor), 0o755); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	expect(t, checkGenerator(t.Context(), e), OK, "version 5.4.2")

	mask := filepath.Join(e.Root, "etc/systemd/user-generators/podman-user-generator")
	write(t, filepath.Join(filepath.Dir(mask), "other"), "")
	if err := os.Symlink("/dev/null", mask); err != nil {
		t.Fatal(err)
	}
	expect(t, checkGenerator(t.Context(), e), Problem, "masked", "sudo rm "+mask)
}

// The error of Podman's generator names the file that must be removed.
func TestDoctorQuadlet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "app@lnd.container.d/mine.conf"), "")
	const loading = "quadlet-generator[7]: Loading source unit file /x/app@lnd.container\n"
	for name, tt := range map[string]struct {
		complaints string
		verdict    Severity
		says       []string
	}{
		"nothing": {loading, OK, nil},
		"a file beside ours": {
			loading + `quadlet-generator[7]: error loading "` + dir + `/mine.container", read ` + dir + "/mine.container: is a directory\n", Problem,
			[]string{"no units of the files in " + dir + ", because it can't read one of them: mine.container: read", "mv " + dir + "/mine.container ~/ && archgen apply"},
		},
		"a file elsewhere": {
			`quadlet-generator[7]: error loading "/etc/x/mine.container", no key` + "\n", Warning,
			[]string{"no units of the files in /etc/x, because it can't read one of them: mine.container: no key"},
		},
		"a drop-in": {
			`quadlet-generator[7]: converting "app@lnd.container": unsupported key 'Colour'` + "\n", Problem,
			[]string{"no unit of app@lnd.container: unsupported key 'Colour'", "mv " + dir + "/app@lnd.container.d ~/ && archgen apply"},
		},
		"the second of two": {
			`quadlet-generator[7]: converting "mine.container": bad` + "\n" + `converting "app@a.db.container": bad` + "\n", Problem,
			[]string{"no unit of app@a.db.container: bad", "archgen apply"},
		},
		"another owner's": {`quadlet-generator[7]: converting "mine.container": bad` + "\n", Warning, []string{"mine.container, which belongs to no app: bad"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, judgeQuadlet(dir, tt.complaints), tt.verdict, tt.says...)
		})
	}
}

func TestDoctorRuntimeDir(t *testing.T) {
	t.Parallel()
	e := onTree(t, map[string]string{"run/user/1000/bus": ""})
	dir := e.Getenv("XDG_RUNTIME_DIR")
	e.UID = os.Getuid()
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory has to be entered
		t.Fatal(err)
	}
	expect(t, checkRuntimeDir(t.Context(), e), OK, dir)
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // that is what is to be found
		t.Fatal(err)
	}
	expect(t, checkRuntimeDir(t.Context(), e), Warning, "chmod 700 "+dir)
	e.UID++
	expect(t, checkRuntimeDir(t.Context(), e), Problem, "belongs to the user")
	e.Getenv = func(string) string { return "" }
	expect(t, checkRuntimeDir(t.Context(), e), Problem, "not set", "machinectl shell")
	e.Getenv = func(string) string { return filepath.Join(dir, "absent") }
	expect(t, checkRuntimeDir(t.Context(), e), Problem, "enable-linger archy")
}

func TestDoctorLingering(t *testing.T) {
	t.Parallel()
	expect(t, checkLingering(t.Context(), onTree(t, nil)), Problem, "loginctl enable-linger")
	expect(t, checkLingering(t.Context(), onTree(t, map[string]string{"var/lib/systemd/linger/archy": ""})), OK)
}

func TestDoctorUserIDs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		files map[string]string
		want  Severity
		words string
	}{
		"none":               {nil, Problem, "/etc/subuid has no range for archy"},
		"another owner's":    {map[string]string{"etc/subuid": "bob:100000:65536\n", "etc/subgid": "bob:100000:65536\n"}, Problem, "--add-subuids"},
		"no groups":          {map[string]string{"etc/subuid": "archy:100000:65536\n"}, Problem, "/etc/subgid"},
		"too few":            {map[string]string{"etc/subuid": "archy:100000:1000\n", "etc/subgid": "archy:100000:65536\n"}, Warning, "only 1000"},
		"by name":            {map[string]string{"etc/subuid": "archy:100000:65536\n", "etc/subgid": "archy:100000:65536\n"}, OK, "65536"},
		"by number, in two":  {map[string]string{"etc/subuid": "1000:1:32768\n1000:99999:32768\n", "etc/subgid": "1000:1:65536\n"}, OK, "65536"},
		"a service has them": {map[string]string{"etc/nsswitch.conf": "passwd: files\nsubid: sss\n"}, OK, "nsswitch"},
		"files, said so":     {map[string]string{"etc/nsswitch.conf": "subid: files\n"}, Problem, "subuid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, onTree(t, tt.files).subIDs(0), tt.want, tt.words)
		})
	}
}

// After the user's manager was killed, the monitors of containers are gone, but their files
// are not.
func TestDoctorPauseProcess(t *testing.T) {
	t.Parallel()
	const pause, monitor = "run/user/1000/libpod/tmp/pause.pid", "run/user/1000/containers/overlay-containers/ab/userdata/conmon.pid"
	for name, tt := range map[string]struct {
		files map[string]string
		want  Severity
	}{
		"nothing ever ran":       {nil, OK},
		"after a clean end":      {map[string]string{pause: "7"}, OK},
		"running":                {map[string]string{pause: "7", monitor: "8", "proc/7/comm": "catatonit", "proc/8/comm": "conmon"}, OK},
		"pause process gone":     {map[string]string{pause: "7", monitor: "8", "proc/8/comm": "conmon"}, OK},
		"all killed":             {map[string]string{pause: "7", monitor: "8"}, Problem},
		"and Podman tried since": {map[string]string{monitor: "8"}, Problem},
		"files cut short":        {map[string]string{pause: "", monitor: ""}, Problem},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := checkPause(t.Context(), onTree(t, tt.files))
			expect(t, f, tt.want)
			if tt.want == Problem {
				expect(t, f, tt.want, "sudo systemctl stop user-runtime-dir@1000.service && sudo systemctl start user@1000.service")
			}
		})
	}
}

func TestDoctorControllers(t *testing.T) {
	t.Parallel()
	expect(t, judgeControllers(units.User, []string{"cpu", "io", "memory", "pids"}), OK)
	expect(t, judgeControllers(units.User, []string{"memory", "pids"}), Warning, "limits of cpu have", "Delegate=cpu cpuset io memory pids")
	expect(t, judgeControllers(units.System, []string{"cpu", "pids"}), Warning, "limits of memory have", "cgroup_enable=memory")
}

func TestDoctorJournal(t *testing.T) {
	t.Parallel()
	expect(t, checkJournal(t.Context(), onTree(t, nil)), Warning, "mkdir -p /var/log/journal")
	expect(t, checkJournal(t.Context(), onTree(t, map[string]string{"var/log/journal/x": ""})), OK)
}

func TestDoctorSelf(t *testing.T) {
	t.Parallel()
	e := onTree(t, map[string]string{"bin/archgen": "", "plain/other": ""})
	e.Self = "/home/archy/archgen"
	const bin, other = "/bin", "/plain"
	expect(t, e.judgeSelf(other+":"+bin, bin), Warning, "sudo install /home/archy/archgen /usr/local/bin/archgen") // no right to run it
	if err := os.Chmod(filepath.Join(e.Root, bin, "archgen"), 0o755); err != nil {                                 //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	expect(t, e.judgeSelf(other+":"+bin, bin), OK, "/bin/archgen")
	expect(t, e.judgeSelf(bin, other), Warning, "systemd looks for archgen in /plain only", "does not start")
	expect(t, e.judgeSelf(other, bin), Warning, "does not wait")
}

func TestDoctorStopTimeout(t *testing.T) {
	t.Parallel()
	apps := func(stop string) []units.App {
		return []units.App{
			{ID: "web", Files: units.Set{{Content: []byte("[Service]\nTimeoutStopSec=1m\n")}}},
			{ID: "knots", Files: units.Set{{Content: []byte("[Service]\nTimeoutStopSec=" + stop + "\n")}}},
		}
	}
	expect(t, judgeStopTimeout(apps("1m30s"), 2*time.Minute), OK, "2m0s", "1m30s")
	expect(t, judgeStopTimeout(apps("10m30s"), 2*time.Minute), Problem, "knots may take 10m30s", `printf '[Service]\nTimeoutStopSec=660\n'`, "user@.service.d")
	expect(t, judgeStopTimeout(apps("2m"), 2*time.Minute), Problem)
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
	e := onTree(t, sockets)
	fd := filepath.Join(e.Root, "proc/42/fd")
	if err := os.Mkdir(fd, 0o755); err != nil { //nolint:gosec // it is gone in a moment
		t.Fatal(err)
	}
	if err := os.Symlink("socket:[111]", filepath.Join(fd, "3")); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		publish string
		active  units.ActiveState
		want    Severity
		words   string
	}{
		"free":                        {"127.0.0.1:18081:80/tcp", units.Inactive, OK, "1 port"},
		"taken":                       {"127.0.0.1:18080:80/tcp", units.Failed, Problem, "web needs 127.0.0.1:18080/tcp, but caddy (process 42) uses it"},
		"taken on one address":        {"0.0.0.0:18080:80/tcp", units.Failed, Problem, "sport = :18080"},
		"its own, since it runs":      {"127.0.0.1:18080:80/tcp", units.Active, OK, ""},
		"on another address":          {"192.168.1.5:18080:80/tcp", units.Failed, OK, ""},
		"all of IPv6, another's":      {"127.0.0.1:8333:80/tcp", units.Inactive, Problem, "another user's process uses it"},
		"only a connection":           {"127.0.0.1:9000:80/tcp", units.Inactive, OK, ""},
		"UDP":                         {"127.0.0.1:5353:53/udp", units.Inactive, Problem, "ss -lnp --udp"},
		"TCP where UDP is taken":      {"127.0.0.1:5353:53/tcp", units.Inactive, OK, ""},
		"within a range":              {"127.0.0.1:18075-18084:80-89/tcp", units.Inactive, Problem, "18080"},
		"lower than a user may":       {"0.0.0.0:443:443/tcp", units.Inactive, Problem, "ip_unprivileged_port_start=443"},
		"lowest that a user may have": {"0.0.0.0:1024:443/tcp", units.Inactive, OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, e.judgePorts(wants(tt.publish), is(tt.active)), tt.want, tt.words)
		})
	}
}

// A starting app already uses its port.
func TestDoctorPortsOfAStart(t *testing.T) {
	t.Parallel()
	e := onTree(t, sockets)
	write(t, filepath.Join(e.Root, "proc/42/cgroup"), "0::/user.slice/user@1000.service/app.slice/app-app.slice/app@web.service/runtime\n")
	if err := os.Mkdir(filepath.Join(e.Root, "proc/42/fd"), 0o755); err != nil { //nolint:gosec // it is gone in a moment
		t.Fatal(err)
	}
	if err := os.Symlink("socket:[111]", filepath.Join(e.Root, "proc/42/fd/3")); err != nil {
		t.Fatal(err)
	}
	l := listener{inode: "111"}
	if !e.belongs(l, "web") || e.belongs(l, "we") || e.belongs(listener{inode: "113"}, "web") {
		t.Error("the socket belongs to web, and to no other app")
	}
}

func TestDoctorUnitFiles(t *testing.T) {
	t.Parallel()
	const text = "[Container]\nImage=x\n\n[X-Archipelago]\nApp=web\nDigest=d\n"
	file := units.File{Name: "app@web.container", App: "web", Digest: "d", Content: []byte(text)}
	look := func(t *testing.T, spoil func(dir string)) Result {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "archipelago")
		write(t, filepath.Join(dir, file.Name), text)
		spoil(dir)
		return judgeUnitFiles(Apps{
			Want:  units.Desired{Apps: []units.App{{ID: "web", Files: units.Set{file}}}},
			Paths: paths.Paths{Units: dir},
		}, nil)
	}
	for name, tt := range map[string]struct {
		spoil func(dir string)
		want  Severity
		words string
	}{
		"right":    {func(string) {}, OK, "1 file"},
		"none yet": {func(dir string) { _ = os.RemoveAll(dir) }, OK, "does not exist yet"},
		"no place": {func(dir string) { _ = os.RemoveAll(dir); write(t, dir, "") }, Problem, "is not a directory"},
		"edited":   {func(dir string) { write(t, filepath.Join(dir, file.Name), text+"\n#") }, Warning, "1 file differs"},
		"foreign":  {func(dir string) { write(t, filepath.Join(dir, file.Name), "[Container]\nImage=y\n") }, Problem, "was not written by archgen"},
		"a guest":  {func(dir string) { write(t, filepath.Join(dir, "mine.container"), "[Container]\n") }, Warning, "mine.container was not written"},
		"no unit":  {func(dir string) { write(t, filepath.Join(dir, "notes.txt"), "") }, OK, "1 file"},
		"in a pipe": {func(dir string) {
			_ = os.Remove(filepath.Join(dir, file.Name))
			_ = syscall.Mkfifo(filepath.Join(dir, file.Name), 0o600)
		}, Problem, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, look(t, tt.spoil), tt.want, tt.words)
		})
	}
}

// The files of an app that was rolled back, or has an invalid manifest, are no finding.
func TestDoctorLeavesKeptFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "app@web.container"), "[Container]\nImage=x\n\n[X-Archipelago]\nApp=web\nDigest=d\n")
	web := units.App{ID: "web", ManifestDigest: "m", Files: units.Set{{Name: "app@web.container", App: "web", Content: []byte("other")}}}
	a := Apps{Want: units.Desired{Apps: []units.App{web}}, Paths: paths.Paths{Units: dir}}
	history := units.History{}
	expect(t, judgeUnitFiles(a, history), Warning, "1 file differs")
	history.RollBack(web)
	expect(t, judgeUnitFiles(a, history), OK, "1 file")
	a.Want = units.Desired{Invalid: []string{"web"}}
	expect(t, judgeUnitFiles(a, nil), OK, "1 file")
}

// An app whose manifest has an error keeps its units. It may still be on a network of an
// older version, which did not isolate apps.
func TestDoctorNetworks(t *testing.T) {
	t.Parallel()
	network := func(app, options string) units.File {
		return units.File{Name: "archipelago-private." + app + ".network", App: app, Content: []byte("[Network]\nNetworkName=x\n" + options)}
	}
	now := network("web", "Options=isolate=strict\n")
	expect(t, judgeNetworks(units.Set{now}), OK, "1 network, isolated from each other")
	expect(t, judgeNetworks(units.Set{now, network("old", "")}), Problem, "other apps can reach every port of old")
}

// If the units are enabled for every user, each user runs the system's apps a second time.
func TestDoctorUsers(t *testing.T) {
	t.Parallel()
	expect(t, checkUsers(t.Context(), onTree(t, nil)), OK)
	enabled := onTree(t, map[string]string{"etc/systemd/user/paths.target.wants/archipelago-reconcile.path": ""})
	expect(t, checkUsers(t.Context(), enabled), Warning, "runs the apps of the system as well", "systemctl --global disable archipelago-reconcile.path")
}

// If healthd does not run, that is a warning with the command that fixes it.
func TestDoctorJudgesHealthd(t *testing.T) {
	t.Parallel()
	unit := func(load, active, file string) systemd.Unit {
		return systemd.Unit{LoadState: load, ActiveState: active, UnitFileState: file}
	}
	expect(t, judgeHealthd(unit("loaded", "active", "enabled"), units.User), OK, "watches")
	expect(t, judgeHealthd(unit("loaded", "active", "disabled"), units.User), Warning, "next boot", "systemctl --user enable --now archipelago-healthd.service")
	expect(t, judgeHealthd(unit("loaded", "inactive", "disabled"), units.System), Warning, "does not run", "\nsystemctl enable --now archipelago-healthd.service")
	expect(t, judgeHealthd(unit("loaded", "inactive", "enabled"), units.User), Warning, "does not run", "systemctl --user enable --now archipelago-healthd.service")
	expect(t, judgeHealthd(unit("loaded", "activating", "enabled"), units.User), Warning, "does not start", "journalctl --user -x ")
	expect(t, judgeHealthd(unit("masked", "inactive", "masked"), units.User), Warning, "masked", "systemctl --user unmask archipelago-healthd.service && ")
	expect(t, judgeHealthd(unit("not-found", "inactive", ""), units.User), Warning, "not installed")
}

// An object that exists keeps its settings, whatever its unit file says now.
func TestDoctorObjects(t *testing.T) {
	t.Parallel()
	e := &Env{Volumes: "/v"}
	files := units.Set{
		{Name: "app@user.container", App: "user", Content: []byte("[Container]\nNetwork=archipelago-shared.page.network\n")},
		{Name: "app@web.container", App: "web", Content: []byte("[Container]\nNetwork=archipelago-private.web.network:alias=main\nNetwork=archipelago-shared.page.network\n")},
		{Name: "archipelago-private.web.network", App: "web", Content: []byte("[Network]\nNetworkName=private.web\nOptions=isolate=strict\nLabel=io.archipelago.app=web\n")},
		{Name: "archipelago-shared.page.network", Content: []byte("[Network]\nNetworkName=shared.page\nOptions=isolate=strict\nLabel=io.archipelago.capability=page\n")},
		{Name: "archipelago-web.cold.volume", App: "web", Content: []byte("[Volume]\nVolumeName=web.cold\nDevice=/srv/cold\nType=none\nOptions=bind\nLabel=io.archipelago.app=web\n")},
		{Name: "archipelago-web.data.volume", App: "web", Content: []byte("[Volume]\nVolumeName=web.data\nLabel=\"tier=$$ a \\\"b\\\"\"\nLabel=io.archipelago.app=web\n")},
		{Name: "archipelago-web.recipe", App: "web", Content: []byte("[Recipe]\nNewVolumes={\"list\":[{\"name\":\"web.data\"}]}\n")},
	}
	app, strict := map[string]string{"io.archipelago.app": "web"}, map[string]string{"isolate": "strict"}
	page := map[string]string{"io.archipelago.capability": "page"}
	data := volume{Name: "web.data", Options: map[string]string{"o": "uid=1,gid=1"}, Labels: map[string]string{"io.archipelago.app": "web", "tier": `$ a "b"`, "more": "x"}}
	cold := volume{Name: "web.cold", Options: map[string]string{"device": "/srv/cold", "type": "none", "o": "bind"}, Labels: app}
	private, shared := podman.Network{Name: "private.web", Options: strict, Labels: app}, podman.Network{Name: "shared.page", Options: strict, Labels: page}
	changed := func(v volume, option, value string) volume {
		v.Options = maps.Clone(v.Options)
		v.Options[option] = value
		return v
	}
	for name, c := range map[string]struct {
		networks []podman.Network
		volumes  []volume
		severity Severity
		says     []string
	}{
		"none":   {nil, nil, OK, []string{"0 objects"}},
		"equal":  {[]podman.Network{private, shared, {Name: "other"}}, []volume{data, cold, {Name: "x"}}, OK, []string{"4 objects, as in the unit files"}},
		"open":   {[]podman.Network{{Name: "private.web", Labels: app}}, nil, Warning, []string{"the network private.web lacks the option isolate=strict", "archgen stop web && podman network rm private.web && archgen start web"}},
		"shared": {[]podman.Network{{Name: "shared.page", Options: strict}, {Name: "private.web"}}, nil, Warning, []string{"1 more differ"}},
		"used by two": {[]podman.Network{{Name: "shared.page", Options: strict}}, nil, Warning, []string{
			"lacks the label io.archipelago.capability=page", "archgen stop user web && podman network rm shared.page && archgen start user web",
		}},
		"no labels": {nil, []volume{{Name: "web.data"}}, Warning, []string{
			`the volume web.data lacks the label tier=$ a "b"`,
			"archgen stop web && mv /v/web.data /v/web.data.kept && podman volume rm web.data && mv /v/web.data.kept /v/web.data && archgen start web",
		}},
		"no labels, and no recipe": {nil, []volume{{Name: "web.cold", Options: cold.Options}}, Warning, []string{
			"mv /v/web.cold.kept /v/web.cold && podman volume create --label=io.archipelago.app=web web.cold && archgen start web",
		}},
		"on this disk": {nil, []volume{{Name: "web.cold", Labels: app}}, Warning, []string{
			`the volume web.cold has the device "", and its unit file sets "/srv/cold"`, "archgen stop web && mv /v/web.cold /v/web.cold.old && podman volume rm web.cold && archgen start web   # its content so far stays in /v/web.cold.old",
		}},
		"on another disk": {nil, []volume{changed(cold, "device", "/srv/old")}, Warning, []string{
			`has the device "/srv/old"`, "\narchgen stop web && podman volume rm web.cold && archgen start web",
		}},
		"mounted in another way": {nil, []volume{changed(cold, "o", "bind,ro")}, Warning, []string{`has the options "bind,ro", and its unit file sets "bind"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, e.judgeObjects(files, c.networks, c.volumes), c.severity, c.says...)
		})
	}
	if got := (&Env{Scope: units.System}).archgen("stop", "web"); got != "archgen stop --system web" {
		t.Errorf("%q", got)
	}
}

// TestBlocks: a volume that keeps its app from starting is reported, and where no update is at work on it, how to
// end that.
func TestBlocks(t *testing.T) {
	t.Parallel()
	e := &Env{Volumes: t.TempDir()}
	files := units.Set{{Name: units.VolumeUnitFile("web", "data"), App: "web"}}
	volumes := []volume{{Name: "foreign"}, {Name: "web.data"}, {Name: "web.other"}}
	none := func(j *update.Journal, err error) Result { return e.judgeBlocks(files, volumes, j, err) }
	expect(t, none(nil, nil), OK)
	for _, v := range volumes {
		write(t, filepath.Join(e.Volumes, v.Name, units.VolumeBlock), "")
	}
	block := filepath.Join(e.Volumes, "web.data", units.VolumeBlock)
	expect(t, none(nil, nil), Problem, block+" keeps what mounts the volume from starting, and no update of web is under way", "rm "+block+" && archgen start web")
	expect(t, none(&update.Journal{App: "db", Volumes: []string{"db.data"}}, nil), Problem, "no update of web")
	expect(t, none(&update.Journal{App: "web", Volumes: []string{"web.data"}}, nil), Warning, "an update of web is under way or was interrupted", "archgen apply")
	expect(t, none(nil, errors.New("damaged")), Problem, "is unknown: damaged")
}
