//go:build linux && (amd64 || arm64)

package faults

import (
	"fmt"
	"syscall"
	"unsafe"
)

// callKind describes a call: which argument, from 1, is a path or the address of a socket,
// and whether the call may change a file system. If there is neither, the first argument is
// a descriptor.
type callKind struct {
	name   string
	path   int
	socket int
	writes bool
}

// calls is the file and socket calls that count. Reads count too: they can fail.
var calls = map[uint64]callKind{
	syscall.SYS_OPENAT:     {name: "openat", path: 2},
	syscall.SYS_READ:       {name: "read"},
	syscall.SYS_GETDENTS64: {name: "getdents64"},
	syscall.SYS_FSTAT:      {name: "fstat"},
	sysNewfstatat:          {name: "newfstatat", path: 2},
	syscall.SYS_LSEEK:      {name: "lseek"},
	syscall.SYS_FLOCK:      {name: "flock"},
	syscall.SYS_CLOSE:      {name: "close"},
	syscall.SYS_WRITE:      {name: "write", writes: true},
	syscall.SYS_PWRITE64:   {name: "pwrite64", writes: true},
	syscall.SYS_FSYNC:      {name: "fsync", writes: true},
	syscall.SYS_FDATASYNC:  {name: "fdatasync", writes: true},
	syscall.SYS_FTRUNCATE:  {name: "ftruncate", writes: true},
	syscall.SYS_FALLOCATE:  {name: "fallocate", writes: true},
	syscall.SYS_FCHMOD:     {name: "fchmod", writes: true},
	syscall.SYS_FCHMODAT:   {name: "fchmodat", path: 2, writes: true},
	syscall.SYS_FCHOWNAT:   {name: "fchownat", path: 2, writes: true},
	syscall.SYS_UTIMENSAT:  {name: "utimensat", path: 2, writes: true},
	syscall.SYS_RENAMEAT:   {name: "renameat", path: 4, writes: true},
	sysRenameat2:           {name: "renameat2", path: 4, writes: true},
	syscall.SYS_UNLINKAT:   {name: "unlinkat", path: 2, writes: true},
	syscall.SYS_MKDIRAT:    {name: "mkdirat", path: 2, writes: true},
	syscall.SYS_MKNODAT:    {name: "mknodat", path: 2, writes: true},
	syscall.SYS_LINKAT:     {name: "linkat", path: 4, writes: true},
	syscall.SYS_SYMLINKAT:  {name: "symlinkat", path: 3, writes: true},
	syscall.SYS_READLINKAT: {name: "readlinkat", path: 2},
	syscall.SYS_FACCESSAT:  {name: "faccessat", path: 2},
	sysFaccessat2:          {name: "faccessat2", path: 2},
	sysOpenat2:             {name: "openat2", path: 2},
	sysStatx:               {name: "statx", path: 2},
	syscall.SYS_FSTATFS:    {name: "fstatfs"},
	syscall.SYS_PREAD64:    {name: "pread64"},
	syscall.SYS_IOCTL:      {name: "ioctl", writes: true}, // FICLONE, FS_IOC_SETFLAGS
	syscall.SYS_LLISTXATTR: {name: "llistxattr", path: 1},
	syscall.SYS_LGETXATTR:  {name: "lgetxattr", path: 1},
	syscall.SYS_LSETXATTR:  {name: "lsetxattr", path: 1, writes: true},
	sysSyncfs:              {name: "syncfs", writes: true},

	syscall.SYS_CONNECT:     {name: "connect", socket: 2},
	syscall.SYS_SENDTO:      {name: "sendto"},
	syscall.SYS_SENDMSG:     {name: "sendmsg"},
	syscall.SYS_RECVFROM:    {name: "recvfrom"},
	syscall.SYS_RECVMSG:     {name: "recvmsg"},
	syscall.SYS_GETSOCKOPT:  {name: "getsockopt"},
	syscall.SYS_SETSOCKOPT:  {name: "setsockopt"},
	syscall.SYS_GETSOCKNAME: {name: "getsockname"},
	syscall.SYS_GETPEERNAME: {name: "getpeername"},
	syscall.SYS_SHUTDOWN:    {name: "shutdown"},
}

// Calls that have the same number everywhere, and that package syscall lacks.
const (
	sysOpenat2    = 437
	sysFaccessat2 = 439
)

// callInfo is the part of struct ptrace_syscall_info that is the same at the
// start of a call on every architecture.
type callInfo struct {
	op     uint8
	number uint64
	args   [6]uint64
}

func syscallInfo(tid int) (callInfo, error) {
	var raw struct {
		op    uint8
		_     [3]uint8
		arch  uint32
		ip    uint64
		sp    uint64
		entry [7]uint64
		_     [4]uint64
	}
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, ptraceSyscallInfo, uintptr(tid),
		unsafe.Sizeof(raw), uintptr(unsafe.Pointer(&raw)), 0, 0)
	if errno != 0 {
		return callInfo{}, fmt.Errorf("asking which call thread %d makes: %w", tid, errno)
	}
	return callInfo{raw.op, raw.entry[0], [6]uint64(raw.entry[1:])}, nil
}
