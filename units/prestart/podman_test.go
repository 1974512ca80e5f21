package prestart

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/generator/configfile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// fakePodman is a Podman whose volumes are directories and whose containers are names.
type fakePodman struct {
	t       *testing.T
	storage string
	// image is the files in the image, by directory.
	image map[string][]string
	// user is the ID of the container's process in its own user namespace, which maps 1000
	// to the user of this test.
	user int
	// program runs the command of a step.
	program func(ctx context.Context, command []string) error
	// fail is called before each command, and again after it with done set. Podman ends
	// with the error that it returns.
	fail func(command string, done bool) error

	// containers is the volumes of each container, with their mount points.
	containers map[string]map[string]string
	// forgotten is the volumes that it does not know although their directories are there.
	forgotten map[string]bool
	// owners is the owner options that volumes were created with.
	owners map[string]string
	calls  []string
}

func newFakePodman(t *testing.T, storage string) *fakePodman {
	t.Helper()
	return &fakePodman{t: t, storage: storage, user: 1000, containers: map[string]map[string]string{}, owners: map[string]string{}, forgotten: map[string]bool{}}
}

// exitStatus is the error of a process that failed.
func exitStatus(code int) error { return fmt.Errorf("exit status %d", code) }

// Run is a podmancli.Runner.
func (f *fakePodman) Run(ctx context.Context, call podmancli.Call) error {
	command := f.commandOf(call.Args)
	f.calls = append(f.calls, command)
	if ctx.Err() != nil {
		return &podmancli.Error{Args: call.Args, Err: ctx.Err()}
	}
	said, err := "", f.failure(command, false)
	if err == nil {
		said, err = f.execute(ctx, call)
		err = errors.Join(err, f.failure(command, true))
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && call.Cancel != nil { // as podmancli.Exec does
		err = errors.Join(call.Cancel(), err)
	}
	return &podmancli.Error{Args: call.Args, Err: err, Said: said}
}

func (f *fakePodman) failure(command string, done bool) error {
	if f.fail == nil {
		return nil
	}
	return f.fail(command, done)
}

// commandOf returns a command without the arguments that all of its kind have.
func (f *fakePodman) commandOf(args []string) string {
	words := make([]string, 0, len(args))
	for _, a := range args {
		if !strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "/") {
			words = append(words, a)
		}
	}
	return strings.Join(words, " ")
}

func (f *fakePodman) execute(ctx context.Context, call podmancli.Call) (said string, err error) {
	args := call.Args
	last := args[len(args)-1]
	switch strings.Join(args[:min(2, len(args))], " ") {
	case "volume create":
		return "", f.createVolume(last, args)
	case "volume rm":
		return f.removeVolume(last)
	case "volume exists":
		if _, err := os.Stat(filepath.Dir(VolumeDir(filepath.Join(f.storage, "volumes"), last))); err != nil || f.forgotten[last] {
			return "", exec.CommandContext(ctx, "false").Run()
		}
		return "", nil
	case "unshare stat":
		fmt.Fprintf(call.Stdout, "uid=%d,gid=%d\n", os.Getuid(), os.Getgid())
		return "", nil
	case "container inspect":
		fmt.Fprintln(call.Stdout, f.specPath())
		return "", nil
	case "ps --all":
		volume, _ := strings.CutPrefix(last, "--filter=volume=")
		for name, volumes := range f.containers {
			if volumes[volume] != "" {
				fmt.Fprintln(call.Stdout, name)
			}
		}
		return "", nil
	}
	switch args[0] {
	case "create":
		if slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--mount=") }) {
			return "Error: no such file or directory", exitStatus(125) // the subpath, at init
		}
		f.containers[flag(args, "--name=")] = volumesOf(args)
	case "init":
		return "", f.init(last)
	case "rm":
		delete(f.containers, last)
	case "run":
		return "", f.run(ctx, args)
	case "kill":
	case "unshare":
		if err := Volume(ctx, args[3:], call.Stdin, call.Stdout); err != nil {
			return "archgen: " + err.Error(), exitStatus(1)
		}
	default:
		f.t.Errorf("podman %q is not expected", args)
	}
	return "", nil
}

func flag(args []string, name string) string {
	for _, a := range args {
		if value, ok := strings.CutPrefix(a, name); ok {
			return value
		}
	}
	return ""
}

// volumesOf returns the named volumes of a container.
func volumesOf(args []string) map[string]string {
	list := map[string]string{}
	for _, a := range args {
		if v, ok := strings.CutPrefix(a, "--volume="); ok && !strings.HasPrefix(v, "/") {
			name, target, _ := strings.Cut(v, ":")
			list[name] = target
		}
	}
	return list
}

