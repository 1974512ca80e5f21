package doctor

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/limits"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/paths"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/secret"
	"github.com/archipelago-os/archipelago/units/status"
	"github.com/archipelago-os/archipelago/units/systemd"
)

var errGone = errors.New("it is gone")

// fakeManager knows the units by their names.
type fakeManager map[string]systemd.Unit

func (m fakeManager) Units(_ context.Context, names ...string) ([]systemd.Unit, error) {
	list := make([]systemd.Unit, 0, len(names))
	for _, name := range names {
		u, known := m[name]
		if !known {
			return nil, errGone
		}
		list = append(list, u)
	}
	return list, nil
}

// fakeSecrets is the answers of a store of secrets.
type fakeSecrets struct {
	rotation                   *secret.Rotation
	plain                      []string
	broken, unsealed, unlisted error
}

func (s *fakeSecrets) Rotation() (*secret.Rotation, error) { return s.rotation, s.broken }
func (s *fakeSecrets) Sealing(context.Context) error       { return s.unsealed }
func (s *fakeSecrets) Plain() ([]string, error)            { return s.plain, s.unlisted }

// fakeLimits is the limits of a machine on which every object of Podman exists.
type fakeLimits struct{ have limits.Have }

func (l *fakeLimits) Read() limits.Have     { return l.have }
func (*fakeLimits) Exists(_, _ string) bool { return true }

// fake is a machine without problems, and the output of its programs.
type fake struct {
	*Env
	apps     Apps
	units    fakeManager
	secrets  *fakeSecrets
	limits   *fakeLimits
	programs map[string]Output
	disk     unix.Statfs_t
}

// webFile is a rendered file of the only app.
var webFile = units.File{Name: "app@web.container", App: "web", Digest: "d", Content: []byte("[Container]\nImage=x\nPublishPort=127.0.0.1:18081:80/tcp\n\n[Service]\nTimeoutStopSec=20s\n\n[X-Archipelago]\nApp=web\nDigest=d\n")}

const userGenerator = "usr/lib/systemd/user-generators/podman-user-generator"

