package prestart

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/archipelago-os/archipelago/units/probe"
	"github.com/archipelago-os/archipelago/units/status"
)

// notifier reports what a command waits for: to systemd if it has a notification socket,
// otherwise on standard error.
type notifier struct {
	app    string
	stderr io.Writer
	// systemd is the notification socket of the service, or nil.
	systemd *net.UnixConn
	// extension is how much longer the start timeout becomes for a loading app.
	extension time.Duration

	text     string
	extended time.Time
	sent     bool
}

const (
	// slack is how long after the probe's timeout a loading app may take to answer before
	// systemd considers it hung.
	slack = 30 * time.Second
	// renewal is how often the start timeout is extended.
	renewal = 5 * time.Second
	// barrierTimeout is enough for a manager that is busy during boot.
	barrierTimeout = 5 * time.Second
)

// startNotifier connects to systemd's notification socket, if there is one. timeout is that
// of one probe.
func (e *Env) startNotifier(app string, timeout time.Duration) *notifier {
	n := &notifier{app: app, stderr: e.Stderr, extension: slack + timeout}
	if e.NotifySocket == "" {
		return n
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: e.NotifySocket, Net: "unixgram"})
	if err != nil { // the command waits in any case
		fmt.Fprintf(e.Stderr, "archgen: systemctl status can't show what app@%s waits for: %v\n", app, err)
		return n
	}
	n.systemd = conn
	return n
}

// report reports an answer below the level.
func (n *notifier) report(o probe.Outcome) {
	n.status(status.StartText(o))
	if o.State == probe.Loading && n.systemd != nil && time.Since(n.extended) >= renewal {
		n.extended = time.Now()
		n.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", n.extension.Microseconds()))
	}
}

// status sets the status text if it differs from the one before. An empty text removes it.
func (n *notifier) status(text string) {
	if text == n.text {
		return
	}
	n.text = text
	switch {
	case n.systemd != nil:
		n.send("STATUS=" + text)
	case text != "":
		fmt.Fprintf(n.stderr, "app@%s: %s\n", n.app, text)
	}
}

// send ignores errors: the manager is gone then.
func (n *notifier) send(message string) {
	n.sent = true
	_, _ = n.systemd.Write([]byte(message))
}

func (n *notifier) close() {
	if n.systemd == nil {
		return
	}
	if n.sent {
		n.barrier()
	}
	_ = n.systemd.Close()
}

// barrier returns when systemd has read all messages, because systemd ignores messages of a
// process that has ended. systemd closes its end of the pipe sent with BARRIER=1 once it
// has read the messages before.
func (n *notifier) barrier() {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return
	}
	defer ours.Close()
	err = n.sendWith(theirs, "BARRIER=1")
	theirs.Close()
	if err != nil || ours.SetReadDeadline(time.Now().Add(barrierTimeout)) != nil {
		return
	}
	_, _ = ours.Read(make([]byte, 1))
}

// sendWith sends a message with an open file. The corresponding method of package net does
// not work on a connected socket.
func (n *notifier) sendWith(f *os.File, message string) error {
	raw, err := n.systemd.SyscallConn()
	if err != nil {
		return err
	}
	rights := syscall.UnixRights(int(f.Fd()))
	var sendErr error
	err = raw.Write(func(fd uintptr) bool {
		sendErr = syscall.Sendmsg(int(fd), []byte(message), rights, nil, 0)
		return !errors.Is(sendErr, syscall.EAGAIN)
	})
	return errors.Join(err, sendErr)
}
