package contract_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/manifests/contract"
)

// A case is a txtar archive:
//
//	ID.yaml, ID.files/*   manifests and templates in
//	contracts/*           contracts, else those of the catalog
//	network               the machine's network, mainnet where it is left out
//	engine                present: volumes keep the owner of the image's directory
//	findings              out, each with its hint
func TestCases(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want := string(txtar.Format(a))
			a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "findings" })
			a.Files = append(a.Files, txtar.File{Name: "findings", Data: []byte(findings(t, a))})
			got := string(txtar.Format(a))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("-want +got (make golden rewrites it):\n%s", d)
			}
		})
	}
}

// findings is what the check says of a case.
func findings(t *testing.T, a *txtar.Archive) string {
	t.Helper()
	dir, network, keep := t.TempDir(), "mainnet", false
	var own contract.Set
	for _, f := range a.Files {
		switch {
		case f.Name == "network":
			network = strings.TrimSpace(string(f.Data))
		case f.Name == "engine":
			keep = true
		case strings.HasPrefix(f.Name, "contracts/"):
			c, err := contract.Decode(f.Name, f.Data)
			if err != nil {
				t.Fatal(err)
			}
			own = append(own, c)
		default:
			path := filepath.Join(dir, f.Name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if own == nil {
		own = catalogContracts(t)
	}
	var out strings.Builder
	apps := load(t, dir, network)
	for _, app := range apps {
		app.VolumesKeepOwner = keep
		for _, d := range own.Check(app) {
			out.WriteString(strings.TrimPrefix(d.String(), dir+"/") + "\n")
			if d.Hint != "" {
				out.WriteString("\t" + d.Hint + "\n")
			}
		}
	}
	return out.String()
}

// TestDecode: a contract that could not serve as evidence is refused, with its place.
func TestDecode(t *testing.T) {
	t.Parallel()
	const good = "image: docker.io/acme/x\ntags: [\"1\"]\nprogram: x 1\nverified: read\nevidence: its source\n"
	for text, want := range map[string]string{
		good: "",
		good + "user: {uid: 1, gid: 1, source: Dockerfile}\n":                  "",
		good + "colour: red\n":                                                 "x.yaml: yaml: unmarshal errors:\n  line 6: field colour not found in type contract.Contract",
		good + "user: {uid: 1, gid: 1, shell: sh, source: Dockerfile}\n":       "x.yaml: yaml: unmarshal errors:\n  line 6: field shell not found in type contract.User",
		good + "user: {uid: root, gid: 1, source: Dockerfile}\n":               "x.yaml: yaml: unmarshal errors:\n  line 6: cannot unmarshal !!str `root` into int",
		good + "user: {uid: 1, gid: 1}\n":                                      "x.yaml: user: source is missing; say where upstream says it, or that it is unknown",
		good + "user: {uid: 1, gid: 1, verified: unknown}\n":                   "",
		good + "user: {uid: 1, gid: 1, source: Dockerfile, verified: sure}\n":  "x.yaml: user: verified: \"sure\" is none of run, read, unknown",
		good + "stop: {needs: 1, source: README}\n":                            "x.yaml: yaml: unmarshal errors:\n  line 6: cannot unmarshal !!int `1` into time.Duration",
		good + "listens: [{what: web, port: 1, protocol: tcp, source: x.c}]\n": "x.yaml: listens: the protocol is udp or left out, not \"tcp\"",
		good + "internet: [{when: always, host: h, for: f, source: x.c}]\n":    "x.yaml: internet: when is start, first-start or running, not \"always\"",
		good + "needs: [{kind: electrum, unreachable: never, source: x.c}]\n":  "x.yaml: needs: unreachable is retry or exit, not \"never\"",

		good + "---\n" + good:                                       "x.yaml: one file holds one contract",
		strings.Replace(good, "acme/x", "acme/x:1", 1):              "x.yaml: image: give the repository, without a tag or digest",
		strings.Replace(good, "tags: [\"1\"]\n", "", 1):             "x.yaml: tags: name the versions that the facts hold for",
		strings.Replace(good, "evidence: its source\n", "", 1):      "x.yaml: program and evidence: say what it is, and what was run or read",
		strings.Replace(good, "verified: read", "verified: yes", 1): "x.yaml: verified: \"yes\" is none of run, read, unknown",
	} {
		_, err := contract.Decode("x.yaml", []byte(text))
		if got := message(err); got != want {
			t.Errorf("%s\nhave %s\nwant %s", text, got, want)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestLookup finds settings in each language of configuration files.
func TestLookup(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, key string
		want      []string
	}{
		{"tcp = 0.0.0.0:1\ntcp_x = 2\n", "tcp", []string{"0.0.0.0:1"}},
		{"tcp=1\n# tcp=2\ntcp=3\n", "tcp", []string{"1", "3"}},
		{"  listen 8080;\n  listener 9;\n", "listen", []string{"8080"}},
		{"SocksPort 0.0.0.0:9050\n", "SocksPort", []string{"0.0.0.0:9050"}},
		{"network = \"bitcoin\"\n", "network", []string{"bitcoin"}},
		{`{"A": {"PORT": 8999, "HOST": "db"}, "PORT": 1}`, "A.PORT", []string{"8999"}},
		{`{"A": {"PORT": 8999, "HOST": "db"}}`, "A.HOST", []string{"db"}},
		{`{"A": {"PORT": 8999}}`, "B.PORT", nil},
		{`{"A": 1}`, "A.PORT", nil},
		{"postgres=User ID=a;Host=db\n", "postgres", []string{"User ID=a;Host=db"}},
		{"", "x", nil},
	} {
		if got := contract.Lookup(c.text, c.key); !slices.Equal(got, c.want) {
			t.Errorf("%q of %q: %q, want %q", c.key, c.text, got, c.want)
		}
	}
}
