package probe

import (
	"bufio"
	"bytes"
	"strings"
)

func askRedis(x *exchange) (Outcome, error) {
	if err := x.send([]byte("*1\r\n$4\r\nPING\r\n")); err != nil {
		return Outcome{}, err
	}
	return readRedis(x.in)
}

func readRedis(r *bufio.Reader) (Outcome, error) {
	text, err := line(r)
	if err != nil {
		return Outcome{}, err
	}
	message, isError := bytes.CutPrefix(text, []byte("-"))
	code, _, _ := strings.Cut(string(message), " ")
	switch {
	case string(text) == "+PONG":
		return outcome(Serving, OK, "PING gave PONG"), nil
	case !isError:
		return Outcome{}, protocolError(text)
	case code == "NOAUTH" || code == "NOPERM": // it also answers so while it loads
		return outcome(Serving, OK, "it answers, and asks for a password"), nil
	case code == "LOADING":
		o := outcome(Loading, StartingUp, "%s", quote(message))
		o.Progress = progress(string(message))
		return o, nil
	}
	return outcome(Wrong, ServerError, "PING failed: %s", quote(message)), nil
}
