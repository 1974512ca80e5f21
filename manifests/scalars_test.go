package manifests_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

// container decodes keys of a container; values stand in YAML's flow form.
func container(t *testing.T, keys string) (*manifests.Container, diag.List) {
	t.Helper()
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{
		Name: "x.yaml", Data: []byte("app: {id: x, name: x, version: 1.0.0, container: {image: x, " + keys + "}}\n"),
	}})
	if m == nil {
		t.Fatalf("%s: %v", keys, diags)
	}
	return m.Document.App.Container, diags
}

// quote writes a text as a YAML scalar in single quotes.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// A command in one string is split like a shell would; nothing is expanded.
func TestCommandIsSplitIntoWords(t *testing.T) {
	for text, want := range map[string][]string{
		"a b  c":              {"a", "b", "c"},
		" a\tb ":              {"a", "b"},
		`'a b' "c d"`:         {"a b", "c d"},
		`a"b c"'d e'f`:        {"ab cd ef"},
		`"" a ''`:             {"", "a", ""},
		`a\ b \"`:             {"a b", `"`},
		`"a\"b\\c\d"`:         {`a"b\c\d`},
		`'a\b'`:               {`a\b`},
		`'$(x)' "a;b" \$\(x`:  {"$(x)", "a;b", "$(x"},
		`"it's"`:              {"it's"},
		"${app.id} $x":        {"${app.id}", "$x"},
		"a=b --c='d e' -- -f": {"a=b", "--c=d e", "--", "-f"},
		"":                    nil,
	} {
		c, diags := container(t, "command: "+quote(text))
		if len(diags) > 0 || !slices.Equal(c.Command, want) {
			t.Errorf("%s: %q, want %q (%v)", text, c.Command, want, diags)
		}
	}
}

