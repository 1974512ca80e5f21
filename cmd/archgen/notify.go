package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/archipelago-os/archipelago/units/probe"
)

// teller says how the waiting for an app goes: to systemd where it listens,
// else to a person.
type teller struct {
	app    string
	person io.Writer
	// systemd is the service's socket for notifications, or nil.
	systemd *net.UnixConn
	// ahead is how far the start timeout of a loading app is put off.
	ahead time.Duration

	text     string
	extended time.Time
	sent     bool
}

const (
	// slack is how long a loading app may take longer for an answer than it
	// should, until systemd takes it for hung.
	slack = 30 * time.Second
	// renewal is how often the start timeout is put off.
	renewal = 5 * time.Second
	// barrierTimeout is for a manager that is busy with the boot.
	barrierTimeout = 5 * time.Second
)

// teller opens the way to whoever listens. timeout is that of one question.
func (c *cli) teller(app string, timeout time.Duration) *teller {
	t := &teller{app: app, person: c.stderr, ahead: slack + timeout}
	if path := c.getenv("NOTIFY_SOCKET"); path != "" {
		conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil { // what can't be shown is still waited for
			fmt.Fprintf(c.stderr, "archgen: systemctl status can't show what app@%s waits for: %v\n", app, err)
			return t
		}
		t.systemd = conn
	}
	return t
}

// tell passes an answer on that is not good enough yet.
func (t *teller) tell(o probe.Outcome) {
	text := "waiting: "
	if o.State == probe.Loading {
		text = "loading: "
	}
	t.status(text + o.Detail)
	if o.State == probe.Loading && t.systemd != nil && time.Since(t.extended) >= renewal {
		t.extended = time.Now()
		t.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", t.ahead.Microseconds()))
	}
}

// status shows a text if it is another than before; an empty one takes it away.
func (t *teller) status(text string) {
	if text == t.text {
		return
	}
	t.text = text
	switch {
	case t.systemd != nil:
		t.send("STATUS=" + text)
	case text != "":
		fmt.Fprintf(t.person, "app@%s: %s\n", t.app, text)
	}
}

// send is in vain where the manager is gone, and then nobody needs it.
func (t *teller) send(message string) {
	t.sent = true
	_, _ = t.systemd.Write([]byte(message))
}

func (t *teller) close() {
	if t.systemd == nil {
		return
	}
	if t.sent {
		t.barrier()
	}
	_ = t.systemd.Close()
}

// barrier returns when systemd has read what was sent: it ignores a message
// whose sender has ended. It closes its end of a pipe that comes with a message
// when it has come that far.
func (t *teller) barrier() {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return
	}
	defer ours.Close()
	err = t.sendWith(theirs, "BARRIER=1")
	theirs.Close()
	if err != nil || ours.SetReadDeadline(time.Now().Add(barrierTimeout)) != nil {
		return
	}
	_, _ = ours.Read(make([]byte, 1))
}

// sendWith sends a message with an open file. The method that package net has
// for it does not work on a socket that is connected.
func (t *teller) sendWith(f *os.File, message string) error {
	raw, err := t.systemd.SyscallConn()
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
