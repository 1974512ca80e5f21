package journal

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAwaitReader: it returns when the other end has read everything, and at once from what
// is no socket.
func TestAwaitReader(t *testing.T) {
	t.Parallel()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	stream, reader := os.NewFile(uintptr(pair[0]), "stream"), os.NewFile(uintptr(pair[1]), "reader")
	defer stream.Close()
	defer reader.Close()
	if _, err := stream.WriteString("a line\n"); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := reader.Read(make([]byte, 100))
		read <- err
	}()
	AwaitReader(stream)
	if unread, err := unix.IoctlGetInt(int(stream.Fd()), unix.SIOCOUTQ); unread != 0 || err != nil {
		t.Errorf("%d bytes are not read, %v", unread, err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	AwaitReader(null)
}
