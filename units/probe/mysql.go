package probe

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// The first byte of a packet of the handshake.
const (
	mysqlGreeting = 10
	mysqlError    = 0xff
	mysqlSwitch   = 0xfe
)

// hostNotPrivileged is the error of a server that has no account for the address of the probe.
// Like one that refuses a password, it serves others.
const hostNotPrivileged = 1130

func askMySQL(x *exchange) (Outcome, error) {
	o, plugin, err := readMySQL(x.in)
	if plugin != nil {
		takeLeave(x, plugin)
	}
	return o, err
}

// readMySQL reads the greeting of the server, and the authentication plugin that it proposes, nil
// if it did not greet.
func readMySQL(r *bufio.Reader) (o Outcome, plugin []byte, err error) {
	p, err := packet(r)
	if err != nil {
		return Outcome{}, nil, err
	}
	switch {
	case p[0] == mysqlGreeting:
		version, rest, found := bytes.Cut(p[1:], []byte{0})
		if !found || len(version) == 0 {
			break
		}
		return outcome(Serving, OK, "the server greets as %s", quote(version)), proposed(rest), nil
	case p[0] == mysqlError && len(p) > 3:
		return judgeMySQL(binary.LittleEndian.Uint16(p[1:]), quote(p[3:])), nil, nil
	}
	return Outcome{}, nil, protocolError(fmt.Sprintf("a packet of %d bytes that begins with %#x", len(p), p[0]))
}

func judgeMySQL(code uint16, message string) Outcome {
	if code == hostNotPrivileged {
		return outcome(Serving, OK, "the server answers, but refuses this address")
	}
	return outcome(Wrong, ServerError, "%s (%d)", message, code)
}

// packet reads one packet, which is never empty.
func packet(r *bufio.Reader) ([]byte, error) {
	var head [4]byte // three bytes of length, one of sequence
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	head[3] = 0
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || n > limit {
		return nil, protocolError(fmt.Sprintf("a packet of %d bytes", n))
	}
	p := make([]byte, n)
	_, err := io.ReadFull(r, p)
	return p, err
}

// proposed is the last field of a greeting: the default plugin.
func proposed(rest []byte) []byte {
	const fixed = 4 + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10 // up to the second part of the scramble
	if len(rest) < fixed+13 {
		return []byte{}
	}
	name, _, _ := bytes.Cut(rest[fixed+13:], []byte{0})
	return name[:min(len(name), 64)]
}

// takeLeave logs in as a user that the server does not know. A connection that ends before counts
// against its address, and after 100 of them (max_connect_errors) the server refuses all clients
// from there; a refused login does not count.
func takeLeave(x *exchange, plugin []byte) {
	const capabilities = 1<<0 | 1<<9 | 1<<15 | 1<<19 // long password, 4.1, secure connection, plugin
	p := binary.LittleEndian.AppendUint32(nil, capabilities)
	p = binary.LittleEndian.AppendUint32(p, limit)
	p = append(p, 33) // utf8
	p = append(p, make([]byte, 23)...)
	p = append(p, "archipelago\x00\x00"...) // no password
	p = append(p, plugin...)
	p = append(p, 0)
	x.within(farewell)
	if x.send(numbered(1, p)) != nil {
		return
	}
	if reply, err := packet(x.in); err == nil && reply[0] == mysqlSwitch {
		_ = x.send(numbered(3, nil))
		_, _ = packet(x.in)
	}
}

// numbered makes a packet with a sequence number.
func numbered(sequence byte, p []byte) []byte {
	return append([]byte{byte(len(p)), byte(len(p) >> 8), byte(len(p) >> 16), sequence}, p...)
}
