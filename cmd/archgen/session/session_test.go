package session

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

// user is a session in a home directory with files below .config/archipelago.
func user(t *testing.T, files map[string]string) (s *Session, stdout, stderr *bytes.Buffer) {
	t.Helper()
	home := t.TempDir()
	for name, text := range files {
		path := filepath.Join(home, ".config/archipelago", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	getenv := func(name string) string {
		return map[string]string{"HOME": home, "XDG_RUNTIME_DIR": filepath.Join(home, "run")}[name]
	}
	return &Session{Stdout: stdout, Stderr: stderr, Getenv: getenv, Source: Source{Scope: units.User, Version: "5.4"}}, stdout, stderr
}

const (
	web      = "app: {id: web, name: Web, version: 1.0.0, secrets: [{name: key, generate: {}}], container: {image: localhost/web:1, secrets: [{name: key, env: KEY}]}}\n"
	database = "app: {id: database, name: DB, version: 1.0.0, container: {image: localhost/database:1}}\n"
	// asks needs a right.
	asks = "app: {id: asks, name: Asks, version: 1.0.0, container: {image: localhost/asks:1, ports: [{host: 8080, container: 80, bind: 0.0.0.0}]}}\n"
)

// TestLoad: arguments are ids or paths, and apps need their grants according to the session.
func TestLoad(t *testing.T) {
	t.Parallel()
	s, _, stderr := user(t, map[string]string{"apps/web.yaml": web, "apps/database.yaml": database})
	elsewhere := filepath.Join(t.TempDir(), "asks.yaml")
	if err := os.WriteFile(elsewhere, []byte(asks), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	for what, c := range map[string]struct {
		args    []string
		version string
		grants  Need
		apps    int
		isUsage bool
		errs    bool
	}{
		"no argument":                   {apps: 2},
		"an id":                         {args: []string{"web"}, apps: 1},
		"a path":                        {args: []string{elsewhere}, apps: 1},
		"a path that needs its grants":  {args: []string{elsewhere}, grants: WhereverTheyLie, apps: 1, errs: true},
		"an empty directory":            {args: []string{empty}},
		"an id and a path":              {args: []string{"web", elsewhere}, isUsage: true},
		"a malformed version of Podman": {version: "new", isUsage: true},
	} {
		s.Version, s.Grants = c.version, c.grants
		if s.Version == "" {
			s.Version = "5.4"
		}
		k, err := s.Load(c.args)
		if _, isUsage := errors.AsType[UsageError](err); isUsage != c.isUsage || err != nil && !isUsage {
			t.Errorf("%s: %v", what, err)
		}
		if err == nil && (len(k.Asked()) != c.apps || k.Diags.HasErrors() != c.errs) {
			t.Errorf("%s: %d apps, %v", what, len(k.Asked()), k.Diags)
		}
	}
	if want := "archgen: no manifest in " + empty + "\n"; stderr.String() != want {
		t.Errorf("stderr %q, want %q", stderr, want)
	}
}

// TestMustCompile: only an error of a named app counts, and is printed.
func TestMustCompile(t *testing.T) {
	t.Parallel()
	s, _, stderr := user(t, map[string]string{"apps/web.yaml": web, "apps/database.yaml": "app: {id: database}\n"})
	if _, err := s.MustCompile([]string{"web"}); err != nil || stderr.Len() > 0 {
		t.Errorf("%v, stderr %q", err, stderr)
	}
	if _, err := s.MustCompile([]string{"web", "database"}); !errors.Is(err, ErrReported) || !strings.Contains(stderr.String(), "database.yaml:1:") {
		t.Errorf("%v, stderr %q", err, stderr)
	}
}

// TestUsersOf: the apps that may use a secret are those that have it.
func TestUsersOf(t *testing.T) {
	t.Parallel()
	s, _, _ := user(t, map[string]string{"apps/web.yaml": web, "apps/database.yaml": database})
	for name, want := range map[string]int{"web.key": 1, "gone.key": 0} {
		found, err := s.UsersOf([]string{name})
		if err != nil || len(found.Apps) != want {
			t.Errorf("%s: %d apps, %v", name, len(found.Apps), err)
		}
	}
}

// TestNames: what completes arguments. An app with errors can be named, too.
func TestNames(t *testing.T) {
	t.Parallel()
	s, _, _ := user(t, map[string]string{
		"apps/web.yaml": web, "apps/database.yaml": "{{{", "catalog/site.yaml": "app: {id: site, name: Site, version: 1.0.0, description: a site, container: {image: localhost/site:1}}\n",
		"catalogs/nodes.toml": "source = \"dir:/nodes\"\n",
	})
	for what, c := range map[string]struct{ got, want []string }{
		"installed":   {s.InstalledIDs(), []string{"database", "web"}},
		"secrets":     {s.SecretNames(), []string{"web.key"}},
		"catalogs":    {s.CatalogNames(), []string{"nodes\tdir:/nodes"}},
		"generations": {s.GenerationNumbers(), []string{}},
	} {
		if d := cmp.Diff(c.want, c.got); d != "" {
			t.Errorf("%s: -want +got:\n%s", what, d)
		}
	}
	if ids := s.CatalogIDs(); !strings.Contains(strings.Join(ids, "\n"), "site\ta site") {
		t.Errorf("%q", ids)
	}
}

// TestReport: diagnostics are printed for people or as JSON, and an error ends the verb.
func TestReport(t *testing.T) {
	t.Parallel()
	s, stdout, stderr := user(t, map[string]string{"apps/database.yaml": "app: {id: database}\n"})
	k, _, err := s.Installed()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Report(k, true); !errors.Is(err, ErrReported) || !strings.HasPrefix(stdout.String(), `{`) || stderr.Len() > 0 {
		t.Errorf("%v, stdout %q, stderr %q", err, stdout, stderr)
	}
	if err := s.SayDiagnostics(k, true); err != nil || stderr.Len() > 0 {
		t.Errorf("%v, stderr %q", err, stderr)
	}
	k.Result = nil
	if err := s.SayDiagnostics(k, true); !errors.Is(err, ErrReported) {
		t.Errorf("no app could be compiled: %v", err)
	}
	if err := s.Report(k, false); !errors.Is(err, ErrReported) || !strings.Contains(stderr.String(), "database.yaml:1:") {
		t.Errorf("%v, stderr %q", err, stderr)
	}
}
