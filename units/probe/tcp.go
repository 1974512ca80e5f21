package probe

import (
	"errors"
	"io"
	"time"
)

// openFor is how long a connection must stay open. A forwarded port accepts connections even if
// the app does not listen, and then closes them.
const openFor = 300 * time.Millisecond

func askOpen(x *exchange) (Outcome, error) {
	until := x.within(openFor)
	_, err := io.Copy(io.Discard, x.in)
	stayed := isTimeout(err) && !time.Now().Before(until) || errors.Is(err, errFlood)
	switch {
	case err == nil, isClosed(err):
		return outcome(Unreachable, Closed, "the connection was accepted, but closed after %v", time.Since(x.link.opened).Round(time.Millisecond)), nil
	case !stayed:
		return Outcome{}, err
	}
	o := outcome(Serving, OK, "the connection stays open")
	o.Latency = max(x.link.opened.Sub(x.link.dialled), 1)
	return o, nil
}
