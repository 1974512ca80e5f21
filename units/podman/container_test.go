package podman_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/archipelago-os/archipelago/units/podman"
)

// The files of one container, as Podman 5.4 writes them.
const (
	id      = "8f828aa0613476d723371ef0cc917ca04bd1f068c9d002f89a26ad971e4625b8"
	bundle  = "home/a/storage/overlay-containers/" + id + "/userdata"
	runDir  = "run/user/1000/containers/overlay-containers/" + id
	group   = "user.slice/app@x.service"
	payload = group + "/libpod-payload-" + id
	events  = "sys/fs/cgroup/" + payload + "/cgroup.events"
)

func monitor(words ...string) string { return strings.Join(words, "\x00") + "\x00" }

var conmon = monitor("/usr/bin/conmon", "--api-version", "1", "-c", id, "-u", id, "-r", "/usr/bin/crun", "-b", "/"+bundle,
	"-p", "/"+runDir+"/userdata/pidfile", "-n", "x", "--exit-command-arg", "-b", "--exit-command-arg", "/elsewhere")

// TestAProcessEndsDuringALook: the kernel then gives ESRCH for what was opened before.
func TestAProcessEndsDuringALook(t *testing.T) {
	for range 50 {
		c := exec.CommandContext(t.Context(), "true")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		for isOver := false; !isOver; {
			if _, err := podman.Look("/", c.Process.Pid, group); !errors.Is(err, podman.ErrNone) {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Fatal(err)
				}
				isOver = true
			default:
			}
		}
	}
}

// TestALogIsWrittenDuringALook: Podman truncates it first.
func TestALogIsWrittenDuringALook(t *testing.T) {
	root := t.TempDir()
	log := filepath.Join(root, runDir, "healthcheck.log")
	text := []byte(`{"Status":"healthy","Log":[{"Output":"` + strings.Repeat("x", 3000) + `"}]}`)
	for path, content := range map[string]string{filepath.Join(root, "proc/7/cmdline"): conmon, filepath.Join(root, bundle, "config.json"): "{}", log: string(text)} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() {
		var err error
		for range 500 {
			err = errors.Join(err, os.WriteFile(log, text, 0o644))
		}
		ended <- err
	}()
	for {
		if _, err := podman.Look(root, 7, group); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}

func TestLook(t *testing.T) {
	const config = `{"ociVersion":"1.2.0","annotations":{"io.archipelago.digest":"abc","io.container.manager":"libpod"}}`
	for name, tt := range map[string]struct {
		files map[string]string
		want  podman.Running
		none  bool
		bad   string
	}{
		"running": {
			files: map[string]string{"proc/7/cmdline": conmon, bundle + "/config.json": config, events: "populated 1\nfrozen 0\n"},
			want:  podman.Running{ID: id, Digest: "abc", Payload: payload},
		},
		"paused and unhealthy": {
			files: map[string]string{
				"proc/7/cmdline": conmon, bundle + "/config.json": config, events: "populated 1\nfrozen 1\n",
				runDir + "/healthcheck.log": `{"Status":"unhealthy","FailingStreak":3,"Log":[{"Output":"a"},{"Output":"refused\n"}]}`,
			},
			want: podman.Running{ID: id, Digest: "abc", Payload: payload, Paused: true, Check: "unhealthy", Output: "refused"},
		},
		"no annotation, its cgroup already removed, no check yet": {
			files: map[string]string{"proc/7/cmdline": conmon, bundle + "/config.json": "{}", runDir + "/healthcheck.log": ""},
			want:  podman.Running{ID: id, Payload: payload},
		},
		"its processes have exited": {
			files: map[string]string{"proc/7/cmdline": conmon, bundle + "/config.json": config, events: "populated 0\nfrozen 0\n"},
			want:  podman.Running{ID: id, Digest: "abc", Payload: payload, Ended: true},
		},
		"no such process":   {none: true},
		"a zombie":          {files: map[string]string{"proc/7/cmdline": ""}, none: true},
		"something else":    {files: map[string]string{"proc/7/cmdline": monitor("podman", "-c", id, "-b", "/"+bundle)}, none: true},
		"ended meanwhile":   {files: map[string]string{"proc/7/cmdline": conmon}, none: true},
		"truncated config":  {files: map[string]string{"proc/7/cmdline": conmon, bundle + "/config.json": `{"ann`}, bad: "config.json"},
		"log of other kind": {files: map[string]string{"proc/7/cmdline": conmon, bundle + "/config.json": config, runDir + "/healthcheck.log": "[]"}, bad: "healthcheck.log"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range tt.files {
				path = filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			made := time.Date(2026, 11, 23, 21, 5, 0, 0, time.UTC)
			if tt.want.ID != "" {
				tt.want.Created, tt.want.CheckLog = made, "/"+runDir+"/healthcheck.log"
				if err := os.Chtimes(filepath.Join(root, bundle, "config.json"), made, made); err != nil {
					t.Fatal(err)
				}
			}
			got, err := podman.Look(root, 7, group)
			switch {
			case tt.none:
				if !errors.Is(err, podman.ErrNone) {
					t.Errorf("error %v, want ErrNone", err)
				}
			case tt.bad != "":
				if err == nil || errors.Is(err, podman.ErrNone) || !strings.Contains(err.Error(), tt.bad) {
					t.Errorf("error %v, want one that names %s", err, tt.bad)
				}
			case err != nil:
				t.Error(err)
			}
			if d := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(podman.Running{})); d != "" && tt.bad == "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if got.ID == "" || tt.bad != "" {
				return
			}
			earlier := got
			earlier.Paused, earlier.Check, earlier.Output = true, "starting", "before"
			again, err := earlier.Again(root)
			if d := cmp.Diff(got, again, cmpopts.IgnoreUnexported(podman.Running{})); d != "" || err != nil {
				t.Errorf("again: %v\n%s", err, d)
			}
		})
	}
}

