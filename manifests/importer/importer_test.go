package importer_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

var update = flag.Bool("update", false, "rewrite the table in docs/import.md")

// docs/import.md lists every code.
func TestDocs(t *testing.T) {
	const (
		file  = "../../docs/import.md"
		begin = "<!-- Generated from manifests/importer/codes.go; importer_test.go compares. -->\n\n"
		end   = "\n<!-- End of generated text -->\n"
	)
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(page), begin)
	_, after, found := strings.Cut(rest, end)
	if !found {
		t.Fatalf("%s has no generated table", file)
	}
	want := before + begin + table() + end + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(page), want); d != "" {
		t.Errorf("it is stale, go test -update rewrites it (-have +want):\n%s", d)
	}
}

func table() string {
	var b strings.Builder
	b.WriteString("| code | severity | meaning | what to do |\n|---|---|---|---|\n")
	for _, l := range importer.Losses {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", l.Code, l.Severity, l.Meaning, l.Mend)
	}
	return b.String()
}

// A code stands once in the table.
func TestCodes(t *testing.T) {
	seen := map[importer.Code]bool{}
	for _, l := range importer.Losses {
		if seen[l.Code] || l.Meaning == "" || l.Severity == "" {
			t.Errorf("%s: it is there twice, or something is missing", l.Code)
		}
		seen[l.Code] = true
	}
}

func draft(answers map[string]string) *importer.Draft {
	d := importer.NewDraft(answers)
	d.App = manifests.App{ID: "x", Name: "X", Version: "1.10", Container: &manifests.Container{Image: "docker.io/library/x:1"}}
	d.Sources["src.yaml"] = []byte("user: a b\npassword: hunter2\n")
	return d
}

// The manifest is in the order of the schema, and says where values were inferred from.
func TestManifest(t *testing.T) {
	d := draft(nil)
	c := d.App.Container
	c.Command = manifests.Words{"sh", "-c", "echo ${HOME}\n", ""}
	c.Env = manifests.Env{{Name: "A", Value: "yes"}, {Name: "B", Value: `a "quote" \ and ü`}, {Name: "C", Value: "plain text"}}
	c.Ports = []manifests.Port{{Name: "web", Host: 80, Container: 8080}}
	c.Limits.Memory = 64 << 20
	c.Security.AllowNewPrivileges = true
	d.Note("app.container.ports[0]", syntax.Position{File: "src.yaml", Line: 7, Column: 1})
	r := d.Finish()
	want := `app:
  id: x
  name: X
  version: "1.10"
  container:
    image: docker.io/library/x:1
    command: [sh, "-c", "echo $${HOME}\n", ""]
    env:
      A: "yes"
      B: "a \"quote\" \\ and ü"
      C: plain text
    ports:
      - {name: web, host: 80, container: 8080}  # from src.yaml:7
    security: {allow_new_privileges: true}
    limits: {memory: 64m}
`
	if len(r.Files) != 1 || cmp.Diff(want, string(r.Files[0].Data)) != "" {
		t.Errorf("-want +got:\n%s\n%v", cmp.Diff(want, string(r.Files[0].Data)), r.Findings)
	}
}

// What archgen check refuses is left out, at the position of the source.
func TestRefusedValuesAreLeftOut(t *testing.T) {
	d := draft(nil)
	d.App.Container.User = "a b"
	d.Origin("app.container.user", syntax.Position{File: "src.yaml", Line: 1, Column: 7}, "user")
	r := d.Finish()
	if len(r.Files) != 1 || strings.Contains(string(r.Files[0].Data), "user") || r.Worst() != importer.Refused {
		t.Errorf("%s\n%v", r.Files[0].Data, r.Findings)
	}
	f := r.Findings[0]
	if got := fmt.Sprintf("%s:%d:%d %s %s", f.File, f.Line, f.Column, f.Code, f.Key); got != "src.yaml:1:7 not-representable user" {
		t.Error(got)
	}
	d = draft(nil)
	d.App.ID = "Not An Id"
	if r := d.Finish(); len(r.Files) != 0 || r.Worst() != importer.Refused {
		t.Errorf("a manifest without an id is written: %v", r.Files)
	}
}

// The report has the form of archgen check, and hides the values of secrets.
func TestPrint(t *testing.T) {
	d := draft(nil)
	at := syntax.Position{File: "src.yaml", Line: 2, Column: 11}
	d.Keep(syntax.Position{File: "src.yaml", Line: 1, Column: 1}, "user", "app.container.user")
	d.Mask(at, "hunter2")
	d.Ask(importer.Question{
		Code: importer.SecretValue, Key: "secret.password", Text: "password becomes the secret x.password", Default: "supply", HasDefault: true,
	}.From(at, "password"))
	r := d.Finish()
	r.Below("dir")
	var b bytes.Buffer
	if err := r.Print(&b, false); err != nil {
		t.Fatal(err)
	}
	want := "dir/src.yaml:2:11: asked: password becomes the secret x.password [secret]\n" +
		"    2 | password: *******\n" +
		"      |           ^\n" +
		"       hint: `archgen secret set x.password` with the value, `--set secret.password=generate` for a random one, or `--set secret.password=plain` to write it into the manifest.\n" +
		"x: 1 kept, 1 asked\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// A question has its default, the answer, or an error that names the flag.
func TestQuestions(t *testing.T) {
	choice := importer.Question{Code: importer.Exposure, Key: "expose", Text: "the port is on loopback", Default: "loopback", HasDefault: true, Choices: []string{"loopback", "network"}}
	needed := importer.Question{Code: importer.UnsetVariable, Key: "variable.A", Text: "A has no value"}
	for name, tt := range map[string]struct {
		answers map[string]string
		q       importer.Question
		want    string
		worst   importer.Severity
	}{
		"the default":           {nil, choice, "loopback", importer.Asked},
		"an answer":             {map[string]string{"expose": "network"}, choice, "network", importer.Kept},
		"an answer that is not": {map[string]string{"expose": "all"}, choice, "loopback", importer.Refused},
		"no default":            {nil, needed, "", importer.Refused},
		"an answer to it":       {map[string]string{"variable.A": "b"}, needed, "b", importer.Kept},
	} {
		t.Run(name, func(t *testing.T) {
			d := draft(tt.answers)
			first, second := d.Ask(tt.q), d.Ask(tt.q)
			r := d.Finish()
			if first != tt.want || second != tt.want || r.Worst() != tt.worst || len(r.Questions) != 1 {
				t.Errorf("%q, then %q; %v", first, second, r.Findings)
			}
			if name == "no default" && r.Findings[0].Hint != "--set variable.A=VALUE" {
				t.Error(r.Findings[0].Hint)
			}
		})
	}
}

// A file of answers is YAML or TOML; maps stand for keys with dots.
func TestParseAnswers(t *testing.T) {
	want := map[string]string{"expose": "network", "variable.A": "1", "mount./srv/x": "/mnt"}
	for name, text := range map[string]string{
		"a.yaml": "expose: network\nvariable: {A: 1}\nmount./srv/x: /mnt\n",
		"a.toml": "expose = \"network\"\nvariable.A = 1\nmount.\"/srv/x\" = \"/mnt\"\n",
	} {
		have, found := importer.ParseAnswers(name, []byte(text))
		if d := cmp.Diff(want, have); d != "" || found.HasErrors() {
			t.Errorf("%s: %s%v", name, d, found)
		}
	}
	if _, found := importer.ParseAnswers("a.yaml", []byte("a: [b]\n")); !found.HasErrors() {
		t.Error("a list is taken for an answer")
	}
}
