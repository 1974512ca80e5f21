package systemdtest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
)

const (
	managerPath      = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerInterface = "org.freedesktop.systemd1.Manager"
)

func objectPath(unit string) dbus.ObjectPath {
	return managerPath + "/unit/" + dbus.ObjectPath(sdbus.PathBusEscape(unit))
}

func jobPath(id uint32) dbus.ObjectPath {
	return managerPath + dbus.ObjectPath(fmt.Sprintf("/job/%d", id))
}

// peer is a connected client.
type peer struct {
	net.Conn
	in  *bufio.Reader
	bus bool

	mutex      sync.Mutex
	rules      []string
	subscribed bool
}

func (m *Manager) accept(l net.Listener, bus bool) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // Stop closed it
		}
		p := &peer{Conn: conn, in: bufio.NewReader(conn), bus: bus}
		m.mutex.Lock()
		if m.down {
			p.hangUp()
		} else {
			m.peers[p] = struct{}{}
		}
		m.mutex.Unlock()
		go m.serve(p)
	}
}

func (m *Manager) serve(p *peer) {
	defer m.forget(p)
	if m.authenticate(p) != nil {
		return
	}
	for {
		message, err := dbus.DecodeMessage(p.in)
		if err != nil {
			return
		}
		if message.Type == dbus.TypeMethodCall {
			m.answer(p, message)
		}
	}
}

func (m *Manager) forget(p *peer) {
	p.hangUp()
	m.mutex.Lock()
	delete(m.peers, p)
	m.mutex.Unlock()
}

// authenticate accepts every client.
func (m *Manager) authenticate(p *peer) error {
	if _, err := p.in.ReadByte(); err != nil {
		return err
	}
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return err
		}
		reply := "ERROR"
		switch words := strings.Fields(line); {
		case len(words) == 0:
		case words[0] == "BEGIN":
			return m.begin(p)
		case words[0] == "AUTH" && len(words) == 1:
			reply = "REJECTED EXTERNAL"
		case words[0] == "AUTH":
			reply = "DATA"
		case words[0] == "DATA":
			reply = "OK 00000000000000000000000000000000"
		}
		if _, err := p.Write([]byte(reply + "\r\n")); err != nil {
			return err
		}
	}
}

// begin ends the authentication. Bytes that arrived with its last line are not handled until more
// arrive.
func (m *Manager) begin(p *peer) error {
	m.mutex.Lock()
	overreads := m.overreads
	m.mutex.Unlock()
	if !overreads {
		return nil
	}
	_, err := p.in.Peek(1)
	if err != nil {
		return err
	}
	_, err = p.in.Peek(p.in.Buffered() + 1)
	return err
}

// answer answers a call, or never does.
func (m *Manager) answer(p *peer, message *dbus.Message) {
	method, _ := message.Headers[dbus.FieldMember].Value().(string)
	m.mutex.Lock()
	switch method {
	case "Ping", "Hello", "AddMatch", "Subscribe":
	default:
		m.calls = append(m.calls, Call{method, message.Body})
	}
	hangs, failure := m.hanging[method], m.failures[method]
	m.mutex.Unlock()
	if hangs {
		return
	}
	var body []any
	err := failure
	if err == nil {
		body, err = m.perform(p, method, message)
	}
	reply := &dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(message.Serial()),
	}}
	if err != nil {
		reply.Type = dbus.TypeError
		name := "org.freedesktop.DBus.Error.Failed"
		if e, ok := errors.AsType[dbus.Error](err); ok {
			name = e.Name
		}
		reply.Headers[dbus.FieldErrorName] = dbus.MakeVariant(name)
		body = []any{err.Error()}
	}
	p.send(reply, body)
}

// send sends a message, unless the client has disconnected.
func (p *peer) send(message *dbus.Message, body []any) {
	message.Body = body
	if len(body) > 0 {
		message.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if err := p.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return
	}
	if err := message.EncodeTo(p, binary.LittleEndian); err != nil {
		p.hangUp()
	}
}

// signal sends a signal to the clients that systemd or the bus would send it to.
func (m *Manager) signal(path dbus.ObjectPath, iface, member string, body ...any) {
	m.mutex.Lock()
	var to []*peer
	for p := range m.peers {
		if !p.bus || p.wants(iface, member) {
			to = append(to, p)
		}
	}
	m.mutex.Unlock()
	for _, p := range to {
		p.send(&dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(path), dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant(member),
		}}, body)
	}
}

// hangUp closes the connection. The client notices that in any case.
func (p *peer) hangUp() { _ = p.Close() }

func (p *peer) unsubscribe() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.subscribed = false
}

// wants reports whether a client gets a signal by the match rules of a bus, as far as clients of
// systemd use them. Without a subscription systemd sends only the ends of jobs.
func (p *peer) wants(iface, member string) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if !p.subscribed && member != "JobRemoved" && member != "NameOwnerChanged" {
		return false
	}
	for _, rule := range p.rules {
		if strings.Contains(rule, "interface='"+iface+"'") || strings.Contains(rule, "member='"+member+"'") {
			return true
		}
	}
	return false
}
