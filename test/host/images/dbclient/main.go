// Command dbclient logs in to a database server and depends on it as mempool's API
// and NBXplorer do: it exits 1 when it can't connect at its start, and whenever the
// server refuses its password. It keeps its connection, and opens another one after
// the server has closed it.
//
//	dbclient mariadb HOST:PORT USER DATABASE FILE
//	dbclient postgres HOST:PORT USER DATABASE FILE
//
// FILE has the password in a line password=VALUE. Each HTTP request on :8080 is
// answered with 200 after a query on the connection, or with 503. What the program does
// with some passwords depends on how they begin:
//
//	refused   it exits 1
//	ends      it exits 0
//	hangs     it neither answers nor ends
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the hash of mysql_native_password
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const usage = "usage: dbclient mariadb|postgres HOST:PORT USER DATABASE FILE"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "dbclient:", err)
		os.Exit(1)
	}
}

// errRefused says that the server refuses the password.
var errRefused = errors.New("access denied")

// session is a connection on which the server has accepted the password.
type session interface {
	query() error
	Close() error
}

// login opens a session over a new connection.
type login func(c net.Conn, user, database, password string) (session, error)

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop() // as PID 1 it would otherwise ignore them
	if len(args) == 1 && args[0] == "help" {
		_, err := fmt.Fprintln(os.Stdout, usage)
		return err
	}
	logins := map[string]login{"mariadb": mariadb, "postgres": postgres}
	if len(args) != 5 || logins[args[0]] == nil {
		return errors.New(usage)
	}
	password, err := passwordIn(args[4])
	switch {
	case err != nil:
		return err
	case strings.HasPrefix(password, "refused"):
		return errors.New("this program does not take the password")
	case strings.HasPrefix(password, "ends"):
		return nil
	case strings.HasPrefix(password, "hangs"):
		<-ctx.Done()
		return nil
	}
	c := &client{open: func() (session, error) {
		connection, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", args[1])
		if err != nil {
			return nil, err
		}
		s, err := logins[args[0]](connection, args[2], args[3], password)
		if err != nil {
			_ = connection.Close()
		}
		return s, err
	}}
	if err := c.ask(); err != nil {
		return err
	}
	return c.serve(ctx)
}

const timeout = 3 * time.Second

func passwordIn(file string) (string, error) {
	text, err := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "password="); ok {
			return strings.TrimSuffix(value, "\n"), nil
		}
	}
	return "", errors.Join(err, errors.New("there is no password in "+file))
}

// client keeps one session.
type client struct {
	open func() (session, error)
	mu   sync.Mutex
	now  session
}

// ask queries the server. If the session is lost, the next call opens a new one.
func (c *client) ask() (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == nil {
		if c.now, err = c.open(); err != nil {
			c.now = nil
			return err
		}
	}
	if err = c.now.query(); err != nil {
		_ = c.now.Close()
		c.now = nil
	}
	return err
}

// serve answers requests, and also queries the server itself, until ctx ends or the server
// refuses the password.
func (c *client) serve(ctx context.Context) error {
	ended := make(chan error, 1)
	end := func(err error) {
		select {
		case ended <- err:
		default:
		}
	}
	server := &http.Server{Addr: ":8080", ReadHeaderTimeout: timeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := c.ask(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})}
	go func() { end(server.ListenAndServe()) }()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return server.Close()
		case err := <-ended:
			return err
		case <-tick.C:
			if err := c.ask(); errors.Is(err, errRefused) {
				return err
			} else if err != nil {
				fmt.Fprintln(os.Stderr, "dbclient:", err)
			}
		}
	}
}

// mariadbSession speaks MariaDB's protocol: packets of three bytes of length, one of
// sequence, and a payload.
type mariadbSession struct {
	net.Conn
	in       *bufio.Reader
	sequence byte
}

func mariadb(c net.Conn, user, database, password string) (session, error) {
	s := &mariadbSession{Conn: c, in: bufio.NewReader(c)}
	hello, err := s.read()
	if err != nil {
		return nil, err
	}
	_, rest, ok := bytes.Cut(hello[1:], []byte{0}) // the version of the server
	if !ok || hello[0] != 10 || len(rest) < 44 {
		return nil, fmt.Errorf("the server greets with %q", hello)
	}
	scramble := append(bytes.Clone(rest[4:12]), rest[31:43]...)
	const capabilities = 1 | 8 | 0x200 | 0x8000 | 0x80000 // MYSQL, CONNECT_WITH_DB, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH
	answer := binary.LittleEndian.AppendUint32(nil, capabilities)
	answer = binary.LittleEndian.AppendUint32(answer, 1<<24-1)
	answer = append(answer, 45) // utf8mb4
	answer = append(answer, make([]byte, 23)...)
	answer = append(append(answer, user...), 0, sha1.Size)
	answer = append(answer, nativePassword(scramble, password)...)
	answer = append(append(answer, database...), 0)
	answer = append(append(answer, "mysql_native_password"...), 0)
	if err := s.write(answer); err != nil {
		return nil, err
	}
	said, err := s.read()
	if err == nil && said[0] == 0xfe { // another method, or another scramble
		method, scramble, _ := bytes.Cut(said[1:], []byte{0})
		if string(method) != "mysql_native_password" {
			return nil, fmt.Errorf("the server wants %s", method)
		}
		if err = s.write(nativePassword(bytes.TrimSuffix(scramble, []byte{0}), password)); err == nil {
			said, err = s.read()
		}
	}
	return s, errors.Join(err, mariadbError(said))
}

