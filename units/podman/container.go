// Package podman owns the facts that Podman keeps on disk and that are read without running it:
// which rendering a container was started from, whether it is frozen, the last result of its
// health check, and the names of containers, images, networks and secrets. It reads /proc, cgroups
// and the files of Podman's storage.
//
// It never runs a program, never asks systemd, and never decides what follows from a fact.
package podman

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/archipelago-os/archipelago/units/durable"
)

// Running is a running container.
type Running struct {
	// ID is Podman's id, 64 hex digits.
	ID string
	// Digest is the annotation io.archipelago.digest, empty if there is none.
	Digest string
	// Created is when the container was created for this start.
	Created time.Time
	// Payload is the control group of its processes.
	Payload string
	// Ended: all processes have exited, and the monitor cleans up. Paused: they are frozen.
	Ended, Paused bool
	// Check is the last result of Podman's health check: starting, healthy or unhealthy. It is
	// empty before the first one, and if there is none.
	Check string
	// Output is the output of the last check.
	Output string
	// CheckLog is the file with the results of the checks. It does not exist before the first one.
	CheckLog string
	// checked is the version of that file that was read.
	checked durable.Identity
}

// annotation holds the digest of a rendering. Unlike labels, Podman passes annotations to the
// runtime in a file.
const annotation = "io.archipelago.digest"

// ErrNone says that a process is not the monitor of a container: the container has exited, or the
// unit runs something else.
var ErrNone = errors.New("no container")

// maxFile is more than the size of any of the files.
const maxFile = 4 << 20

// Look reads the facts about the container whose monitor (conmon) is the main process of a service
// with that control group. root is "/" except in tests. The error wraps ErrNone if no container
// runs.
func Look(root string, monitor int, controlGroup string) (Running, error) {
	args, err := arguments(root, monitor)
	if err != nil {
		return Running{}, err
	}
	r := Running{ID: args["-c"]}
	if r.ID == "" || args["-b"] == "" {
		return Running{}, fmt.Errorf("process %d: %w", monitor, ErrNone)
	}
	if err := r.readConfig(filepath.Join(root, args["-b"], "config.json")); err != nil {
		return Running{}, err
	}
	r.Payload = filepath.Join(controlGroup, "libpod-payload-"+r.ID)
	if err := r.readEvents(r.eventsFile(root)); err != nil {
		return Running{}, err
	}
	// RUNROOT/overlay-containers/ID/userdata/pidfile, and healthcheck.log beside userdata.
	if pidfile := args["-p"]; pidfile != "" {
		r.CheckLog = filepath.Join(filepath.Dir(filepath.Dir(pidfile)), "healthcheck.log")
		err = r.readCheck(filepath.Join(root, r.CheckLog))
	}
	return r, err
}

// Again reads what changes while a container exists: its processes, and its health check. It costs
// a tenth of Look.
func (r Running) Again(root string) (Running, error) {
	if err := r.readEvents(r.eventsFile(root)); err != nil {
		return r, err
	}
	return r.Checked(root)
}

// Checked is Again for a container whose processes have not changed. It reads its health check.
func (r Running) Checked(root string) (Running, error) {
	if r.CheckLog == "" {
		return r, nil
	}
	path := r.CheckLog
	if root != "/" {
		path = filepath.Join(root, path)
	}
	now, err := durable.IdentityOf(path)
	if err == nil && r.checked == now {
		return r, nil
	}
	r.Check, r.Output, r.checked = "", "", durable.Identity{}
	if err == nil && now.IsSettled(time.Now()) {
		r.checked = now
	}
	return r, r.readCheck(path)
}

// HasLived reports whether the processes of the container were seen: if its control group is gone,
// they have exited.
func (r Running) HasLived(root string) bool {
	seen.Lock()
	defer seen.Unlock()
	return seen.lived[r.eventsFile(root)]
}

// Saw records that another program has seen the processes of the container.
func (r Running) Saw(root string) {
	seen.Lock()
	defer seen.Unlock()
	live(r.eventsFile(root))
}

func (r Running) eventsFile(root string) string {
	return filepath.Join(root, "sys/fs/cgroup", r.Payload, "cgroup.events")
}

// live records that a control group had processes. The caller holds the lock of seen.
func live(events string) {
	if seen.lived == nil || len(seen.lived) >= maxSeen {
		seen.lived = map[string]bool{}
	}
	seen.lived[events] = true
}