func TestCommandThatNeedsAShellIsRefused(t *testing.T) {
	for text, says := range map[string]string{
		"a; b": "needs a shell", "a && b": "needs a shell", "a | b": "needs a shell", "a > b": "needs a shell", "a < b": "needs a shell",
		"a `b`": "needs a shell", "a $(b)": "needs a shell", "a 'b": "is not closed", `a "b`: "is not closed", `a\`: "ends with a backslash",
	} {
		_, diags := container(t, "command: "+quote(text))
		if len(diags) != 1 || diags[0].Code != diag.BadValue || !strings.Contains(diags[0].Message, says) {
			t.Errorf("%s: %v", text, diags)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1s": time.Second, "90s": 90 * time.Second, "20m": 20 * time.Minute, "1h30m": 90 * time.Minute, "1d": 24 * time.Hour,
		"1h1m1s1000ms": time.Hour + time.Minute + 2*time.Second, "0d1h": time.Hour,
	} {
		c, diags := container(t, "start: {timeout: "+text+"}")
		if len(diags) > 0 || time.Duration(c.Start.Timeout) != want {
			t.Errorf("%s: %v (%v)", text, time.Duration(c.Start.Timeout), diags)
		}
	}
	for _, text := range []string{"90", "1.5h", "-1s", "5min", "1 h", "", "s", "1h30", "1H", "1s,", "9999999999s", "1e3s"} {
		refused(t, "start: {timeout: "+quote(text)+"}")
	}
	for _, text := range []string{"0s", "999ms", "8d", "999999999w"} {
		outOfRange(t, "start: {timeout: "+text+"}")
	}
}

// Durations are written the way systemd and this program read them.
func TestDurationsAreWrittenInTheirUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 90 * time.Second: "1m30s", 25 * time.Hour: "1d1h", 7 * 24 * time.Hour: "1w", 1500 * time.Millisecond: "1s500ms",
	} {
		if got := manifests.Duration(d).String(); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]struct {
		bytes   int64
		written string
	}{
		"6m": {6 << 20, "6m"}, "512M": {512 << 20, "512m"}, "4g": {4 << 30, "4g"}, "4GiB": {4 << 30, "4g"}, "4gb": {4 << 30, "4g"},
		"1t": {1 << 40, "1024g"}, "8192k": {8 << 20, "8m"}, "8388609": {8<<20 + 1, "8388609b"},
	} {
		c, diags := container(t, "limits: {memory: "+text+"}")
		if len(diags) > 0 || int64(c.Limits.Memory) != want.bytes || c.Limits.Memory.String() != want.written {
			t.Errorf("%s: %d written %v (%v)", text, c.Limits.Memory, c.Limits.Memory, diags)
		}
	}
	for _, text := range []string{"1.5g", "-1m", "64 MB", "", "m", "10p", "4g4m", "999999999999999t", "1e9"} {
		refused(t, "limits: {memory: "+quote(text)+"}")
	}
	outOfRange(t, "limits: {memory: 5m}")
}

func TestModes(t *testing.T) {
	for text, want := range map[string]string{`"0400"`: "0400", "0640": "0640", `"1777"`: "1777", `"4755"`: "4755", `"00600"`: "0600"} {
		c, diags := container(t, "tmpfs: [{target: /t, mode: "+text+"}]")
		if len(diags) > 0 || c.Tmpfs[0].Mode.String() != want {
			t.Errorf("%s: %v (%v)", text, c.Tmpfs[0].Mode, diags)
		}
	}
	for _, text := range []string{"400", "0888", "0o400", "rw-r--r--", "0000", "77777", "-0400", "256", "04000000"} {
		refused(t, "tmpfs: [{target: /t, mode: "+quote(text)+"}]")
	}
}

func TestDecimalsStayAsWritten(t *testing.T) {
	for _, text := range []string{"2", "0.5", "1.50", "0.000001"} {
		c, diags := container(t, "limits: {cpus: "+text+"}")
		if len(diags) > 0 || string(c.Limits.CPUs) != text {
			t.Errorf("%s: %s (%v)", text, c.Limits.CPUs, diags)
		}
	}
	for _, text := range []string{"0", "0.0", "-1", "two", "1e3", ".5", "1,5", "1.", "inf"} {
		refused(t, "limits: {cpus: "+quote(text)+"}")
	}
}

func TestShortPorts(t *testing.T) {
	for text, want := range map[string]manifests.Port{
		"80":                           {Container: 80, Count: 1, Protocol: "tcp", Bind: "127.0.0.1"},
		"8080:80":                      {Host: 8080, Container: 80, Count: 1, Protocol: "tcp", Bind: "127.0.0.1"},
		"53:53/udp":                    {Host: 53, Container: 53, Count: 1, Protocol: "udp", Bind: "127.0.0.1"},
		"0.0.0.0:8080:80":              {Bind: "0.0.0.0", Host: 8080, Container: 80, Count: 1, Protocol: "tcp"},
		"[::1]:8080:80/tcp":            {Bind: "::1", Host: 8080, Container: 80, Count: 1, Protocol: "tcp"},
		"8000-8009:9000-9009":          {Host: 8000, Container: 9000, Count: 10, Protocol: "tcp", Bind: "127.0.0.1"},
		"[::]:7000-7001:7000-7001/udp": {Bind: "::", Host: 7000, Container: 7000, Count: 2, Protocol: "udp"},
	} {
		c, diags := container(t, "ports: ["+quote(text)+"]")
		if len(diags) > 0 || c.Ports[0] != want {
			t.Errorf("%s: %+v (%v)", text, c.Ports[0], diags)
		}
	}
	for _, text := range []string{"a", "80:", ":80", "1:2:3:4", "80/sctp", "8000-8001:80", "9-8", "[::1:80:80", "1-2-3", "-1", "localhost:80:80"} {
		if _, diags := container(t, "ports: ["+quote(text)+"]"); !diags.HasErrors() {
			t.Errorf("%s is accepted", text)
		}
	}
}

func refused(t *testing.T, keys string) {
	t.Helper()
	if _, diags := container(t, keys); len(diags) != 1 || diags[0].Code != diag.BadValue {
		t.Errorf("%s: %v, want one bad-value", keys, diags)
	}
}

func outOfRange(t *testing.T, keys string) {
	t.Helper()
	if _, diags := container(t, keys); len(diags) != 1 || diags[0].Code != diag.OutOfRange {
		t.Errorf("%s: %v, want one out-of-range", keys, diags)
	}
}
