package journal

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// readerTime bounds the waiting for a journal that is busy.
const readerTime = time.Second

// AwaitReader waits until the journal has read what was written to a stream of a service.
// It tells whose it is by the process, and what it reads after the end of that is in no
// unit's log. Of what is no socket nothing is waited for.
func AwaitReader(stream *os.File) {
	deadline := time.After(readerTime)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		unread, err := unix.IoctlGetInt(int(stream.Fd()), unix.SIOCOUTQ)
		if err != nil || unread == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			return
		}
	}
}
