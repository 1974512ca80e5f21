//go:build linux && (amd64 || arm64)

// Package faults runs a command and, at one chosen file system call, kills it
// or makes that call fail. Run for every call, it shows that a writer of files
// survives whatever happens to it.
//
// Calls are counted over all threads: a counter for each thread, as strace has
// it, never reaches most calls of a Go program, whose goroutines move between
// threads. It knows nothing of the commands and never judges what they leave.
package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// Command is what to run.
type Command struct {
	// Args is the program and its arguments, Env its whole environment.
	Args, Env []string
	// Below is the directory that matters: calls count from the first one that
	// names a path in it, so that a program's own start does not count.
	Below string
}

// Fault is what happens to the command at its call number At, counted from 1;
// 0 is no fault. Without an Errno the command is killed, before the call.
type Fault struct {
	At    int
	Errno syscall.Errno
}

// Call is a file system call that the command made.
type Call struct {
	Name, Path string
	// Writes tells a call that may change a file system.
	Writes bool
}

func (c Call) String() string { return strings.TrimSpace(c.Name + " " + c.Path) }

// Result is what became of the command.
type Result struct {
	// Calls is the counted calls; with a fault that was reached, the last one
	// before the end or more, since other threads go on.
	Calls []Call
	// Hit reports whether the fault was reached.
	Hit bool
	// Exit is the exit code, -1 after a kill.
	Exit   int
	Stderr string
}

const (
	ptraceExitKill    = 0x100000
	ptraceSyscallInfo = 0x420e
	stopEntry         = 1
	stopExit          = 2
	waitNoThread      = 0x20000000 // leave the children of other threads alone
)

// Run runs the command once.
func Run(c Command, f Fault) (Result, error) {
	// The kernel takes requests from the thread that started the command only.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var stderr bytes.Buffer
	pipe, w, err := os.Pipe()
	if err != nil {
		return Result{}, err
	}
	defer pipe.Close()
	cmd := exec.Command(c.Args[0], c.Args[1:]...) //nolint:gosec,noctx // a test's own command; EXITKILL and Fault.At end it
	cmd.Env, cmd.Stderr = c.Env, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return Result{}, fmt.Errorf("starting %s under ptrace: %w", c.Args[0], err)
	}
	drained := make(chan struct{})
	go func() { _, _ = stderr.ReadFrom(pipe); close(drained) }()
	t := &tracer{command: c, fault: f, pid: cmd.Process.Pid, failing: map[int]bool{}}
	err = t.run()
	if err != nil {
		_ = syscall.Kill(-t.pid, syscall.SIGKILL)
	}
	_ = cmd.Process.Release()
	<-drained
	t.result.Stderr = stderr.String()
	return t.result, err
}

type tracer struct {
	command  Command
	fault    Fault
	pid      int
	counting bool
	failing  map[int]bool // threads in a call that is to fail
	result   Result
}

func (t *tracer) run() error {
	var ws syscall.WaitStatus
	if _, err := wait(t.pid, &ws); err != nil {
		return fmt.Errorf("waiting for the command's start: %w", err)
	}
	const options = syscall.PTRACE_O_TRACESYSGOOD | syscall.PTRACE_O_TRACECLONE | syscall.PTRACE_O_TRACEFORK |
		syscall.PTRACE_O_TRACEVFORK | syscall.PTRACE_O_TRACEEXEC | ptraceExitKill
	if err := syscall.PtraceSetOptions(t.pid, options); err != nil {
		return fmt.Errorf("setting up ptrace: %w", err)
	}
	tid := t.pid
	for signal := 0; ; {
		if tid != 0 {
			if err := syscall.PtraceSyscall(tid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("letting the command go on: %w", err)
			}
		}
		var err error
		if tid, err = wait(-1, &ws); errors.Is(err, syscall.ECHILD) {
			return nil
		} else if err != nil {
			return fmt.Errorf("waiting for the command: %w", err)
		}
		if ws.Exited() || ws.Signaled() {
			if tid == t.pid {
				t.result.Exit = ws.ExitStatus() // -1 after a signal
			}
			tid = 0
			continue
		}
		if signal, err = t.stopped(tid, ws); err != nil {
			return err
		}
	}
}

func wait(pid int, ws *syscall.WaitStatus) (tid int, err error) {
	for {
		if tid, err = syscall.Wait4(pid, ws, syscall.WALL|waitNoThread, nil); !errors.Is(err, syscall.EINTR) {
			return tid, err
		}
	}
}

// stopped handles a stop of one thread and returns the signal to pass on.
func (t *tracer) stopped(tid int, ws syscall.WaitStatus) (signal int, err error) {
	switch s := ws.StopSignal(); s {
	case syscall.SIGTRAP | 0x80:
		err := t.syscall(tid)
		if errors.Is(err, syscall.ESRCH) { // killed meanwhile
			err = nil
		}
		return 0, err
	case syscall.SIGTRAP, syscall.SIGSTOP: // exec, a new thread and its first stop
		return 0, nil
	default:
		return int(s), nil
	}
}

// syscall handles the start or the end of a call.
func (t *tracer) syscall(tid int) error {
	info, err := syscallInfo(tid)
	switch {
	case err != nil:
		return err
	case info.op == stopExit && t.failing[tid]:
		delete(t.failing, tid)
		return setResult(tid, t.fault.Errno)
	case info.op != stopEntry:
		return nil
	}
	call, known := t.describe(tid, info)
	if !known || !t.counts(call) {
		return nil
	}
	t.result.Calls = append(t.result.Calls, call)
	if len(t.result.Calls) != t.fault.At {
		return nil
	}
	t.result.Hit = true
	if t.fault.Errno == 0 {
		return syscall.Kill(-t.pid, syscall.SIGKILL)
	}
	t.failing[tid] = true
	return skip(tid)
}

func (t *tracer) counts(c Call) bool {
	t.counting = t.counting || strings.HasPrefix(c.Path, t.command.Below)
	return t.counting
}

func (t *tracer) describe(tid int, info callInfo) (Call, bool) {
	kind, known := calls[info.number]
	if !known {
		return Call{}, false
	}
	c := Call{Name: kind.name, Writes: kind.writes}
	if kind.path > 0 {
		c.Path = readString(tid, uintptr(info.args[kind.path-1]))
	}
	if info.number == syscall.SYS_OPENAT {
		c.Writes = info.args[2]&(syscall.O_WRONLY|syscall.O_RDWR|syscall.O_CREAT|syscall.O_TRUNC) != 0
	}
	return c, true
}

// readString reads a path from the memory of the command.
func readString(tid int, addr uintptr) string {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", tid))
	if err != nil {
		return ""
	}
	defer mem.Close()
	buf := make([]byte, 4096)
	n, _ := mem.ReadAt(buf, int64(addr)) //nolint:gosec // an address; short at the end of a mapping
	text, _, _ := bytes.Cut(buf[:n], []byte{0})
	return string(text)
}
