//go:build linux && (amd64 || arm64)

// Package faults runs a command and, at one chosen file or socket call, kills it or makes
// that call fail. Run for every call, it shows that a program that writes files survives
// any such fault.
//
// It counts calls over all threads: a counter per thread, as in strace, never reaches most
// calls of a Go program, whose goroutines move between threads. It does not trace programs
// that the command runs. It knows nothing about the commands and never judges their
// results.
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
	"unsafe"
)

// Command is what to run.
type Command struct {
	// Args is the program and its arguments, Env its whole environment.
	Args, Env []string
	// Below is a directory: calls count from the first one that names a path in it, so that
	// the start of the program does not count.
	Below string
}

// Fault is the fault of call number At, counted from 1. 0 is no fault. Without an Errno it
// kills the command before the call.
type Fault struct {
	At    int
	Errno syscall.Errno
}

// Call is a file or socket call that the command made.
type Call struct {
	// Path is the path or socket that the call names, or that of its descriptor. In a run
	// with a fault, it is empty for calls before the fault that name a path or socket.
	Name, Path string
	// Writes says that the call may change a file system.
	Writes bool
}

func (c Call) String() string { return strings.TrimSpace(c.Name + " " + c.Path) }

// Result is the outcome of the command.
type Result struct {
	// Calls is the counted calls. If a fault was reached, it is the last call before the
	// end, or a few more, because other threads continue.
	Calls []Call
	// Hit reports whether the fault was reached.
	Hit bool
	// Exit is the exit code, -1 after a kill.
	Exit int
	// Output is what it printed, on standard output and standard error.
	Output string
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
	// The kernel accepts requests only from the thread that started the command.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	restore, err := pin()
	if err != nil {
		return Result{}, err
	}
	defer restore()
	var output bytes.Buffer
	pipe, w, err := os.Pipe()
	if err != nil {
		return Result{}, err
	}
	defer pipe.Close()
	cmd := exec.Command(c.Args[0], c.Args[1:]...) //nolint:gosec,noctx // a test's own command; EXITKILL and Fault.At end it
	cmd.Env, cmd.Stdout, cmd.Stderr = c.Env, w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return Result{}, fmt.Errorf("starting %s under ptrace: %w", c.Args[0], err)
	}
	drained := make(chan struct{})
	go func() { _, _ = output.ReadFrom(pipe); close(drained) }()
	t := &tracer{command: c, fault: f, pid: cmd.Process.Pid, failing: map[int]bool{}}
	err = t.run()
	if err != nil {
		_ = syscall.Kill(-t.pid, syscall.SIGKILL)
	}
	_ = cmd.Process.Release()
	<-drained
	t.result.Output = output.String()
	return t.result, err
}

// pin keeps this thread and its command on the current processor. They take turns:
// switching processors for each turn doubles the time.
func pin() (restore func(), err error) {
	var before, one [128]byte // one bit per processor
	var here uint32
	set := func(mask *[128]byte) syscall.Errno {
		_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(*mask), uintptr(unsafe.Pointer(mask)))
		return errno
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(before), uintptr(unsafe.Pointer(&before)))
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(sysGetCPU, uintptr(unsafe.Pointer(&here)), 0, 0)
	}
	if errno == 0 {
		one[here/8] = 1 << (here % 8)
		errno = set(&one)
	}
	if errno != 0 {
		return nil, fmt.Errorf("staying on one processor: %w", errno)
	}
	return func() { _ = set(&before) }, nil // the original processors
}

type tracer struct {
	command  Command
	fault    Fault
	pid      int
	counting bool
	failing  map[int]bool // threads in a call that will fail
	over     bool         // the call has failed; the command continues untraced
	result   Result
}

func (t *tracer) run() error {
	var ws syscall.WaitStatus
	if _, err := wait(t.pid, &ws); err != nil {
		return fmt.Errorf("waiting for the command's start: %w", err)
	}
	const options = syscall.PTRACE_O_TRACESYSGOOD | syscall.PTRACE_O_TRACECLONE |
		syscall.PTRACE_O_TRACEEXEC | ptraceExitKill
	if err := syscall.PtraceSetOptions(t.pid, options); err != nil {
		return fmt.Errorf("setting up ptrace: %w", err)
	}
	tid := t.pid
	for signal := 0; ; {
		if tid != 0 {
			if err := t.resume(tid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("continuing the command: %w", err)
			}
		}
		var err error
		// Other children of this thread are in other groups.
		if tid, err = wait(-t.pid, &ws); errors.Is(err, syscall.ECHILD) {
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

// resume continues a stopped thread, to its next stop while stops are needed.
func (t *tracer) resume(tid, signal int) error {
	if !t.over {
		return syscall.PtraceSyscall(tid, signal)
	}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, syscall.PTRACE_DETACH, uintptr(tid), 0, uintptr(signal), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
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
		t.over = true
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
		return syscall.Kill(t.pid, syscall.SIGKILL)
	}
	t.failing[tid] = true
	if call.Name == "close" { // close frees the descriptor, whatever it returns
		return nil
	}
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
	before := t.counting && len(t.result.Calls)+1 < t.fault.At
	switch {
	case before && kind.path+kind.socket > 0:
	case kind.path > 0:
		c.Path = readString(tid, uintptr(info.args[kind.path-1]))
	case kind.socket > 0:
		const family = 2 // bytes, before the path
		c.Path = readString(tid, uintptr(info.args[kind.socket-1])+family)
	default:
		c.Path, _ = os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, int32(info.args[0]))) // empty where it is closed
		if strings.HasPrefix(c.Path, "anon_inode:") {
			return Call{}, false // a call of the Go runtime, which does not fail
		}
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