// sound is a machine on which no check of a scope finds a problem.
func sound(t *testing.T, scope units.Scope) *fake {
	t.Helper()
	e := onTree(t, map[string]string{
		userGenerator: "", "usr/lib/systemd/system-generators/podman-system-generator": "",
		"run/user/1000/bus": "", "var/lib/systemd/linger/archy": "", "etc/subuid": "archy:1:65536", "etc/subgid": "archy:1:65536",
		"sys/fs/cgroup/slice/cgroup.controllers": "cpu io memory pids\n", "var/log/journal/x": "",
		"usr/local/bin/archgen": "", "units/" + webFile.Name: string(webFile.Content), "proc/sys/net/ipv4/ip_unprivileged_port_start": "1024\n",
	})
	for file, mode := range map[string]os.FileMode{"usr/local/bin/archgen": 0o755, "run/user/1000": 0o700} {
		if err := os.Chmod(filepath.Join(e.Root, file), mode); err != nil {
			t.Fatal(err)
		}
	}
	f := &fake{
		Env: e,
		apps: Apps{
			Want:  units.Desired{Apps: []units.App{{ID: "web", Files: units.Set{webFile}, Parts: []units.Part{{Service: "app@web.service", File: webFile.Name}}}}},
			Paths: paths.Paths{Units: filepath.Join(e.Root, "units"), State: filepath.Join(e.Root, "state")},
		},
		units: fakeManager{
			"-.slice":            {ControlGroup: "/slice"},
			units.HealthdService: {LoadState: "loaded", ActiveState: "active", UnitFileState: "enabled"},
		},
		secrets: &fakeSecrets{},
		limits:  &fakeLimits{limits.Have{units.LimitKeys: {Used: 12, Max: 200}}},
		disk:    unix.Statfs_t{Type: unix.CGROUP2_SUPER_MAGIC, Bavail: 1 << 30, Bsize: 4096, Files: 1 << 20, Ffree: 1 << 20},
		programs: map[string]Output{
			filepath.Join(e.Root, userGenerator) + " -version":                                               {Stdout: "5.4.2\n"},
			filepath.Join(e.Root, userGenerator) + " -dryrun -user":                                          {},
			filepath.Join(e.Root, "usr/lib/systemd/system-generators/podman-system-generator") + " -version": {Stdout: "5.4.2\n"},
			filepath.Join(e.Root, "usr/lib/systemd/system-generators/podman-system-generator") + " -dryrun":  {},
			"systemctl --version":               {Stdout: "systemd 257 (257.13-1)\n+PAM\n"},
			"systemctl show-environment --user": {Stdout: "LANG=C\nPATH=/usr/local/bin:/usr/bin\n"},
			"systemctl show-environment":        {Stdout: "LANG=C\n"},
			"systemctl show --property=TimeoutStopUSec --value user@1000.service": {Stdout: "2min\n"},
		},
	}
	e.Scope, e.Storage, e.Self = scope, filepath.Join(e.Root, "storage/not/there"), "/home/archy/archgen"
	e.UID = os.Getuid()
	f.programs["systemctl show --property=TimeoutStopUSec --value user@"+e.uidText()+".service"] = Output{Stdout: "2min\n"}
	e.Podman = func(_ context.Context, c podmancli.Call) error {
		if c.Args[0] == "volume" {
			_, err := c.Stdout.Write([]byte("[]"))
			return err
		}
		_, err := c.Stdout.Write([]byte("podman version 5.4.2\n"))
		return err
	}
	e.Exec = func(_ context.Context, program string, args ...string) (Output, error) {
		out, known := f.programs[strings.Join(append([]string{program}, args...), " ")]
		if !known {
			return out, exec.ErrNotFound
		}
		return out, nil
	}
	e.LookPath = func(program string) (string, error) { return "/usr/bin/" + program, nil }
	e.Statfs = func(string) (unix.Statfs_t, error) { return f.disk, nil }
	e.Manager = func() (Manager, error) { return f.units, nil }
	e.Services = func() (map[string]machine.Service, error) { return nil, nil }
	e.Apps = func() (Apps, error) { return f.apps, nil }
	e.Secrets = func() (Secrets, error) { return f.secrets, nil }
	e.Watches = func() ([]status.Watch, error) { return nil, nil }
	e.Limits, e.Findings = f.limits, e.findings
	return f
}

// resultOf makes all checks and returns the one of that name.
func (f *fake) resultOf(t *testing.T, name string) Result {
	t.Helper()
	results := Run(t.Context(), f.Env)
	i := slices.IndexFunc(results, func(r Result) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no check is named %s", name)
	}
	return results[i]
}

// A sound machine has no problem. Each scope has its own checks.
func TestDoctorOnASoundMachine(t *testing.T) {
	t.Parallel()
	for scope, absent := range map[units.Scope][]string{
		units.User:   {"users"},
		units.System: {"runtime directory", "lingering", "user ids", "pause process", "journal", "stop timeout"},
	} {
		names := make([]string, 0, len(checks))
		for _, r := range Run(t.Context(), sound(t, scope).Env) {
			names = append(names, r.Name)
			if r.Severity != OK {
				t.Errorf("%s: %s: %s: %s", scope, r.Name, r.Severity, r.Detail)
			}
		}
		var want []string
		for _, c := range checks {
			if !slices.Contains(absent, c.name) {
				want = append(want, c.name)
			}
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s: %v, want %v", scope, names, want)
		}
	}
}