// query sends a statement that has no rows.
func (s *mariadbSession) query() error {
	s.sequence = 0
	if err := s.write([]byte("\x03DO 1")); err != nil {
		return err
	}
	said, err := s.read()
	return errors.Join(err, mariadbError(said))
}

func mariadbError(said []byte) error {
	if len(said) < 3 || said[0] != 0xff {
		return nil
	}
	text := string(said[3:])
	if code := binary.LittleEndian.Uint16(said[1:]); code == 1045 {
		return fmt.Errorf("%w: %s", errRefused, text)
	}
	return errors.New(text)
}

func (s *mariadbSession) read() ([]byte, error) {
	if err := s.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(s.in, head); err != nil {
		return nil, err
	}
	s.sequence = head[3] + 1
	text := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	_, err := io.ReadFull(s.in, text)
	if err == nil && len(text) == 0 {
		err = errors.New("the server sent an empty packet")
	}
	return text, err
}

func (s *mariadbSession) write(text []byte) error {
	packet := append([]byte{byte(len(text)), byte(len(text) >> 8), byte(len(text) >> 16), s.sequence}, text...)
	_, err := s.Write(packet)
	return err
}

// nativePassword is SHA1(password) XOR SHA1(scramble + SHA1(SHA1(password))).
func nativePassword(scramble []byte, password string) []byte {
	first := sha1.Sum([]byte(password))                           //nolint:gosec // as above
	second := sha1.Sum(first[:])                                  //nolint:gosec // as above
	mask := sha1.Sum(append(bytes.Clone(scramble), second[:]...)) //nolint:gosec // as above
	for i := range first {
		first[i] ^= mask[i]
	}
	return first[:]
}

// postgresSession speaks PostgreSQL's protocol: messages of a byte of type, four of
// length, and a body.
type postgresSession struct {
	net.Conn
	in *bufio.Reader
}

func postgres(c net.Conn, user, database, password string) (session, error) {
	s := &postgresSession{Conn: c, in: bufio.NewReader(c)}
	const version = 3 << 16
	hello := binary.BigEndian.AppendUint32(nil, version)
	hello = append(hello, "user\x00"+user+"\x00database\x00"+database+"\x00\x00"...)
	if _, err := s.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(hello)+4)), hello...)); err != nil {
		return nil, err
	}
	p := scram{password: password, nonce: rand.Text()}
	return s, s.untilReady(p.answer)
}

// query waits for the end of a statement.
func (s *postgresSession) query() error {
	if err := s.send('Q', []byte("SELECT 1\x00")); err != nil {
		return err
	}
	return s.untilReady(func(uint32, []byte) ([]byte, error) { return nil, errors.New("it asks for the password again") })
}

// untilReady reads messages until the server is ready for a query.
func (s *postgresSession) untilReady(authenticate func(kind uint32, text []byte) ([]byte, error)) error {
	for {
		kind, body, err := s.receive()
		switch {
		case err != nil:
			return err
		case kind == 'Z':
			return nil
		case kind == 'E':
			text := strings.ReplaceAll(string(bytes.Trim(body, "\x00")), "\x00", " ")
			if strings.Contains(text, "28P01") {
				return fmt.Errorf("%w: %s", errRefused, text)
			}
			return errors.New(text)
		case kind == 'R' && len(body) >= 4:
			answer, err := authenticate(binary.BigEndian.Uint32(body), body[4:])
			if err == nil && answer != nil {
				err = s.send('p', answer)
			}
			if err != nil {
				return err
			}
		}
	}
}

func (s *postgresSession) send(kind byte, body []byte) error {
	message := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	_, err := s.Write(append(message, body...))
	return err
}

func (s *postgresSession) receive() (kind byte, body []byte, err error) {
	if err := s.SetDeadline(time.Now().Add(timeout)); err != nil {
		return 0, nil, err
	}
	head := make([]byte, 5)
	if _, err := io.ReadFull(s.in, head); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size < 4 || size > 1<<20 {
		return 0, nil, fmt.Errorf("a message of %d bytes", size)
	}
	body = make([]byte, size-4)
	_, err = io.ReadFull(s.in, body)
	return head[0], body, err
}

// scram is the client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677).
type scram struct{ password, nonce string }

func (p scram) answer(kind uint32, text []byte) ([]byte, error) {
	first := "n=,r=" + p.nonce
	switch kind {
	case 0, 12: // accepted; the proof of the server
		return nil, nil
	case 10:
		message := append([]byte("SCRAM-SHA-256\x00"), binary.BigEndian.AppendUint32(nil, uint32(len(first)+3))...)
		return append(message, "n,,"+first...), nil
	case 11:
		return p.proof(first, string(text))
	}
	return nil, fmt.Errorf("the server wants method %d", kind)
}

func (p scram) proof(first, server string) ([]byte, error) {
	fields := map[string]string{}
	for field := range strings.SplitSeq(server, ",") {
		key, value, _ := strings.Cut(field, "=")
		fields[key] = value
	}
	salt, err := base64.StdEncoding.DecodeString(fields["s"])
	if err != nil {
		return nil, err
	}
	rounds, err := strconv.Atoi(fields["i"])
	if err != nil {
		return nil, err
	}
	salted, err := pbkdf2.Key(sha256.New, p.password, salt, rounds, sha256.Size)
	if err != nil {
		return nil, err
	}
	last := "c=biws,r=" + fields["r"]
	key := sign(salted, "Client Key")
	stored := sha256.Sum256(key)
	for i, b := range sign(stored[:], first+","+server+","+last) {
		key[i] ^= b
	}
	return []byte(last + ",p=" + base64.StdEncoding.EncodeToString(key)), nil
}

func sign(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
