package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseMemory hands memory back that a look at everything took: the heap's, and the
// pages of the program itself. The kernel maps sixteen of those around each that is
// touched, and keeps them; what is needed is there again, from the page cache, when
// it is next touched.
func releaseMemory() {
	debug.FreeOSMemory()
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return // it is only thrift
	}
	defer smaps.Close()
	for _, a := range programAreas(bufio.NewScanner(smaps)) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, a.start, a.end-a.start, unix.MADV_DONTNEED)
	}
}

type area struct{ start, end uintptr }

// programAreas is where the text and the constants of a program are mapped, by
// /proc/PID/smaps: those areas of a file that can't be written and of which no
// page was, as when they were relocated.
func programAreas(smaps *bufio.Scanner) []area {
	var list []area
	var at area
	var isFile bool
	for smaps.Scan() {
		fields := strings.Fields(smaps.Text())
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"):
			_, err := fmt.Sscanf(fields[0], "%x-%x", &at.start, &at.end)
			isFile = err == nil && len(fields) == 6 && strings.HasPrefix(fields[5], "/") && !strings.Contains(fields[1], "w")
		case len(fields) == 3 && fields[0] == "Anonymous:" && isFile && fields[1] == "0":
			list = append(list, at)
		}
	}
	return list
}
