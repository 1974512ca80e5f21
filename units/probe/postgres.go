package probe

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// startup requests a session. A server without authentication would log an unknown role; postgres
// usually exists.
var startup = message("\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00application_name\x00archipelago\x00\x00")

// message prefixes a message with its length, which includes itself.
func message(text string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(4+len(text))), text...)
}

func askPostgres(x *exchange) (Outcome, error) {
	if err := x.send(startup); err != nil {
		return Outcome{}, err
	}
	o, open, err := readPostgres(x.in)
	if open {
		// The server logs a connection that breaks, but not one that is closed properly.
		x.within(farewell)
		_ = x.send(append([]byte("X"), message("")...))
		_, _ = io.Copy(io.Discard, x.in)
	}
	return o, err
}

// readPostgres reads up to the first message that is not a notice; open reports that the server
// has opened a session.
func readPostgres(r *bufio.Reader) (o Outcome, open bool, err error) {
	for {
		kind, err := r.ReadByte()
		if err != nil {
			return Outcome{}, false, err
		}
		var length [4]byte
		if _, err := io.ReadFull(r, length[:]); err != nil {
			return Outcome{}, false, err
		}
		n := int(binary.BigEndian.Uint32(length[:])) - 4
		if !strings.ContainsRune("RENv", rune(kind)) || n < 0 || n > limit {
			return Outcome{}, false, protocolError(fmt.Sprintf("a message %q of %d bytes", kind, n))
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(r, text); err != nil {
			return Outcome{}, false, err
		}
		switch kind {
		case 'R':
			return outcome(Serving, OK, "the server accepts sessions"), string(text) == "\x00\x00\x00\x00", nil
		case 'E':
			return judgePostgres(text), false, nil
		}
	}
}

// judgePostgres distinguishes errors of a serving server from others.
func judgePostgres(fields []byte) Outcome {
	var code, text string
	for field := range strings.SplitSeq(string(fields), "\x00") {
		switch {
		case strings.HasPrefix(field, "C"):
			code = field[1:]
		case strings.HasPrefix(field, "M"):
			text = field[1:]
		}
	}
	switch {
	case code == "57P03": // cannot_connect_now
		o := outcome(Loading, StartingUp, "%s", quote(text))
		o.Progress = progress(text)
		return o
	case strings.HasPrefix(code, "28"), strings.HasPrefix(code, "3D"): // no such user or database, or not from this address
		return outcome(Serving, OK, "the server accepts sessions, but refused this one")
	}
	return outcome(Wrong, ServerError, "%s (%s)", quote(text), quote(code))
}
