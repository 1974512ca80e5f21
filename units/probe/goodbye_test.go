package probe

import (
	"io"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorded serves one connection and returns what the probe sent after each message of the server.
func recorded(t *testing.T, kind Kind, words ...string) (asked []string) {
	t.Helper()
	done := make(chan struct{})
	address := server(t, func(c net.Conn) {
		defer close(done)
		_, _ = question(kind, c)
		for _, w := range words {
			_, _ = io.WriteString(c, w)
			b := make([]byte, 512)
			n, _ := c.Read(b)
			asked = append(asked, string(b[:n]))
		}
	})
	check(t, ask(t, target(kind, address)), Serving, OK, "")
	<-done
	return asked
}

// TestMySQLIsLeftAfterARefusedLogin: the server counts a client that disconnects after the
// greeting, and blocks its address after 100 of them.
func TestMySQLIsLeftAfterARefusedLogin(t *testing.T) {
	t.Parallel()
	const login = "\x01\x82\x08\x00" + "\x00\x00\x01\x00" + "\x21" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"archipelago\x00" + "\x00" + "caching_sha2_password\x00"
	refused := packetOf(2, "\xff\x15\x04#28000Access denied")
	greets := greeting("8.4.3", "caching_sha2_password")
	if d := cmp.Diff([]string{packetOf(1, login), ""}, recorded(t, MySQL, greets, refused)); d != "" {
		t.Error(d)
	}
	other := packetOf(2, "\xfemysql_native_password\x00123456789012345678901\x00")
	if d := cmp.Diff([]string{packetOf(1, login), packetOf(3, ""), ""}, recorded(t, MySQL, greets, other, packetOf(4, refused[4:]))); d != "" {
		t.Errorf("with another authentication plugin: %s", d)
	}
}

// TestPostgresSessionsAreEnded: the server logs a session that breaks off, once for each probe. It
// does not log an unfinished login.
func TestPostgresSessionsAreEnded(t *testing.T) {
	t.Parallel()
	open := pg("R", "\x00\x00\x00\x00") + pg("S", "server_version\x0017\x00") + pg("Z", "I")
	if d := cmp.Diff([]string{"X\x00\x00\x00\x04"}, recorded(t, Postgres, open)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{""}, recorded(t, Postgres, pg("R", "\x00\x00\x00\x03"))); d != "" {
		t.Errorf("with a password required: %s", d)
	}
}
