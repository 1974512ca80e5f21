package generator

import (
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/manifests"
)

// What stands in the unit file for a value that has to arrive as it is.
func TestEscapedText(t *testing.T) {
	for _, c := range []struct {
		class class
		value string
		want  string
	}{
		// Words that mean themselves are not quoted: people read unit files.
		{words, `NAME=value`, `NAME=value`},
		{words, `-rpcbind=0.0.0.0:8332`, `-rpcbind=0.0.0.0:8332`},
		{words, `a@b,c/d+e_f.g`, `a@b,c/d+e_f.g`},
		// Everything else is one quoted word.
		{words, `A=a b`, `"A=a b"`},
		{words, ` outer `, `" outer "`},
		{words, `say "hi"`, `"say \"hi\""`},
		{words, `it's`, `"it's"`},
		{words, `C:\new\x41`, `"C:\\new\\x41"`},
		{words, `end\`, `"end\\"`},
		{words, "two\nlines\tand\ttabs", `"two\nlines\tand\ttabs"`},
		{words, "\r\x01\x1b\x7f", `"\x0d\x01\x1b\x7f"`},
		{words, `100%`, `"100%%"`},
		{words, `%n %% %`, `"%%n %%%% %%"`},
		{words, `$HOME ${X} $$ $`, `"$$HOME $${X} $$$$ $$"`},
		{words, `#not a comment`, `"#not a comment"`},
		{words, `a;b`, `"a;b"`},
		{words, "\ufffd\ufdcf\U0010fffd", "\"\ufffd\ufdcf\U0010fffd\""},
		{words, "grün 🏝 \u0085\u00a0\u2028", "\"grün 🏝 \u0085\u00a0\u2028\""},
		{command, `--condition=healthy`, `--condition=healthy`},
		{command, `$5 and 5%`, `"$$5 and 5%%"`},
		// systemd replaces what only the machine knows.
		{words, "A=$X " + manifests.FactMark("ARCHIPELAGO_X") + "%", `"A=$$X ${ARCHIPELAGO_X}%%"`},
		{words, manifests.FactMark("ARCHIPELAGO_X_1f"), `"${ARCHIPELAGO_X_1f}"`},
		{single, `["` + manifests.FactMark("ARCHIPELAGO_X") + `","$X"]`, `["${ARCHIPELAGO_X}","$$X"]`},
		{runtimeFile, `archipelago/files/x%/.facts`, `-%t/archipelago/files/x%%/.facts`},
		{bareWords, `net.ipv4.ip_forward=1`, `net.ipv4.ip_forward=1`},
		{bareWords, `kernel.core=%p$`, `kernel.core=%%p$$`},
		{line, `archipelago-x.data.volume:/data:ro,z`, `archipelago-x.data.volume:/data:ro,z`},
		{line, `/cache:/a$b%c"d'e\f`, `/cache:/a$$b%%c"d'e\f`},
		{single, `["/app","a b","$X","5%"]`, `["/app","a b","$$X","5%%"]`},
		{single, `CMD it's`, `CMD it's`},
		{single, `a"b\c`, `a"b\c`},
		// systemd expands % in its own directives, but not $.
		{directive, `100% of $5`, `100%% of $5`},
		{directive, `"quoted" \ 'as it is'`, `"quoted" \ 'as it is'`},
		{directive, `;`, `;`},
		{absentPath, `/srv/100% of $5/x`, `!/srv/100%% of $5/x`},
		{absentPath, `~/a%b/x.json`, `!%h/a%%b/x.json`},
		{inert, `{"a":"100% of $5"}`, `{"a":"100% of $5"}`},
	} {
		got, err := appendEscaped([]byte("Key="), c.class, c.value)
		if err != nil || string(got) != "Key="+c.want {
			t.Errorf("%s %q is written %q (%v), want Key=%s", c.class, c.value, got, err, c.want)
		}
	}
}

// What can't be written, and why.
func TestRefusedValues(t *testing.T) {
	var (
		podman  = []class{words, command, bareWords, line, single}
		oneLine = []class{bareWords, line, single, directive, absentPath, inert}
		all     = []class{words, command, bareWords, line, single, directive, absentPath, inert}
	)
	for _, c := range []struct {
		classes []class
		value   string
		why     string
	}{
		{all, "\xff", "not valid UTF-8"},
		{all, "cut \xe2\x82", "not valid UTF-8"},
		{all, "\xed\xa0\x80", "not valid UTF-8"}, // a surrogate
		{all, "a\x00b", "NUL byte"},
		{all, "a\u0080b", "U+0080"},
		{all, "a\ufdd0b", "noncharacter U+FDD0"},
		{all, "\ufdd1ARCHIPELAGO_X", "noncharacter U+FDD1"},
		{all, manifests.FactMark("HOME"), "noncharacter U+FDD1"},
		{all, manifests.FactMark("ARCHIPELAGO_X\n"), "noncharacter U+FDD1"},
		{all, "\ufdef", "noncharacter U+FDEF"},
		{all, "\uffff", "noncharacter U+FFFF"},
		{all, "\U0001fffe", "noncharacter U+1FFFE"},
		{all, "\U0010ffff", "noncharacter U+10FFFF"},
		{all, "", "it is empty"},
		{all, strings.Repeat("x", longest+1), "no more than 130048 in one argument"},
		{podman, ";", "lone semicolon"},
		{oneLine, "a\nb", `control character '\n'`},
		{oneLine, "a\tb", ``},
		{oneLine, "a\x1bb", `control character '\x1b'`},
		{oneLine, "a\x7fb", `control character '\x7f'`},
		{oneLine, "a\u0085b", `control character '\u0085'`},
		{oneLine, "a\u2028b", `control character '\u2028'`},
		{oneLine, " a", ``},
		{oneLine, "a\u00a0", "begins or ends with white space"},
		{oneLine, "\u3000a", "begins or ends with white space"},
		{oneLine, `a\`, ``},
		{[]class{line, single, directive, inert}, "a ", "begins or ends with white space"},
		{[]class{line, single, directive, inert}, `a\\`, "ends with a backslash"},
		{[]class{single}, `"a"`, "double quote"},
		{[]class{single}, `sh -c "exit 0"`, "double quote"},
		{[]class{single}, `"`, "double quote"},
		{[]class{bareWords}, `a b`, "space, quote or backslash"},
		{[]class{bareWords}, `a'b`, "space, quote or backslash"},
		{[]class{bareWords}, `a"b`, "space, quote or backslash"},
		{[]class{bareWords}, `a\b`, "space, quote or backslash"},
	} {
		for _, class := range c.classes {
			got, err := appendEscaped([]byte("Key="), class, c.value)
			if err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%s %.40q: %v, want a refusal that says %q", class, c.value, err, c.why)
			}
			if string(got) != "Key=" {
				t.Errorf("%s %.40q: a refused value left %q behind", class, c.value, got)
			}
		}
	}
}

// The longest accepted value is written; its readers have limits, too.
func TestLongestValue(t *testing.T) {
	value := strings.Repeat("$", longest)
	text, err := appendEscaped(nil, words, value)
	if err != nil {
		t.Fatal(err)
	}
	if rest, err := matchEscaped(string(text), words, value); err != nil || rest != "" {
		t.Errorf("it reads back with %q left and %v", rest, err)
	}
}

// verify is the net under the writer. It finds what each reader would take for
// something else than what was meant.
func TestReadersFindWhatWasNotMeant(t *testing.T) {
	for _, c := range []struct {
		class      class
		text, want string
		why        string
	}{
		{words, `a b`, `a b`, `arrive as "a"`},
		{words, `%n`, `%n`, `lone %`},
		{absentPath, `/x`, `/x`, `not be the absence`},
		{absentPath, `!x`, `x`, `not be the absence`},
		{absentPath, `!%t/x`, `~/x`, `not be the absence`},
		{absentPath, `!/%h`, `/%h`, `lone %`},
		{words, `${HOME}`, `${HOME}`, `lone $`},
		{words, `${ARCHIPELAGO_X}`, `${ARCHIPELAGO_X}`, `arrive as`},
		{words, `"${ARCHIPELAGO_X`, `X`, `broken variable`},
		{single, `a${ARCHIPELAGO_X Y}`, `X`, `broken variable`},
		{line, `${ARCHIPELAGO_X}`, `X`, `would arrive`},
		{runtimeFile, `%t/x`, `x`, `have to be there`},
		{words, `"a`, `a`, `not balanced`},
		{words, `it's`, `it's`, `outside quotes`},
		{words, `grün`, `grün`, `outside quotes`},
		{words, "\"a\tb\"", "a\tb", `bare control character`},
		{words, `"\s"`, `\s`, `broken escape`},
		{words, `"\x4"`, `\x4`, `broken escape`},
		{words, `"\x00"`, "\x00", `broken escape`},
		{words, `"\x80"`, "\x80", `broken escape`},
		{words, `"\`, `\`, `broken escape`},
		{words, `""`, ``, `it is empty`},
		{command, `";"`, `;`, `ends the command`},
		{bareWords, `a b`, `a b`, `split`},
		{line, ` a`, ` a`, `outer white space`},
		{line, `a%b`, `a%b`, `lone %`},
		{line, `a\`, `a\`, `joins the next line`},
		{line, `;`, `;`, `ends the command`},
		{line, "a\x01", "a\x01", `bare control character`},
		{single, `"a"`, `"a"`, `outer quote`},
		{single, ``, ``, `it is empty`},
		{directive, `100%`, `100%`, `lone %`},
		{inert, `a `, `a `, `outer white space`},
		{inert, `a`, `b`, `arrive as "a"`},
	} {
		if _, err := matchEscaped(c.text, c.class, c.want); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s %q for %q: %v, want a finding that says %q", c.class, c.text, c.want, err, c.why)
		}
	}
}

// In most directives systemd expands %, in those of a percentage it does not.
func TestPercentagesOfDirectives(t *testing.T) {
	for _, c := range []struct{ section, key, value, want string }{
		{"Service", "CPUQuota", "20%", "CPUQuota=20%\n"},
		{"Service", "MemoryHigh", "50%", "MemoryHigh=50%\n"},
		{"Service", "TasksMax", "10%", "TasksMax=10%\n"},
		{"Service", "LogFilterPatterns", "~a%b", "LogFilterPatterns=~a%b\n"},
		{"Service", "SyslogIdentifier", "100%", "SyslogIdentifier=100%%\n"},
		{"Unit", "ConditionMemoryPressure", "50%", "ConditionMemoryPressure=50%%\n"},
	} {
		w := new(writer)
		w.reset(Target{Podman: Default})
		w.begin(c.section)
		w.put(origin{index: -1}, c.key, c.value)
		text, err := w.finish("")
		if _, got, _ := strings.Cut(string(text), "\n"); got != c.want || err != nil {
			t.Errorf("%s=%s is written %q (%v), want %q", c.key, c.value, got, err, c.want)
		}
	}
}

// String makes failures of tests readable.
func (c class) String() string {
	return [...]string{"words", "bareWords", "line", "runtimeLine", "single", "directive", "absentPath", "runtimeFile", "command", "inert"}[c]
}