func (f *fakePodman) run(ctx context.Context, args []string) error {
	name := flag(args, "--name=")
	f.containers[name] = volumesOf(args)
	var command []string
	if err := json.Unmarshal([]byte(flag(args, "--entrypoint=")), &command); err != nil {
		return err
	}
	err := f.program(ctx, command)
	if ctx.Err() == nil { // else it exists until it is removed
		delete(f.containers, name)
	}
	return err
}

// init fills the empty volumes of a container from the image.
func (f *fakePodman) init(container string) error {
	for name, target := range f.containers[container] {
		data := VolumeDir(filepath.Join(f.storage, "volumes"), name)
		if entries, err := os.ReadDir(data); err == nil && len(entries) > 0 {
			continue
		}
		if err := os.MkdirAll(data, 0o755); err != nil {
			return err
		}
		for _, file := range f.image[target] {
			if err := os.WriteFile(filepath.Join(data, file), []byte("of the image"), 0o644); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(f.specPath(), fmt.Appendf(nil, `{
		"process": {"user": {"uid": %[1]d, "gid": %[1]d}},
		"linux": {
			"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 1000}, {"containerID": 1000, "hostID": %[2]d, "size": 1}],
			"gidMappings": [{"containerID": 0, "hostID": 100000, "size": 1000}, {"containerID": 1000, "hostID": %[3]d, "size": 1}]
		}
	}`, f.user, os.Getuid(), os.Getgid()), 0o600)
}

func (f *fakePodman) specPath() string { return filepath.Join(f.storage, "config.json") }

func (f *fakePodman) createVolume(name string, args []string) error {
	delete(f.forgotten, name)
	f.owners[name] = strings.Join(slices.DeleteFunc(slices.Clone(args[2:len(args)-1]), func(a string) bool { return a == "" }), " ")
	return os.MkdirAll(VolumeDir(filepath.Join(f.storage, "volumes"), name), 0o755)
}

func (f *fakePodman) removeVolume(name string) (said string, err error) {
	if f.forgotten[name] {
		return "Error: no such volume", exitStatus(1)
	}
	for container, volumes := range f.containers {
		if volumes[name] != "" {
			return "Error: volume is in use by " + container, exitStatus(2)
		}
	}
	delete(f.owners, name)
	return "", os.RemoveAll(filepath.Dir(VolumeDir(filepath.Join(f.storage, "volumes"), name)))
}

// taken returns the calls since the last call of taken.
func (f *fakePodman) taken() []string {
	calls := f.calls
	f.calls = nil
	return calls
}

// content returns the files below a directory, each with its text.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		found[strings.TrimPrefix(path, dir+"/")] = string(text)
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return found
}

// names returns the files below a directory, on one line.
func names(t *testing.T, dir string) string {
	t.Helper()
	return strings.Join(slices.Sorted(maps.Keys(content(t, dir))), " ")
}

// world is a machine with one part, app@ui.
type world struct {
	*Part
	t      *testing.T
	podman *fakePodman
	stderr bytes.Buffer
}

func newWorld(t *testing.T, recipe units.Prestart) *world {
	t.Helper()
	dir := t.TempDir()
	storage := filepath.Join(dir, "storage")
	if err := os.MkdirAll(filepath.Join(storage, "volumes"), 0o700); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, podman: newFakePodman(t, storage)}
	w.Part = &Part{
		Env: Env{
			Podman: w.podman.Run, Stderr: &w.stderr,
			Systemd: (&fakeSystemd{err: errors.New("no bus")}).connect,
			IDs:     func() (uids, gids []podman.IDRange, err error) { return nil, nil, podman.ErrUnclear },
		},
		ID: "ui", Recipe: recipe,
		Renderer: Renderer{
			State: filepath.Join(dir, "state"), Runtime: filepath.Join(dir, "run"), Storage: storage, Volumes: filepath.Join(storage, "volumes"),
			Machine: func() configfile.Machine { return configfile.Machine{} },
			Secret:  func(string) (string, error) { return "canary", nil },
		},
	}
	return w
}

// makeVolume creates a volume with files.
func (w *world) makeVolume(name string, files ...string) (data string) {
	w.t.Helper()
	data = VolumeDir(w.Renderer.Volumes, name)
	if err := os.MkdirAll(data, 0o755); err != nil {
		w.t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(data, f), []byte("of the app"), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	return data
}

// message returns the text of an error.
func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
