package conform

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containers/podman/v5/pkg/systemd/parser"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/units"
)

var update = flag.Bool("update", false, "rewrite the expected findings")

// A case is a txtar archive: the files of a set, `scope` with the word system
// where it is not the user's, and last `findings` with a line each,
// "FILE:LINE: [warning: ]MESSAGE".
func TestFindings(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			scope, set := units.User, units.Set{}
			for _, f := range a.Files[:len(a.Files)-1] {
				if f.Name == "scope" {
					scope = units.System
					continue
				}
				set = append(set, units.File{Name: f.Name, Content: f.Data})
			}
			set.Sort()
			findings := &a.Files[len(a.Files)-1]
			want, got := string(findings.Data), list(Check(set, scope))
			if *update {
				findings.Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("findings (-want +got; make golden rewrites it):\n%s", d)
			}
		})
	}
}

// TestCauseAmongMany: among thousands of lines of one key the one that Podman refuses is
// found, with some dozens of trials and not one for each: that took 15 seconds.
func TestCauseAmongMany(t *testing.T) {
	t.Parallel()
	const lines = 5000
	var b strings.Builder
	b.WriteString("[Container]\nImage=localhost/x\n")
	for i := range lines {
		fmt.Fprintf(&b, "Network=n%d.network\n", i)
	}
	files := []string{"x.container", b.String()}
	for i := range lines {
		if i != lines/2 {
			files = append(files, fmt.Sprintf("n%d.network", i), "[Network]\n")
		}
	}
	want := fmt.Sprintf("x.container:%d: ", 3+lines/2)
	s := set(files...)
	s.Sort()
	if got := list(Check(s, units.User)); !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %s…", got[:min(len(got), 200)], want)
	}
}

func list(findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		severity := ""
		if f.Warning {
			severity = "warning: "
		}
		fmt.Fprintf(&b, "%s:%d: %s%s\n", f.File, f.Line, severity, f.Message)
	}
	return b.String()
}

func set(files ...string) units.Set {
	var s units.Set
	for i := 0; i < len(files); i += 2 {
		s = append(s, units.File{Name: files[i], Content: []byte(files[i+1])})
	}
	return s
}

func TestNothingIsFoundInNothing(t *testing.T) {
	if got := Check(nil, units.User); len(got) != 0 {
		t.Errorf("an empty set has findings: %v", got)
	}
}

// systemd gives up on a file with a line of more than 1 MiB; quoting can make
// a command four times as long as its values.
func TestCommandThatSystemdCannotRead(t *testing.T) {
	var b strings.Builder
	b.WriteString("[Container]\nContainerName=x\nImage=localhost/x:1\n")
	for i := range 4 {
		fmt.Fprintf(&b, "Environment=\"A%d=%s\"\n", i, strings.Repeat(" ", 70<<10))
	}
	got := Check(set("x.container", b.String()), units.User)
	if len(got) != 1 || !strings.Contains(got[0].Message, "no line of more than 1048576") || got[0].Line != 4 {
		t.Errorf("want a finding on line 4, the first whose absence fixes it, got %s", list(got))
	}
	if got := Check(set("x.container", strings.ReplaceAll(b.String(), " ", "-")), units.User); len(got) != 0 {
		t.Errorf("without quoting it fits, got %s", list(got))
	}
}

// A converter that fails must not take archgen with it.
func TestPanicIsAFinding(t *testing.T) {
	// What the converter looks up of a unit that it was not told of is nil.
	u, err := parse("x.container", "[Container]\nContainerName=x\nImage=localhost/x:1\nVolume=x.volume:/x\n")
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{user: true, refused: map[string]bool{}, units: []*parser.UnitFile{u}, infos: infos([]*parser.UnitFile{u})}
	c.infos["x.volume"] = nil
	c.convertAll(c.units)
	if len(c.findings) != 1 || !strings.Contains(c.findings[0].Message, "converter fails on it") || c.findings[0].Line != 4 {
		t.Errorf("want a finding on the line with the volume, got %s", list(c.findings))
	}
}

// The converter gets a directory that does not exist; messages must not name it.
func TestMessagesAreOneLineWithoutTheMadeUpDirectory(t *testing.T) {
	err := errors.Join(errors.New("bad key in "+unitDir+"x.container"), errors.New("see "+unitDir+"y.volume"))
	if got := clean(err, "x.container"); got != "bad key; see y.volume" {
		t.Errorf("got %q", got)
	}
}

// Values has to look a key up as the converter does, or what it says of a
// value is not what reaches the command line.
func TestValuesAreThoseOfTheCommandLine(t *testing.T) {
	content := []byte(strings.Join([]string{
		"[Container]", "Image=localhost/x:1",
		`Environment="A=1 2" B=\x33`, `Environment=C`, `Label="l=a\nb"`, `Secret="a b"`, `Secret=c,type=mount`, `PodmanArgs=--a "--b=c d"`, `Mask=/a:/b`, `Mount="type=bind,source=/a b"`,
		`Exec=run "a b" \x41`, `Volume=/a b:/c\x41`, `Tmpfs="/a"`, `Sysctl="a=b c" d=\x41`, `AddCapability=A B`, `HostName=first`, `HostName="last"`,
	}, "\n"))
	for _, c := range []struct {
		key  string
		want []string
	}{
		{"Environment", []string{"A=1 2", "B=3", "C"}},
		{"Label", []string{"l=a\nb"}},
		{"Secret", []string{"a b", "c,type=mount"}},
		{"PodmanArgs", []string{"--a", "--b=c d"}},
		{"Mask", []string{"/a:/b"}},
		{"Mount", []string{"type=bind,source=/a b"}},
		{"Exec", []string{"run", "a b", "A"}},
		{"Volume", []string{`/a b:/c\x41`}},
		{"Tmpfs", []string{`"/a"`}},
		{"Sysctl", []string{"a=b c", `d=\x41`}},
		{"AddCapability", []string{"A", "B"}},
		{"HostName", []string{"last"}},
		{"Image", []string{"localhost/x:1"}},
		{"WorkingDir", nil},
	} {
		got, err := Values(content, "Container", c.key)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", c.key, got, err, c.want)
		}
	}
	if _, err := Values([]byte("no section"), "Container", "Image"); err == nil {
		t.Error("a file that can't be parsed has values")
	}
}
