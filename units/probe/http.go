package probe

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
)

// answer is a response to an HTTP request.
type answer struct {
	status     int
	retryAfter bool
	body       []byte
	// more reports that the body was longer than the limit.
	more bool
	// keep reports that the connection can be used for another request.
	keep bool
}

// readAnswer reads a response, with its body in the buffer.
func readAnswer(r *bufio.Reader, buffer []byte) (answer, error) {
	h, err := readHead(r)
	for err == nil && h.status/100 == 1 && h.status != 101 {
		h, err = readHead(r) // interim answers don't count
	}
	if err != nil {
		return answer{}, err
	}
	a := answer{status: h.status, retryAfter: h.retryAfter, body: buffer[:0], keep: h.keep}
	if err := a.readBody(r, h); !errors.Is(err, errFlood) {
		return a, err
	}
	a.more, a.keep = true, false
	return a, nil
}

// head is the part of a response before its body.
type head struct {
	status     int
	retryAfter bool
	keep       bool
	chunked    bool
	// length is the length of the body, -1 if it is not given.
	length int64
}

func readHead(r *bufio.Reader) (head, error) {
	text, err := line(r)
	if err != nil {
		return head{}, err
	}
	h := head{length: -1}
	version, rest, _ := bytes.Cut(text, []byte(" "))
	code, _, _ := bytes.Cut(rest, []byte(" "))
	status, ok := number(code, 10)
	if !ok || len(code) != 3 || status < 100 || !bytes.HasPrefix(version, []byte("HTTP/1.")) || len(version) != len("HTTP/1.1") {
		return head{}, protocolError(text)
	}
	h.status, h.keep = int(status), version[7] == '1'
	for {
		text, err := line(r)
		if err != nil || len(text) == 0 {
			return h, err
		}
		if err := h.field(text); err != nil {
			return head{}, err
		}
	}
}

// field reads one line of a head.
func (h *head) field(text []byte) error {
	if text[0] == ' ' || text[0] == '\t' {
		return nil // continues a field that is ignored; any other was invalid
	}
	name, value, found := bytes.Cut(text, []byte(":"))
	if !found {
		return protocolError(text)
	}
	value = bytes.TrimSpace(value)
	switch {
	case is(name, "Content-Length"):
		n, ok := number(value, 10)
		if !ok || h.length >= 0 && h.length != n {
			return protocolError(text)
		}
		h.length = n
	case is(name, "Transfer-Encoding"):
		if !is(value, "chunked") || h.chunked {
			return protocolError(text)
		}
		h.chunked = true
	case is(name, "Connection"):
		for token := range bytes.SplitSeq(value, []byte(",")) {
			h.keep = h.keep && !is(bytes.TrimSpace(token), "close")
		}
	case is(name, "Retry-After"):
		h.retryAfter = true
	}
	return nil
}

func is(text []byte, name string) bool {
	return len(text) == len(name) && strings.EqualFold(string(text), name)
}

// number reads digits only.
func number(text []byte, base int) (int64, bool) {
	if len(text) == 0 || text[0] == '+' || text[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(text), base, 64)
	return n, err == nil
}

func (a *answer) readBody(r *bufio.Reader, h head) error {
	switch {
	case h.status == 101 || h.status == 204 || h.status == 304:
		return nil
	case h.chunked:
		return a.readChunks(r)
	case h.length >= 0:
		return a.read(r, h.length)
	}
	a.keep = false
	err := a.read(r, math.MaxInt64)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (a *answer) readChunks(r *bufio.Reader) error {
	for {
		text, err := line(r)
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(text, []byte(";"))
		n, ok := number(bytes.TrimSpace(size), 16)
		if !ok {
			return protocolError(text)
		}
		if n == 0 {
			return skipTrailer(r)
		}
		if err := a.read(r, n); err != nil {
			return err
		}
		if err := endOfChunk(r); err != nil {
			return err
		}
	}
}

func endOfChunk(r *bufio.Reader) error {
	text, err := line(r)
	if err == nil && len(text) > 0 {
		return protocolError(text)
	}
	return err
}

func skipTrailer(r *bufio.Reader) error {
	for {
		if text, err := line(r); err != nil || len(text) == 0 {
			return err
		}
	}
}

// read takes n bytes into the body.
func (a *answer) read(r *bufio.Reader, n int64) error {
	for n > 0 {
		if r.Buffered() == 0 {
			if _, err := r.Peek(1); err != nil {
				return err
			}
		}
		part, _ := r.Peek(int(min(int64(r.Buffered()), n)))
		a.body = append(a.body, part...)
		_, _ = r.Discard(len(part))
		n -= int64(len(part))
	}
	return nil
}
