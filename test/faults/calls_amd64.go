package faults

import (
	"maps"
	"syscall"
)

// Numbers that package syscall lacks.
const (
	sysNewfstatat = syscall.SYS_NEWFSTATAT
	sysRenameat2  = 316
	sysGetCPU     = 309
	sysStatx      = 332
	sysSyncfs     = 306
)

func init() {
	maps.Copy(calls, map[uint64]callKind{ // the calls without a directory, which newer architectures lack
		syscall.SYS_OPEN:   {name: "open", path: 1, writes: true},
		syscall.SYS_STAT:   {name: "stat", path: 1},
		syscall.SYS_LSTAT:  {name: "lstat", path: 1},
		syscall.SYS_RENAME: {name: "rename", path: 2, writes: true},
		syscall.SYS_UNLINK: {name: "unlink", path: 1, writes: true},
		syscall.SYS_RMDIR:  {name: "rmdir", path: 1, writes: true},
		syscall.SYS_MKDIR:  {name: "mkdir", path: 1, writes: true},
		syscall.SYS_CHMOD:  {name: "chmod", path: 1, writes: true},
	})
}

// skip makes the kernel skip the call that a thread is about to make.
func skip(tid int) error {
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tid, &r); err != nil {
		return err
	}
	r.Orig_rax = ^uint64(0)
	return syscall.PtraceSetRegs(tid, &r)
}

// setResult makes the call that a thread returns from fail.
func setResult(tid int, errno syscall.Errno) error {
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tid, &r); err != nil {
		return err
	}
	r.Rax = -uint64(errno)
	return syscall.PtraceSetRegs(tid, &r)
}