// arguments returns the options of conmon that identify the container: its id (-c), its bundle
// (-b) and its pid file (-p).
func arguments(root string, pid int) (map[string]string, error) {
	line, err := read(filepath.Join(root, "proc", strconv.Itoa(pid), "cmdline"))
	if pid == 0 || isGone(err) {
		return nil, fmt.Errorf("process %d: %w", pid, ErrNone)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the arguments of process %d: %w", pid, err)
	}
	words := strings.Split(string(line), "\x00")
	args := map[string]string{}
	if filepath.Base(words[0]) != "conmon" {
		return args, nil
	}
	for i := 1; i+1 < len(words); i++ {
		switch words[i] {
		case "-b", "-c", "-p":
			args[words[i]] = words[i+1]
			i++
		case "--exit-command-arg": // those of another program
			i++
		}
	}
	return args, nil
}

// isGone reports whether an error says that a process or a control group is gone. One that was opened before
// gives ESRCH or ENODEV.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.ENODEV)
}

// seen caches the configurations of containers, by path: a configuration does not change while its
// container exists, and reading it is most of the work of Look.
var seen struct {
	sync.Mutex
	configs map[string]Running
	// lived is the control groups that had processes: if one is gone, its processes have exited.
	lived map[string]bool
}

// maxSeen is the size at which the cache is emptied, because it also holds removed containers.
const maxSeen = 1024

// readConfig reads the configuration that a container was created with, once.
func (r *Running) readConfig(path string) error {
	if info, err := os.Stat(path); err == nil {
		r.Created = info.ModTime()
	}
	seen.Lock()
	defer seen.Unlock()
	if known, ok := seen.configs[path]; ok && known.ID == r.ID && known.Created.Equal(r.Created) {
		r.Digest = known.Digest
		return nil
	}
	var err error
	if r.Digest, err = digest(path); err != nil {
		return err
	}
	if seen.configs == nil || len(seen.configs) >= maxSeen {
		seen.configs = map[string]Running{}
	}
	seen.configs[path] = *r
	return nil
}

func digest(config string) (string, error) {
	data, err := read(config)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s does not exist any more: %w", config, ErrNone)
	}
	if err != nil {
		return "", err
	}
	var spec struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		return "", fmt.Errorf("reading %s: %w", config, err)
	}
	return spec.Annotations[annotation], nil
}

// readEvents reads the state of the control group of the processes. If the group is gone and was
// never seen, the state is unknown: a drop-in may have told Podman to use none.
func (r *Running) readEvents(path string) error {
	data, err := read(path)
	if err != nil && !isGone(err) {
		return err
	}
	seen.Lock()
	defer seen.Unlock()
	if bytes.Contains(data, []byte("populated 1")) && !seen.lived[path] {
		live(path)
	}
	r.Ended = err != nil && seen.lived[path] || bytes.Contains(data, []byte("populated 0"))
	r.Paused = !r.Ended && bytes.Contains(data, []byte("frozen 1"))
	return nil
}

// readCheck reads Podman's log of the health check of a container. Podman truncates the file before it
// writes it: what is truncated between two reads of it is read again.
func (r *Running) readCheck(path string) error {
	var state struct {
		Status string
		Log    []struct{ Output string }
	}
	for attempts := 10; ; attempts-- {
		data, err := read(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(data) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		err = json.Unmarshal(data, &state)
		if err == nil {
			break
		}
		if attempts == 1 {
			return fmt.Errorf("reading %s: %w", path, err)
		}
	}
	r.Check = state.Status
	if n := len(state.Log); n > 0 {
		r.Output = strings.TrimSpace(state.Log[n-1].Output)
	}
	return nil
}

// read reads a small file in a few system calls: a pass reads one for each container.
func read(path string) (data []byte, err error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(fd)
	buffer := make([]byte, 512)
	for len(data) <= maxFile {
		n, err := syscall.Read(fd, buffer)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		default:
			data = append(data, buffer[:n]...)
			if n < len(buffer) { // files of a disk or of the kernel end there
				return data, nil
			}
			buffer = make([]byte, 64<<10)
		}
	}
	return nil, fmt.Errorf("%s is not a file that Podman or the kernel writes", path)
}