// TestChecked: each new result of a check is seen, also if it is as long as the one before and follows
// at once.
func TestChecked(t *testing.T) {
	root := t.TempDir()
	r := podman.Running{ID: id, CheckLog: "/healthcheck.log"}
	see := func(want string) {
		t.Helper()
		for range 2 {
			var err error
			if r, err = r.Checked(root); err != nil || r.Check != want {
				t.Errorf("%q, want %q, %v", r.Check, want, err)
			}
		}
	}
	write := func(status string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, r.CheckLog), []byte(`{"Status":"`+status+`"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	see("")
	for i := range 20 {
		status := "healthy-" + string(rune('a'+i))
		write(status)
		see(status)
		if i%5 == 0 {
			<-time.After(60 * time.Millisecond) // from now on the file is not read again
			see(status)
		}
	}
	if err := os.Remove(filepath.Join(root, r.CheckLog)); err != nil {
		t.Fatal(err)
	}
	see("")
}

// TestEnded: a removed control group has ended if it was seen before.
func TestEnded(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{"proc/7/cmdline": conmon, bundle + "/config.json": "{}", events: "populated 1\nfrozen 0\n"} {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := podman.Look(root, 7, group); err != nil || r.Ended {
		t.Errorf("running: %+v, %v", r, err)
	}
	if err := os.RemoveAll(filepath.Dir(filepath.Join(root, events))); err != nil {
		t.Fatal(err)
	}
	if r, err := podman.Look(root, 7, group); err != nil || !r.Ended {
		t.Errorf("after its exit: %+v, %v", r, err)
	}
	if r, err := (podman.Running{ID: id, Payload: payload}).Again(root); err != nil || !r.Ended {
		t.Errorf("again after its exit: %+v, %v", r, err)
	}
}

// TestTheTestIsNoContainer checks a real process.
func TestTheTestIsNoContainer(t *testing.T) {
	if _, err := podman.Look("/", os.Getpid(), "/"); !errors.Is(err, podman.ErrNone) {
		t.Errorf("error %v, want ErrNone", err)
	}
}
