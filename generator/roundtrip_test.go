package generator

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/archipelago-os/archipelago/generator/conform"
)

// The promise: whatever the writer accepts for a key arrives unchanged at the
// command that systemd runs, for every Podman that is rendered for; whatever
// does not is refused with a reason. Here the reader is Podman's own parser,
// and what it hands on is expanded as systemd does it.
//
// generator/conform holds the same promise for whole manifests, and
// test/e2e for a real systemd and a real Podman.

// podmans are the versions at which Podman's way of reading, or its set of
// keys, changed.
var podmans = []Version{{4, 7}, {4, 9}, {5, 0}, {5, 4}, {5, 8}, {6, 0}}

// fragments are what values of trouble are made of.
var fragments = []string{
	`"`, `'`, `\`, `\\`, `\n`, `\x41`, `\s`, `%`, `%%`, `%n`, `%h`, `$`, `$$`, `${X}`, `${`, `$X`, "\n", "\r", "\r\n", "\t", " ", "  ",
	";", "#", "=", ",", ":", "-", "[Service]", "ExecStart=/bin/sh", "Exec", "a", "word", "0", "é", "🏝", "\u0085", "\u00a0", "\u2028", "\ufeff", "\ufffd",
	"\x01", "\x1b", "\x7f",
}

// unspeakable are fragments that no class can hold.
var unspeakable = []string{"\x00", "\u0080", "\xff", "\xe2\x82", "\xed\xa0\x80", "\ufdd0", "\uffff", "\U0010fffe"}

func hostile() *rapid.Generator[string] {
	joined := func(from []string) *rapid.Generator[string] {
		return rapid.Map(rapid.SliceOfN(rapid.SampledFrom(from), 0, 8), func(s []string) string { return strings.Join(s, "") })
	}
	return rapid.OneOf(
		joined(fragments),
		joined(append(slices.Clone(unspeakable), fragments...)),
		rapid.Map(joined(fragments), func(s string) string { return `"` + s + `"` }),
		rapid.String(),
		rapid.StringMatching(`[!-~][ -~]{0,20}[!-~]`),
		rapid.StringMatching(`[a-z0-9$%/.,=:_-]{1,12}`),
	)
}

// TestEveryKeyKeepsEveryValue: each Quadlet key carries each value unchanged, also if an older
// Podman lacks the key and an argument replaces it.
func TestEveryKeyKeepsEveryValue(t *testing.T) {
	for _, section := range slices.Sorted(maps.Keys(quadletKeys)) {
		for _, key := range slices.Sorted(maps.Keys(quadletKeys[section])) {
			t.Run(section+"/"+key, func(t *testing.T) {
				written := 0
				rapid.Check(t, func(t *rapid.T) {
					value := hostile().Draw(t, "value")
					for _, podman := range podmans {
						written += keepsValue(t, podman, section, key, value)
					}
				})
				if written == 0 {
					t.Error("not one value was accepted")
				}
			})
		}
	}
}

// keepsValue writes one value and follows it; it returns 1 if it was written.
func keepsValue(t *rapid.T, podman Version, section, key, value string) int {
	w, text := write(t, podman, section, func(w *writer) { w.put(origin{index: -1}, key, value) })
	info := quadletKeys[section][key]
	switch {
	case len(w.problems) > 0:
		refused(t, w, text)
		return 0
	case !podman.before(info.since):
		for how, read := range readings(info.class, podman) {
			if got := read(t, text, section, key); len(got) != 1 || got[0] != value {
				t.Fatalf("Podman %v: %q arrives as %q (%s) from\n%s", podman, value, got, how, text)
			}
		}
	case info.omit:
		if lines(text) != 0 {
			t.Fatalf("Podman %v: a line was written for a key that it lacks:\n%s", podman, text)
		}
	default:
		got := parsed(t, text, section, "PodmanArgs")
		if len(got) != 1 || !isReplacement(got[0], info.flag, value) {
			t.Fatalf("Podman %v: %q arrives as %q instead of %s from\n%s", podman, value, got, info.flag, text)
		}
	}
	return 1
}

func isReplacement(arg, flag, value string) bool {
	if strings.HasSuffix(flag, "disable") {
		return arg == flag
	}
	return arg == flag+value
}

// TestCommandKeepsItsWords is the promise for the one key that takes several
// words, and for command lines that systemd splits itself.
func TestCommandKeepsItsWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		args := rapid.SliceOfN(hostile(), 1, 5).Draw(t, "args")
		byPodman, text := write(t, Default, "Container", func(w *writer) { w.put(origin{index: -1}, "Exec", args...) })
		if len(byPodman.problems) > 0 {
			refused(t, byPodman, text)
		} else if got := parsed(t, text, "Container", "Exec"); !slices.Equal(got, args) {
			t.Fatalf("%q arrive as %q from\n%s", args, got, text)
		}
		bySystemd, text := write(t, Default, "Service", func(w *writer) { w.exec(origin{index: -1}, "ExecStartPost", args...) })
		if len(bySystemd.problems) > 0 {
			refused(t, bySystemd, text)
			return
		}
		// Podman splits words with a port of systemd's own code.
		exec := strings.Replace(text, "ExecStartPost=", "Exec=", 1)
		if got := parsed(t, exec, "Service", "Exec"); !slices.Equal(got, args) {
			t.Fatalf("%q arrive as %q from\n%s", args, got, text)
		}
	})
}

// TestDirectivesKeepEveryValue is the promise for what systemd reads itself,
// and for the section that only Archipelago reads.
func TestDirectivesKeepEveryValue(t *testing.T) {
	for _, c := range []struct {
		section, key string
		expands      bool
	}{
		{"Unit", "Description", true},
		{"Unit", "After", true},
		{"Unit", "ConditionPathExists", true},
		{"Service", "Restart", true},
		{"Service", "SyslogIdentifier", true},
		{"Service", "CPUQuota", false},
		{"Service", "TasksMax", false},
		{"Install", "WantedBy", true},
		{"X-Archipelago", "Serving", false},
	} {
		t.Run(c.section+"/"+c.key, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				value := hostile().Draw(t, "value")
				w, text := write(t, Default, c.section, func(w *writer) { w.put(origin{index: -1}, c.key, value) })
				if len(w.problems) > 0 {
					refused(t, w, text)
					return
				}
				got := rawLine(t, text, c.key)
				if c.expands {
					got = specifiers(t, got)
				}
				if got != value {
					t.Fatalf("%q arrives as %q from\n%s", value, got, text)
				}
			})
		})
	}
}

// write writes one section and lets the writer check itself.
func write(t *rapid.T, podman Version, section string, put func(*writer)) (*writer, string) {
	w := new(writer)
	w.reset(Target{Podman: podman})
	w.begin(section)
	put(w)
	text, err := w.finish("")
	if err != nil {
		t.Fatalf("the writer does not understand itself: %v\n%s", err, text)
	}
	if i := bytes.IndexFunc(text, func(r rune) bool { return unicode.Is(unicode.Noncharacter_Code_Point, r) }); i >= 0 {
		t.Fatalf("systemd ignores the line with a noncharacter at %d:\n%q", i, text)
	}
	return w, string(text)
}

// refused demands a reason, and that nothing of the value was written.
func refused(t *rapid.T, w *writer, text string) {
	for _, p := range w.problems {
		if p.message == "" || p.code == "" {
			t.Fatalf("refused without a reason: %+v", p)
		}
	}
	if lines(text) != 0 {
		t.Fatalf("refused, but written:\n%s", text)
	}
}

// lines counts what follows the line of the section.
func lines(text string) int { return strings.Count(text, "\n") - 1 }

// readings are the ways in which a Podman may read a value of a class.
func readings(c class, podman Version) map[string]func(*rapid.T, string, string, string) []string {
	all := map[string]func(*rapid.T, string, string, string) []string{"parser of 5.8": parsed}
	if c != single {
		return all // five versions read these alike
	}
	switch {
	case podman.Major == 4:
		all["quotes kept"] = singly(func(s string) string { return s })
	case podman.before(Version{5, 9}):
		// 5.8.2 changed it, and a version has no patch level here.
		all["every outer quote lost"] = singly(func(s string) string { return strings.Trim(s, `"`) })
	}
	return all
}

