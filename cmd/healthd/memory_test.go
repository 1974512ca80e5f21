package main

import (
	"bufio"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Areas that could lose data are excluded: those that are writable, have no file, or have a
// page that was written once, as by relocations.
func TestProgramAreas(t *testing.T) {
	const smaps = `00400000-008b3000 r-xp 00000000 00:28 991 /usr/libexec/archipelago/healthd
Size:               4812 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
008b3000-00d60000 r--p 004b3000 00:28 991 /usr/libexec/archipelago/healthd
Anonymous:             4 kB
00d60000-00da3000 rw-p 00960000 00:28 991 /usr/libexec/archipelago/healthd
Anonymous:             0 kB
35e385400000-35e385c00000 r--p 00000000 00:00 0
Anonymous:             0 kB
7ffdaf0ee000-7ffdaf0f0000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
`
	want := []area{{0x400000, 0x8b3000}}
	if d := cmp.Diff(want, programAreas(bufio.NewScanner(strings.NewReader(smaps))), cmp.AllowUnexported(area{})); d != "" {
		t.Error(d)
	}
}

func TestGiveBack(t *testing.T) {
	releaseMemory() // the program continues
	TestTell(t)
}
