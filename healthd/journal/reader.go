package journal

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// readerTime is how long to wait for a busy journal.
const readerTime = time.Second

// AwaitReader waits until the journal has read what was written to a stream of a service. The
// journal finds the unit of a message through the process, so a message that it reads after
// the process ended is in no unit's log. AwaitReader returns immediately for a stream that is
// not a socket.
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
