package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseMemory returns memory that a check of all apps used: the heap, and the pages of the
// program itself. The kernel maps sixteen pages around each page that is touched, and keeps
// them. When the program touches a page again, the kernel maps it from the page cache. The pages
// of the program are 4 of 27 MB with 300 apps, measured after a check of all of them.
func releaseMemory() {
	debug.FreeOSMemory()
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return // this only saves memory
	}
	defer smaps.Close()
	for _, a := range programAreas(bufio.NewScanner(smaps)) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, a.start, a.end-a.start, unix.MADV_DONTNEED)
	}
}

type area struct{ start, end uintptr }

// programAreas is the mapped areas of the code and constants of a program, from
// /proc/PID/smaps: the areas of a file that are not writable and have no page that was
// written, for example by a relocation.
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
