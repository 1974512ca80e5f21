package quadlet

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	systemd "github.com/coreos/go-systemd/v22/unit"
	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
)

// The reader reads the files of the corpus as go-systemd does, which knows no places and takes no
// long lines.
func TestReaderAgreesWithGoSystemd(t *testing.T) {
	for _, c := range corpus(t) {
		for name, f := range c.fsys {
			want, err := systemd.DeserializeOptions(strings.NewReader(string(f.Data)))
			if err != nil || strings.Contains(string(f.Data), "\\\n") {
				continue // it refuses a file with a fault, and keeps the line ends within a value
			}
			entries, _ := parse(name, f.Data)
			for _, e := range entries {
				isSame := func(o *systemd.UnitOption) bool {
					return o.Section == e.section && o.Name == e.key && strings.TrimSpace(o.Value) == e.value
				}
				if !slices.ContainsFunc(want, isSame) {
					t.Errorf("%s:%d: go-systemd does not read %s=%s", name, e.at.Line, e.key, e.value)
				}
			}
		}
	}
}

func TestParse(t *testing.T) {
	entries, faults := parse("x", []byte("\ufeff[A]\r\nK = a \\\n  # comment\n\tb\nL=1\nL=\nL=2\n;no\nwhat\n[B]\n=x\n"))
	have := make([]string, 0, len(entries))
	for _, e := range entries {
		have = append(have, e.id()+"="+e.value)
	}
	if d := cmp.Diff([]string{"A.K=a  b", "A.L=2"}, have); d != "" {
		t.Error(d)
	}
	if e := entries[0]; e.at.Line != 2 || e.at.Column != 5 || e.from.Column != 1 {
		t.Errorf("the value is at %v", e.at)
	}
	if len(faults) != 2 || faults[0].Line != 9 || faults[1].Line != 11 {
		t.Errorf("faults: %v", faults)
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string][]string{
		`a  "b c"	'd "e'`:             {"a", "b c", `d "e`},
		`"x\ty" \x41\101\u00fc \q \s`: {"x\ty", "AAü", `\q`, " "},
		`--a="b c" ""`:                {"--a=b c", ""},
		`"open`:                       nil,
		`\x4`:                         {`\x4`},
	} {
		list, ok := entry{value: text}.words()
		if ok == (want == nil) {
			t.Errorf("%s: %v", text, ok)
		}
		var have []string
		for _, w := range list {
			have = append(have, w.value)
		}
		if d := cmp.Diff(want, have); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
}

// No value of a secret is in the output.
func TestSecretsStayOut(t *testing.T) {
	fsys := fstest.MapFS{"a.container": {Data: []byte("[Container]\nImage=x\nEnvironment=DB_PASSWORD=hidden-value\n")}}
	var b strings.Builder
	for _, app := range Find(fsys, Options{}) {
		r := app.Import(nil)
		if err := r.Print(&b, false); err != nil {
			t.Fatal(err)
		}
		b.Write(r.Files[0].Data)
	}
	if strings.Contains(b.String(), "hidden-value") {
		t.Error(b.String())
	}
}

func FuzzImport(f *testing.F) {
	for _, c := range corpus(f) {
		for _, file := range c.fsys {
			f.Add(string(file.Data), "[Volume]\nVolumeName=x\n")
		}
	}
	f.Fuzz(func(t *testing.T, text, volume string) {
		fsys := fstest.MapFS{
			"a.container": {Data: []byte(text)}, "b.container": {Data: []byte(text)},
			"all-data.volume": {Data: []byte(volume)}, "front.network": {Data: []byte(text)}, "app.build": {Data: []byte(text)},
		}
		for _, app := range Find(fsys, Options{}) {
			demandParsed(t, app.Import(nil))
		}
	})
}

func demandParsed(t *testing.T, r *importer.Result) {
	t.Helper()
	if len(r.Files) == 0 {
		return
	}
	m, found := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: r.Files[0].Path, Data: r.Files[0].Data}})
	if found.HasErrors() || manifests.Validate(m).HasErrors() {
		t.Errorf("it is not valid: %v\n%s", found, r.Files[0].Data)
	}
}
