package faults

import (
	"syscall"
	"unsafe"
)

const (
	sysNewfstatat = syscall.SYS_FSTATAT
	sysRenameat2  = 276
	sysGetCPU     = 168
	sysStatx      = 291
	sysSyncfs     = 267

	ptraceGetRegSet = 0x4204
	ptraceSetRegSet = 0x4205
	generalRegs     = 1     // NT_PRSTATUS
	callNumber      = 0x404 // NT_ARM_SYSTEM_CALL
)

// skip makes the kernel skip the call that a thread is about to make.
func skip(tid int) error {
	none := int32(-1)
	return regSet(ptraceSetRegSet, tid, callNumber, unsafe.Pointer(&none), unsafe.Sizeof(none))
}

// setResult makes the call that a thread returns from fail.
func setResult(tid int, errno syscall.Errno) error {
	var r syscall.PtraceRegs
	if err := regSet(ptraceGetRegSet, tid, generalRegs, unsafe.Pointer(&r), unsafe.Sizeof(r)); err != nil {
		return err
	}
	r.Regs[0] = -uint64(errno)
	return regSet(ptraceSetRegSet, tid, generalRegs, unsafe.Pointer(&r), unsafe.Sizeof(r))
}

func regSet(request uintptr, tid int, set uintptr, data unsafe.Pointer, size uintptr) error {
	vec := syscall.Iovec{Base: (*byte)(data), Len: uint64(size)}
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, request, uintptr(tid), set, uintptr(unsafe.Pointer(&vec)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