// The machine has one problem, and the check for it reports it.
func TestDoctorFindsEachFault(t *testing.T) {
	t.Parallel()
	fails := func(program string) func(*fake) {
		return func(f *fake) {
			maps.DeleteFunc(f.programs, func(call string, _ Output) bool { return strings.Contains(call, program) })
		}
	}
	noApps := func(f *fake) { f.Apps = func() (Apps, error) { return Apps{}, errGone } }
	noManager := func(f *fake) { f.Manager = func() (Manager, error) { return nil, errGone } }
	none := func(f *fake) { f.units = fakeManager{} }
	for _, tt := range []struct {
		name  string
		check string
		spoil func(*fake)
		want  Severity
		says  []string
	}{
		{"no Podman", "podman", func(f *fake) { f.Podman = func(context.Context, podmancli.Call) error { return errGone } }, Problem, []string{"Podman does not run: it is gone", "apt install podman"}},
		{"a generator that fails", "generator", fails(" -version"), Problem, []string{"does not run: executable file not found"}},
		{"no manager", "manager", noManager, Problem, []string{"it is gone", "sudo loginctl enable-linger archy"}},
		{"no newuidmap", "user ids", func(f *fake) { f.LookPath = func(string) (string, error) { return "", errGone } }, Problem, []string{"newuidmap is not installed"}},
		{"a range for each container", "user ids", func(f *fake) {
			f.apps.Want.Apps[0].Files = units.Set{webFile, {Name: "app@web.db.container", Content: []byte("UserNS=auto:size=65000\n")}, {Name: "app@web.job.container", Content: []byte("UserNS=auto\n")}}
		}, Problem, []string{"the containers with userns: auto need 66024 ids, but /etc/subuid has 65536 for archy", "sudo usermod --add-subuids 10000000-10066023 --add-subgids 10000000-10066023 archy"}},
		{"no apps", "user ids", noApps, OK, []string{"65536 of users"}},
		{"control groups of version 1", "cgroups", func(f *fake) { f.disk.Type = unix.TMPFS_MAGIC }, Problem, []string{"not version 2"}},
		{"no manager", "cgroups", noManager, Warning, []string{"unknown without the manager"}},
		{"no slice", "cgroups", none, Warning, []string{"unknown: it is gone"}},
		{"no list of controllers", "cgroups", func(f *fake) { f.units["-.slice"] = systemd.Unit{ControlGroup: "/other"} }, Warning, []string{"unknown: open "}},
		{"few controllers", "cgroups", func(f *fake) {
			_ = os.WriteFile(filepath.Join(f.Root, "sys/fs/cgroup/slice/cgroup.controllers"), []byte("memory pids"), 0o600)
		}, Warning, []string{"limits of cpu have no effect"}},
		{"a full disk", "disk", func(f *fake) { f.disk.Bavail = 1 }, Warning, []string{"only 0.0 GB free", "podman image prune"}},
		{"no inodes", "disk", func(f *fake) { f.disk.Ffree = 7 }, Warning, []string{"only 7 inodes left"}},
		{"an unreadable disk", "disk", func(f *fake) {
			f.Statfs = func(string) (unix.Statfs_t, error) { return unix.Statfs_t{}, errGone }
		}, Warning, []string{"reading the free space in "}},
		{"no environment", "archgen", fails("show-environment"), Warning, []string{"reading the manager's environment: "}},
		{"another PATH", "archgen", func(f *fake) {
			f.programs["systemctl show-environment --user"] = Output{Stdout: "PATH=/opt/bin\n"}
		}, Warning, []string{"units can't find archgen in /opt/bin", "sudo install /home/archy/archgen "}},
		{"no manifests", "manifests", noApps, Problem, []string{"it is gone"}},
		{"a warning", "manifests", func(f *fake) {
			f.apps.Diags = diag.List{{Severity: diag.Warning, File: "/a/web.yaml", Message: "hm"}}
		}, Warning, []string{"1 app, 1 warning", "archgen check"}},
		{"an error", "manifests", func(f *fake) {
			f.apps.Diags = diag.List{{Severity: diag.Warning}, {Severity: diag.Error, File: "/a/web.yaml", Line: 3, Column: 1, Message: "what?"}}
		}, Problem, []string{"1 error; the first: /a/web.yaml:3:1: error: what?", "archgen check"}},
		{"an error of no manifest", "manifests", func(f *fake) {
			f.apps.Diags = diag.List{{Severity: diag.Error, File: "/etc/archipelago/apps", Message: "what?"}}
		}, Problem, []string{"archgen status"}},
		{"no manifests", "unit files", noApps, Warning, []string{"can't be checked: it is gone"}},
		{"an unreadable history", "unit files", func(f *fake) {
			_ = os.MkdirAll(f.apps.Paths.State, 0o700)
			_ = os.Mkdir(filepath.Join(f.apps.Paths.State, "history.json"), 0o700)
		}, Problem, []string{"history.json", "archgen apply"}},
		{"no manifests", "networks", noApps, Warning, []string{"can't be checked: it is gone"}},
		{"no unit files to read", "networks", func(f *fake) { f.apps.Paths.Units = filepath.Join(f.Root, userGenerator) }, Warning, []string{"can't be checked"}},
		{"no manifests", "objects", noApps, Warning, []string{"can't be checked: it is gone"}},
		{"no unit files to read", "objects", func(f *fake) { f.apps.Paths.Units = filepath.Join(f.Root, userGenerator) }, Warning, []string{"can't be checked"}},
		{"no list of volumes", "objects", func(f *fake) { f.Podman = func(context.Context, podmancli.Call) error { return errGone } }, Warning, []string{"can't be checked: it is gone"}},
		{"no manifests", "quadlet", noApps, Warning, []string{"without the manifests: it is gone"}},
		{"no generator", "quadlet", func(f *fake) { _ = os.Remove(filepath.Join(f.Root, userGenerator)) }, Warning, []string{"without Podman's generator"}},
		{"a generator that does not start", "quadlet", fails("-dryrun"), Warning, []string{"can't be checked: executable file not found"}},
		{"a complaint", "quadlet", func(f *fake) {
			f.programs[filepath.Join(f.Root, userGenerator)+" -dryrun -user"] = Output{Stderr: "converting \"app@web.container\": bad\n"}
		}, Problem, []string{"Podman makes no unit of app@web.container: bad"}},
		{"no place for secrets", "secrets", func(f *fake) { f.Secrets = func() (Secrets, error) { return nil, errGone } }, Warning, []string{"it is gone"}},
		{"an unreadable rotation", "secrets", func(f *fake) { f.secrets.broken = errGone }, Problem, []string{"it is gone"}},
		{"half a rotation", "secrets", func(f *fake) { f.secrets.rotation = &secret.Rotation{Name: "web.key", Began: time.Now()} }, Problem, []string{"the rotation of web.key", "archgen apply"}},
		{"no encryption", "secrets", func(f *fake) { f.secrets.unsealed = errGone }, Warning, []string{"not encrypted: it is gone"}},
		{"old secrets", "secrets", func(f *fake) { f.secrets.plain = []string{"web.key", "web.pin"} }, Warning, []string{"web.key, web.pin", "archgen secret rotate web.key"}},
		{"unreadable secrets", "secrets", func(f *fake) { f.secrets.unlisted = errGone }, Problem, []string{"it is gone"}},
		{"no manifests", "ports", noApps, Warning, []string{"without the manifests: it is gone"}},
		{"no services", "ports", func(f *fake) { f.Services = func() (map[string]machine.Service, error) { return nil, errGone } }, Warning, []string{"without the manager: it is gone"}},
		{"no keys left", "kernel keys", func(f *fake) { f.limits.have[units.LimitKeys] = limits.Usage{Used: 200, Max: 200} }, Problem, []string{"the apps need 201 kernel keys, but the limit is 200 (kernel.keys.maxkeys)", "sudo sysctl --system"}},
		{"keys for the app", "kernel keys", func(*fake) {}, OK, []string{"12 of 200 in use, 13 needed"}},
		{"an app that runs", "kernel keys", func(f *fake) {
			f.limits.have[units.LimitKeys] = limits.Usage{Used: 200, Max: 200}
			f.Services = func() (map[string]machine.Service, error) {
				return map[string]machine.Service{"app@web.service": {State: units.Unit{Active: units.Active}}}, nil
			}
		}, OK, []string{"200 of 200 in use, 200 needed"}},
		{"no locks of Podman", "podman locks", func(*fake) {}, OK, []string{"no limit is known"}},
		{"no manifests", "kernel keys", noApps, Warning, []string{"without the apps and the manager: it is gone"}},
		{"no services", "kernel keys", func(f *fake) { f.Services = func() (map[string]machine.Service, error) { return nil, errGone } }, Warning, []string{"it is gone"}},
		{"no manager", "healthd", noManager, Warning, []string{"without the manager: it is gone"}},
		{"no unit", "healthd", none, Warning, []string{"reading the state of " + units.HealthdService}},
		{"no manager", "watches", func(f *fake) { f.Watches = func() ([]status.Watch, error) { return nil, errGone } }, Warning, []string{"without the manager: it is gone"}},
		{"no inotify instance", "watches", func(f *fake) {
			f.Watches = func() ([]status.Watch, error) {
				return []status.Watch{
					status.WatchOf(units.HealthdService, syscall.EMFILE, "no", 128, units.User), status.WatchOf(units.ReconcilePath, syscall.EMFILE, "no", 128, units.User),
				}, nil
			}
		}, Warning, []string{
			"archipelago-healthd.service (no-inotify-instance)", "; archipelago-reconcile.path (no-inotify-instance)",
			"sudo sysctl fs.inotify.max_user_instances=3000\n", "systemctl --user restart archipelago-reconcile.path",
		}},
		{"no manifests", "stop timeout", noApps, Warning, []string{"without the manifests: it is gone"}},
		{"no timeout", "stop timeout", fails("TimeoutStopUSec"), Warning, []string{"reading the stop timeout of user@"}},
		{"an endless timeout", "stop timeout", func(f *fake) {
			f.programs["systemctl show --property=TimeoutStopUSec --value user@"+f.uidText()+".service"] = Output{Stdout: "infinity\n"}
		}, OK, []string{"waits for every app"}},
		{"a short timeout", "stop timeout", func(f *fake) {
			f.programs["systemctl show --property=TimeoutStopUSec --value user@"+f.uidText()+".service"] = Output{Stdout: "10s\n"}
		}, Problem, []string{"web may take 20s to stop"}},
	} {
		t.Run(tt.check+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			f := sound(t, units.User)
			tt.spoil(f)
			expect(t, f.resultOf(t, tt.check), tt.want, tt.says...)
		})
	}
}

// The error of a program ends with the last line of its standard error.
func TestDoctorQuotesPrograms(t *testing.T) {
	t.Parallel()
	e := &Env{Exec: execute}
	text, err := e.said(t.Context(), "sh", "-c", "echo ' out '; echo first >&2; printf 'la\\033st\\n' >&2; exit 3")
	if text != "out" || err == nil || err.Error() != "exit status 3: last" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := e.said(t.Context(), "/not/there"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// An app can't be installed for the system while every user runs the system's apps.
func TestDoctorSystemConflict(t *testing.T) {
	t.Parallel()
	if err := SystemConflict(onTree(t, nil).Root); err != nil {
		t.Error(err)
	}
	err := SystemConflict(onTree(t, map[string]string{"etc/systemd/user/default.target.wants/archipelago-healthd.service": ""}).Root)
	if err == nil || !strings.Contains(err.Error(), "sudo systemctl --global disable archipelago-healthd.service") {
		t.Errorf("%v", err)
	}
}
