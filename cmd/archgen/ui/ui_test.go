package ui_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
)

func TestAge(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"0s": -time.Second, "59s": 59 * time.Second, "1m": time.Minute, "59m": time.Hour - 1, "47h": 48*time.Hour - 1, "2d": 48 * time.Hour,
	} {
		if got := ui.Age(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// What an app wrote can't steer the terminal.
func TestPrintableText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ got, want string }{
		{ui.OneLine(" a\x1b[2Jb\r\n\tc\u202ed\x00 "), "a[2Jb cd"},
		{ui.Printable("a\x1b[2J\nb\t"), "a[2J b "},
		{ui.Lines("a\x1b[2J\nb\r\x07"), "a[2J\nb "},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

func TestSmallTexts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ got, want string }{
		{ui.Prefix(": ", "why"), ": why"},
		{ui.Prefix(": ", ""), ""},
		{ui.Shorten("naïveté", 7), "naïveté"},
		{ui.Shorten("naïveté", 4), "naï…"},
		{ui.Dash("x"), "x"},
		{ui.Dash(""), "-"},
		{ui.DashList([]string{"a", "b"}), "a,b"},
		{ui.DashList(nil), "-"},
		{ui.Count(0, "app"), "0 apps"},
		{ui.Count(1, "app"), "1 app"},
		{ui.Count(2, "app"), "2 apps"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

// JSON is the same to a program, and drives no terminal.
func TestJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := ui.JSON(&out, map[string]string{"text": "<é>\u202e\U000e0001\x1b\u009b"}); err != nil {
		t.Fatal(err)
	}
	const want = "{\n  \"text\": \"<é>\\u202e\\udb40\\udc01\\u001b\\u009b\"\n}\n"
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
	out.Reset()
	if err := ui.JSONLine(&out, []string{"a\u202e", "b"}); err != nil || out.String() != `["a\u202e","b"]`+"\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if ui.JSON(&out, func() {}) == nil || ui.JSONLine(&out, func() {}) == nil {
		t.Error("a function became JSON")
	}
}

// Columns are aligned by what is seen. Optional ones go where there is no room for them.
func TestTable(t *testing.T) {
	t.Parallel()
	table := ui.Table{
		Titles: []string{"APP", "STATE", "SINCE", "IMAGE"}, Optional: []string{"IMAGE", "SINCE"}, Painted: "STATE",
		Rows: []ui.Row{
			{Cells: []string{"knots", "läuft", "1h", "knots:29"}, Note: "vérifie les blocs", Color: ui.Green},
			{Cells: []string{"lnd", "failed", "2d", "-"}, Color: ui.Red},
		},
	}
	for _, tt := range []struct {
		style ui.Style
		want  string
	}{
		{ui.Style{}, "APP    STATE   SINCE  IMAGE\nknots  läuft   1h     knots:29\n  vérifie les blocs\nlnd    failed  2d     -"},
		{ui.Style{Width: 20}, "APP    STATE   SINCE\nknots  läuft   1h\n  vérifie les blocs\nlnd    failed  2d"},
		{ui.Style{Width: 10}, "APP    STATE\nknots  läuft\n  vérifie…\nlnd    failed"},
		{ui.Style{Color: true}, "APP    STATE   SINCE  IMAGE\nknots  \x1b[32mläuft\x1b[0m   1h     knots:29\n  vérifie les blocs\nlnd    \x1b[31mfailed\x1b[0m  2d     -"},
	} {
		if d := cmp.Diff(tt.want, strings.Join(table.Lines(tt.style), "\n")); d != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.style, d)
		}
	}
}

func TestRedraw(t *testing.T) {
	t.Parallel()
	lines := []string{"1", "2", "3", "4"}
	for height, want := range map[int]string{
		5: "\x1b[H1\x1b[K\n2\x1b[K\n3\x1b[K\n4\x1b[K\n\x1b[J",
		4: "\x1b[H1\x1b[K\n2\x1b[K\n… and 2 lines more\x1b[K\n\x1b[J",
		2: "\x1b[H1\x1b[K\n2\x1b[K\n3\x1b[K\n4\x1b[K\n\x1b[J",
	} {
		var out bytes.Buffer
		if err := ui.Redraw(&out, height, lines); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, out.String()); d != "" {
			t.Errorf("height %d: %s", height, d)
		}
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer string
		want   bool
	}{{"y\n", true}, {" YES \n", true}, {"n\n", false}, {"\n", false}, {"", false}, {"y", false}, {"yeah\n", false}} {
		var out bytes.Buffer
		if got := ui.Confirm(strings.NewReader(tt.answer), &out, "Sure? "); got != tt.want || out.String() != "Sure? " {
			t.Errorf("%q: %v, %q", tt.answer, got, out.String())
		}
	}
}

// terminal is a pseudoterminal: what a program has, and the side of the person.
func terminal(t *testing.T) (program, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return program, person
}

func TestStyleOfATerminal(t *testing.T) {
	t.Parallel()
	program, _ := terminal(t)
	env := func(set map[string]string) func(string) string { return func(name string) string { return set[name] } }
	if w, h := ui.Size(program); w != 80 || h != 24 {
		t.Errorf("a terminal without a size: %d, %d", w, h)
	}
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 132, Row: 40}); err != nil {
		t.Fatal(err)
	}
	if w, h := ui.Size(program); w != 132 || h != 40 {
		t.Errorf("%d, %d", w, h)
	}
	if s := ui.StyleOf(program, env(nil)); s != (ui.Style{Width: 132, Color: true}) {
		t.Errorf("%+v", s)
	}
	for _, set := range []map[string]string{{"NO_COLOR": "1"}, {"TERM": "dumb"}} {
		if s := ui.StyleOf(program, env(set)); s != (ui.Style{Width: 132}) {
			t.Errorf("%v: %+v", set, s)
		}
	}
}

// A file and a pipe get plain text of any width.
func TestStyleOfAFile(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, w := range []io.Writer{file, io.Discard} {
		if s := ui.StyleOf(w, func(string) string { return "" }); s != (ui.Style{}) {
			t.Errorf("%T: %+v", w, s)
		}
	}
}

// What is typed at a hidden prompt is read and not shown, and the terminal shows
// text again afterwards.
func TestHidden(t *testing.T) {
	t.Parallel()
	program, person := terminal(t)
	echo := func() bool {
		state, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
		return err == nil && state.Lflag&unix.ECHO != 0
	}
	asked, written := io.Pipe()
	go func() { // types once the prompt is there
		_, _ = asked.Read(make([]byte, 64))
		_, _ = person.WriteString("hush\n")
		_, _ = io.Copy(io.Discard, asked)
	}()
	text, err := ui.Hidden(program, written, "value: ")
	if err != nil || text != "hush" || !echo() {
		t.Errorf("%q, %v; the terminal shows what is typed: %v", text, err, echo())
	}

	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := ui.Hidden(file, io.Discard, ""); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("no terminal: %v", err)
	}
}