// singly reads a value that takes the line, as a Podman that treats outer
// quotes in its own way.
func singly(quotes func(string) string) func(*rapid.T, string, string, string) []string {
	return func(t *rapid.T, text, _, key string) []string {
		return []string{expanded(t, quotes(rawLine(t, text, key)))}
	}
}

// parsed is what systemd runs with what Podman's parser makes of a key.
func parsed(t *rapid.T, text, section, key string) []string {
	values, err := conform.Values([]byte(text), section, key)
	if err != nil {
		t.Fatalf("Podman can't read it: %v\n%s", err, text)
	}
	for i, v := range values {
		if v == ";" {
			t.Fatalf("a lone ; ends the command:\n%s", text)
		}
		// Podman writes this character as one byte when it quotes the word again.
		values[i] = expanded(t, strings.ReplaceAll(v, "\u0080", "\x80"))
	}
	return values
}

// rawLine is the value of a key as systemd's parser of files has it: a
// backslash at the end joins the next line, outer white space goes.
func rawLine(t *rapid.T, text, key string) string {
	text = strings.ReplaceAll(text, "\\\n", " ")
	for l := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(l, key+"="); ok {
			return strings.Trim(value, " \t\r\n")
		}
	}
	t.Fatalf("there is no %s= in\n%s", key, text)
	return ""
}

// expanded is what systemd makes of a word of a command: specifiers, then variables.
func expanded(t *rapid.T, word string) string {
	word = specifiers(t, word)
	if name, ok := strings.CutPrefix(word, "$"); ok && name != "" && strings.IndexFunc(name, notInName) < 0 {
		t.Fatalf("systemd replaces the word %q", word)
	}
	var out strings.Builder
	for i := 0; i < len(word); i++ {
		if strings.HasPrefix(word[i:], "${") {
			t.Fatalf("systemd replaces a variable of %q", word)
		}
		if strings.HasPrefix(word[i:], "$$") {
			i++
		}
		out.WriteByte(word[i])
	}
	return out.String()
}

func notInName(r rune) bool {
	return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// specifiers expands %, of which only %% means a fixed text.
func specifiers(t *rapid.T, s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		out.WriteByte(s[i])
		if s[i] != '%' || i+1 == len(s) {
			continue
		}
		i++
		switch next := s[i]; {
		case next == '%':
		case !notInName(rune(next)):
			t.Fatalf("systemd replaces %%%c in %q", next, s)
		default:
			out.WriteByte(next)
		}
	}
	return out.String()
}
