package compose

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/test/corpus"
)

// refused is the cases that compose-go does not load, since they show what no Compose file may
// have, or no name of it.
var refused = []string{
	"env-file-missing", "extends-lost", "health-lost", "include-circle", "include-lost", "interpolation-bad",
	"interpolation-unset", "limits-bad", "not-a-map", "not-representable", "not-yaml", "ports-bad", "ports-unset", "secrets-extra",
	"unknown-keys", "volumes-keys",
}

// What the manifests of the corpus say of environment, command, entrypoint and ports is what
// compose-go reads in the same files, but for what the report says is lost.
func TestCorpusAgreesWithComposeGo(t *testing.T) {
	logrus.SetOutput(io.Discard)
	for _, c := range cases(t) {
		t.Run(c.Name, func(t *testing.T) {
			want, err := oracle(t, c)
			if isRefused := slices.Contains(refused, c.Name); (err != nil) != isRefused {
				t.Fatalf("compose-go says %v, refused: %v", err, isRefused)
			}
			if err != nil || len(want.Services) == 0 {
				return
			}
			r := c.Import()
			app := appOf(t, r)
			for name, s := range want.Services {
				part := partOf(app, name)
				if part == nil {
					t.Errorf("the service %s has no part", name)
					continue
				}
				compare(t, r, name, s, part, want.Environment)
			}
		})
	}
}

// oracle is what compose-go reads of a case.
func oracle(t *testing.T, c corpus.Case) (*types.Project, error) {
	t.Helper()
	dir := t.TempDir()
	for name, f := range c.FS {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := &project{Draft: importer.NewDraft(c.Answers), fsys: c.FS}
	p.readEnv()
	env := types.Mapping{}
	for name, v := range p.vars {
		env[name] = v.value
	}
	for key, value := range c.Answers {
		if name, ok := strings.CutPrefix(key, "variable."); ok {
			env[name] = value
		}
	}
	main := p.find()
	files := []types.ConfigFile{{Filename: filepath.Join(dir, main)}}
	if over := p.overrideOf(main); over != "" {
		files = append(files, types.ConfigFile{Filename: filepath.Join(dir, over)})
	}
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{WorkingDir: dir, ConfigFiles: files, Environment: env}, func(o *loader.Options) {
		o.SetProjectName("oracle", false)
		o.SkipConsistencyCheck = true
		o.Profiles = strings.Split(c.Answers["profiles"], ",")
	})
}

func appOf(t *testing.T, r *importer.Result) *manifests.Resolved {
	t.Helper()
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: r.Files[0].Path, Data: r.Files[0].Data}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	set, diags := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return set.Apps[0]
}

// partOf is the part that a service became.
func partOf(app *manifests.Resolved, service string) *manifests.Part {
	if len(app.Parts) == 1 {
		return &app.Parts[0]
	}
	if p := app.Part(importer.IDOf(service)); p != nil {
		return p
	}
	return app.Part("main")
}

func compare(t *testing.T, r *importer.Result, name string, s types.ServiceConfig, part *manifests.Part, env types.Mapping) {
	t.Helper()
	lost := func(key string) bool {
		return slices.ContainsFunc(r.Findings, func(f importer.Finding) bool {
			return f.Severity != importer.Kept && f.Severity != importer.Asked && strings.HasPrefix(f.Key, key)
		})
	}
	key := "services." + name
	if d := cmp.Diff(environmentOf(s, part), manifestEnv(part)); d != "" && !lost(key+".environment") && !lost(key+".env_file") {
		t.Errorf("%s: environment (-compose-go +manifest):\n%s", name, d)
	}
	if d := cmp.Diff(strings.Join(s.Command, "\x00"), asWrittenBySource(strings.Join(part.Command, "\x00"), s, part, env)); d != "" && !lost(key+".command") {
		t.Errorf("%s: command (-compose-go +manifest):\n%s", name, d)
	}
	if d := cmp.Diff(strings.Join(s.Entrypoint, "\x00"), strings.Join(part.Entrypoint, "\x00")); d != "" && !lost(key+".entrypoint") {
		t.Errorf("%s: entrypoint (-compose-go +manifest):\n%s", name, d)
	}
	if d := cmp.Diff(portsOf(s), manifestPorts(part)); d != "" && !lost(key+".ports") && part.Network == "app" {
		t.Errorf("%s: ports (-compose-go +manifest):\n%s", name, d)
	}
}

// asWrittenBySource is a script with the values of secrets instead of the variables that have them.
func asWrittenBySource(text string, s types.ServiceConfig, part *manifests.Part, env types.Mapping) string {
	for _, m := range part.Secrets {
		value := env[m.Env]
		if own := s.Environment[m.Env]; own != nil {
			value = *own
		}
		if m.Env != "" {
			text = strings.NewReplacer(`="${`+m.Env+`}"`, "="+value, ` "${`+m.Env+`}"`, " "+value, "${"+m.Env+"}", value).Replace(text)
		}
	}
	return text
}

// environmentOf is the environment that compose-go reads, but for secrets and the time zone of
// the host, which a manifest says elsewhere.
func environmentOf(s types.ServiceConfig, part *manifests.Part) map[string]string {
	env := map[string]string{}
	for name, value := range s.Environment {
		isSecret := slices.ContainsFunc(part.Secrets, func(m manifests.SecretMount) bool { return m.Env == name }) ||
			slices.ContainsFunc(part.Composed, func(c manifests.Composed) bool { return c.Name == name })
		_, isKept := manifestEnv(part)[name]
		isTimezone := name == "TZ" && part.Timezone != "" && !isKept
		if value != nil && !isSecret && !isTimezone {
			env[name] = *value
		}
	}
	return env
}

func manifestEnv(part *manifests.Part) map[string]string {
	env := map[string]string{}
	for _, v := range part.Env {
		env[v.Name] = v.Value
	}
	return env
}

// portsOf is the published ports that compose-go reads, each as PUBLISHED:TARGET/PROTOCOL.
func portsOf(s types.ServiceConfig) []string {
	ports := make([]string, 0, len(s.Ports))
	for _, p := range s.Ports {
		ports = append(ports, fmt.Sprintf("%s:%d/%s", p.Published, p.Target, strings.ToLower(p.Protocol)))
	}
	slices.Sort(ports)
	return ports
}

func manifestPorts(part *manifests.Part) []string {
	ports := []string{}
	for _, p := range part.Ports {
		for i := range p.Count {
			if p.Host != 0 {
				ports = append(ports, fmt.Sprintf("%d:%d/%s", p.Host+i, p.Container+i, p.Protocol))
			}
		}
	}
	slices.Sort(ports)
	return ports
}
