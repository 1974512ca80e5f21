//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/conform"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/test/host"
	"github.com/archipelago-os/archipelago/units"
)

// TestValuesArriveUnchanged passes hundreds of values with special meanings in YAML,
// Podman's parser, systemd, Podman or a shell to two containers, through archgen and a real
// systemd, and compares them byte for byte with what the containers received. It does so
// twice: with the keys of the installed Podman, and with the arguments that replace them
// for older ones.
func TestValuesArriveUnchanged(t *testing.T) {
	v := nastyValues()
	if n := v.count(); n < 300 {
		t.Fatalf("only %d values", n)
	}
	m := host.Up(t, host.Images("noshell"))
	pushArchgen(t, m)
	manifest := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(manifest, []byte(v.manifest()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.Push(manifest, ".config/archipelago/apps/values.yaml"); err != nil {
		t.Fatal(err)
	}
	user(t, m, "sh", "-c", fmt.Sprintf("for i in $(seq 0 %d); do echo secret | podman secret create values.s$i - || exit; done", len(v.secrets)-1))
	user(t, m, "sh", "-c", `mkdir .config/archipelago/apps/values.d && echo 'allow = ["podman-arg"]' >.config/archipelago/apps/values.d/grants.toml`)
	for _, render := range []string{"archgen render", "archgen render --podman 4.9"} {
		t.Run(render, func(t *testing.T) {
			user(t, m, strings.Fields(render)...)
			user(t, m, "systemctl", "--user", "daemon-reload")
			user(t, m, "systemctl", "--user", "restart", "app@values", "app@values.second")
			first, second := containers(t, m)
			v.compare(t, first, second)
		})
	}
}

func pushArchgen(t *testing.T, m *host.Machine) {
	t.Helper()
	if err := m.Push("../../bin/archgen", "/usr/local/bin/archgen"); err != nil {
		t.Fatal(err)
	}
}

// user runs a command as the unprivileged user, which has to succeed.
func user(t *testing.T, m *host.Machine, args ...string) string {
	t.Helper()
	out, err := m.User(args...)
	if err != nil {
		journal, _ := m.User("journalctl", "--user", "-n", "30", "--no-pager", "-o", "cat")
		t.Fatalf("%v\n%.4000s", err, journal)
	}
	return out
}

// values is the values in the manifest: the first container gets env, labels and command,
// the second the rest.
type values struct {
	env, labels, command            []string
	entrypoint, exec, annotations   []string
	tmpfs, volumes, secrets, workIn []string // paths
}

// The pieces of the values.
var (
	pieces = []string{
		`"`, `""`, `'`, `\`, `\\`, `\n`, `\x41`, `\s`, `\u00e9`, `\e[0m`, `%`, `%%`, `%n`, `%h`, `%i`, `%t`, `$`, `$$`, `$HOME`, `${HOME}`, `${`, `$(id)`, "`id`",
		"\n", "\r", "\n\n", "\t", "\v", " ", "   ", ";", "; ", "#", "=", ",", ":", "&&", "|", ">", "*", "?", "~", "!", "{a,b}", "[Service]", "\n[Service]\nExecStart=/bin/false\n",
		"-", "--", "--env", "@", "+", "null", "true", "0777", "é", "ß", "日本", "🏝", "e\u0301", "\u0085", "\u00a0", "\u200b", "\u2028", "\u2029", "\u3000", "\ufeff", "\ufffd", "\U0010fffd",
		"\x01", "\x07", "\x08", "\x1b", "\x1f", "\x7f", "a", "word", "0",
	}
	whole = []string{
		" ", "  leading", "trailing  ", "\ttab\t", "\n", "\nfirst line empty", "last line empty\n", `end\`, `\`, `\\`, `"quoted"`, `'quoted'`, `"`, `'`, `it's`, `say "hi"`,
		`%`, `100%`, `%n`, `%%n`, `$`, `$$`, `$HOME`, `${HOME}`, `$${HOME}`, `${HOME`, `$PATH:/x`, `#comment`, `;comment`, `; rm -rf /`, `a;b`, `a ; b`, `-`, `--`, `--name=x`, `=`, `==`, `a=b=c`,
		`{"json": ["a", 1]}`, `<b>&amp;</b>`, "\x01\x02\x03", "\x7f", "\u0085", "\u00a0", "\ufeffbom", "🏝🏝", strings.Repeat("long ", 2000), strings.Repeat(`\`, 99), strings.Repeat("$", 98), strings.Repeat("%", 97),
	}
	pathPieces = []string{`$`, `$$`, `${X}`, `$HOME`, `%`, `%n`, `%%`, `;`, `#`, `=`, `@`, `!`, `~`, `*`, `?`, `&`, `|`, `(`, `)`, `{`, `}`, `[`, `<`, `+`, "-", "é", "🏝", "word", "0", "."}
)

// nastyValues returns the same values in every run.
func nastyValues() *values {
	r := rand.New(rand.NewPCG(2026, 11))
	texts := func(n int, ok func(string) bool) []string {
		list := slices.DeleteFunc(slices.Clone(whole), func(s string) bool { return !ok(s) })
		for len(list) < n {
			if s := join(r, pieces); ok(s) {
				list = append(list, s)
			}
		}
		return list
	}
	paths := func(n int) []string {
		list := make([]string, 0, n)
		for i := range n {
			list = append(list, fmt.Sprintf("/p%d%s", i, join(r, pathPieces)))
		}
		return list
	}
	all := func(string) bool { return true }
	// These values are refused because they can't be passed on.
	env := func(s string) bool { return !strings.Contains(s, "\r\n") }
	word := func(s string) bool { return s != "" && s != ";" }
	inJSON := func(s string) bool {
		return strings.IndexFunc(s, func(r rune) bool { return r >= 0x7f && r < 0xa0 }) < 0
	}
	v := &values{
		env: texts(110, env), labels: texts(90, all), command: append([]string{"serve"}, texts(100, word)...),
		entrypoint: append([]string{"/app", "serve"}, texts(70, inJSON)...), exec: append([]string{"/app", "health"}, texts(70, inJSON)...),
		annotations: texts(60, all), tmpfs: paths(10), volumes: paths(10), secrets: paths(6),
	}
	for i, path := range v.volumes {
		v.volumes[i] = "/v" + path
	}
	for i, path := range v.secrets {
		v.secrets[i] = "/s" + path
	}
	v.workIn = v.tmpfs[:1]
	return v
}

func join(r *rand.Rand, from []string) string {
	var b strings.Builder
	for range 1 + r.IntN(7) {
		b.WriteString(from[r.IntN(len(from))])
	}
	return b.String()
}

func (v *values) count() int {
	n := 0
	for _, list := range [][]string{v.env, v.labels, v.command, v.entrypoint, v.exec, v.annotations, v.tmpfs, v.volumes, v.secrets, v.workIn} {
		n += len(list)
	}
	return n
}

func (v *values) manifest() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	list := func(key string, values []string) {
		line("      %s:", key)
		for _, s := range values {
			line("        - %s", strconv.QuoteToASCII(literal(s)))
		}
	}
	line("app:\n  id: values\n  name: Values\n  version: 1.0.0\n  secrets:")
	for i := range v.secrets {
		line("    - {name: s%d}", i)
	}
	line("  containers:\n    main:\n      image: localhost/noshell:1\n      env:")
	for i, s := range v.env {
		line("        V%d: %s", i, strconv.QuoteToASCII(literal(s)))
	}
	line("      labels:")
	for i, s := range v.labels {
		line("        l%d: %s", i, strconv.QuoteToASCII(literal(s)))
	}
	list("command", v.command)
	line("    second:\n      image: localhost/noshell:1\n      working_dir: %s", strconv.QuoteToASCII(literal(v.workIn[0])))
	list("entrypoint", v.entrypoint)
	line("      health:\n        serving:\n          exec: [%s]", quoted(v.exec))
	list("podman_args", prefixed("--annotation=a%d=", v.annotations))
	for key, paths := range map[string][]string{"tmpfs": v.tmpfs, "volumes": v.volumes, "secrets": v.secrets} {
		line("      %s:", key)
		for i, path := range paths {
			more := map[string]string{"volumes": ", disposable: true", "secrets": fmt.Sprintf(", name: s%d", i)}[key]
			line("        - {target: %s%s}", strconv.QuoteToASCII(literal(path)), more)
		}
	}
	return b.String()
}

func quoted(list []string) string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, strconv.QuoteToASCII(literal(s)))
	}
	return strings.Join(out, ", ")
}

// literal escapes ${…} in a manifest.
func literal(s string) string { return strings.ReplaceAll(s, "${", "$${") }

func prefixed(format string, list []string) []string {
	out := make([]string, 0, len(list))
	for i, s := range list {
		out = append(out, fmt.Sprintf(format, i)+s)
	}
	return out
}

// container is what a running container received.
type container struct {
	Config struct {
		Labels             map[string]string
		Annotations        map[string]string
		Healthcheck        struct{ Test []string }
		StartupHealthCheck struct{ Test []string }
	}
	State struct{ Pid int }

	argv, env, mounts []string
	cwd               string
}

// containers reads the two containers from the outside, from the kernel's data about
// process 1 of each.
func containers(t *testing.T, m *host.Machine) (first, second *container) {
	t.Helper()
	var list []*container
	if err := json.Unmarshal([]byte(user(t, m, "podman", "inspect", "values", "values.second")), &list); err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		proc := fmt.Sprintf("/proc/%d/", c.State.Pid)
		out, err := m.Root("sh", "-c", fmt.Sprintf("cd %s; for f in cmdline environ mountinfo; do base64 -w0 $f; echo; done; readlink -z cwd | base64 -w0", proc))
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(out, "\n")
		c.argv, c.env = zeroed(t, parts[0]), zeroed(t, parts[1])
		for l := range strings.Lines(decoded(t, parts[2])) {
			c.mounts = append(c.mounts, unoctal(strings.Fields(l)[4]))
		}
		c.cwd = strings.TrimSuffix(decoded(t, parts[3]), "\x00")
	}
	return list[0], list[1]
}

func decoded(t *testing.T, text string) string {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// zeroed splits a text into elements that end with NUL.
func zeroed(t *testing.T, text string) []string {
	t.Helper()
	return strings.Split(strings.TrimSuffix(decoded(t, text), "\x00"), "\x00")
}

var octal = regexp.MustCompile(`\\[0-7]{3}`)

// unoctal decodes the kernel's escapes in a mount table.
func unoctal(s string) string {
	return octal.ReplaceAllStringFunc(s, func(e string) string {
		n, _ := strconv.ParseUint(e[1:], 8, 8)
		return string([]byte{byte(n)})
	})
}

func (v *values) compare(t *testing.T, first, second *container) {
	t.Helper()
	same := func(what string, want, got any) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-manifest +container):\n%s", what, d)
		}
	}
	same("command", append([]string{"/app"}, v.command...), first.argv)
	same("entrypoint", v.entrypoint, second.argv)
	ours := regexp.MustCompile(`(?s)^V[0-9]+=`)
	got := slices.DeleteFunc(slices.Clone(first.env), func(s string) bool { return !ours.MatchString(s) })
	want := prefixed("V%d=", v.env)
	slices.Sort(got)
	slices.Sort(want)
	same("env", want, got)
	same("labels", named("l", v.labels), only("l", first.Config.Labels))
	same("annotations", named("a", v.annotations), only("a", second.Config.Annotations))
	same("health", append([]string{"CMD"}, v.exec...), second.Config.Healthcheck.Test)
	same("health at the start", append([]string{"CMD"}, v.exec...), second.Config.StartupHealthCheck.Test)
	same("working_dir", v.workIn[0], second.cwd)
	for what, paths := range map[string][]string{"tmpfs": v.tmpfs, "volumes": v.volumes, "secrets": v.secrets} {
		for _, path := range paths {
			if !slices.Contains(second.mounts, path) {
				t.Errorf("%s: nothing is mounted at %q, only at %q", what, path, second.mounts)
			}
		}
	}
}

func named(prefix string, list []string) map[string]string {
	m := map[string]string{}
	for i, s := range list {
		m[fmt.Sprintf("%s%d", prefix, i)] = s
	}
	return m
}

// only returns the entries of a map whose keys are PREFIX and a number.
func only(prefix string, m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		if rest, ok := strings.CutPrefix(k, prefix); ok && strings.Trim(rest, "0123456789") == "" {
			out[k] = v
		}
	}
	return out
}

// TestPodmanAgreesWithConform passes the sets of all golden cases, the catalog and the sets
// that conform refuses to Podman's own generator: it has to make exactly the units that
// conform accepts.
func TestPodmanAgreesWithConform(t *testing.T) {
	sets := knownSets(t)
	if len(sets) < 50 {
		t.Fatalf("only %d sets", len(sets))
	}
	dir := t.TempDir()
	for name, set := range sets {
		writeFiles(t, filepath.Join(dir, name), set)
	}
	m := host.Up(t, host.Images())
	if err := m.Push(dir, "/tmp/sets"); err != nil {
		t.Fatal(err)
	}
	made := map[string][]string{}
	set := ""
	for l := range strings.Lines(user(t, m, "sh", "-c", makeUnits)) {
		l = strings.TrimSpace(l)
		if name, ok := strings.CutPrefix(l, "set "); ok {
			set = name
			continue
		}
		made[set] = append(made[set], strings.Trim(l, "-"))
	}
	for name, set := range sets {
		want, got := accepted(set), slices.Compact(slices.Sorted(slices.Values(made[name])))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: units (-conform +podman):\n%s", name, d)
		}
	}
}

// makeUnits runs Podman's generator on each set and prints the units that it makes.
const makeUnits = `cd /tmp/sets && for d in *; do
	echo "set $d"
	QUADLET_UNIT_DIRS=$PWD/$d /usr/lib/systemd/system-generators/podman-system-generator --user --dryrun 2>/dev/null | grep '^---.*---$'
done; true`

// accepted returns the services that conform expects Podman to make. Podman makes a unit
// with a warning without one key, an incomplete unit without its missing reference, and one
// of two units with the same name.
func accepted(set units.Set) []string {
	refused := map[string]bool{}
	for _, f := range conform.Check(set, units.User) {
		if strings.Contains(f.Message, "makes no unit of any file") {
			return nil
		}
		if !f.Warning && !strings.Contains(f.Message, "which is refused") && !strings.Contains(f.Message, "is also that of") {
			refused[f.File] = true
		}
	}
	services := []string{}
	for _, f := range set {
		if !refused[f.Name] && !units.IsPrestart(f.Name) {
			services = append(services, serviceOf(f))
		}
	}
	slices.Sort(services)
	return slices.Compact(services)
}

func serviceOf(f units.File) string {
	for l := range strings.Lines(string(f.Content)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(l), "ServiceName="); ok {
			return name + ".service"
		}
	}
	stem, ext := strings.TrimSuffix(f.Name, filepath.Ext(f.Name)), filepath.Ext(f.Name)
	if ext == ".container" {
		return stem + ".service"
	}
	return stem + "-" + ext[1:] + ".service"
}

// knownSets returns the sets to compare. Each name is valid for a directory.
func knownSets(t *testing.T) map[string]units.Set {
	t.Helper()
	sets := map[string]units.Set{}
	// One provider of each capability.
	catalog := rendered(t, "../../manifests/catalog", "bitcoin-core", "electrumx", "electrumx-ui", "fulcrum", "fulcrum-ui")
	if len(catalog) == 0 {
		t.Fatal("the catalog can't be rendered")
	}
	sets["catalog"] = catalog
	for _, pattern := range []string{"../../generator/testdata/*/*.txtar", "../../generator/conform/testdata/*.txtar"} {
		cases, err := filepath.Glob(pattern)
		if err != nil || len(cases) == 0 {
			t.Fatalf("no cases %s: %v", pattern, err)
		}
		for _, file := range cases {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Base(filepath.Dir(file)) + "-" + strings.TrimSuffix(filepath.Base(file), ".txtar")
			if set := setOf(t, a); len(set) > 0 {
				sets[name] = set
			}
		}
	}
	return sets
}

// setOf returns the units of a case, given or rendered from its manifests. It leaves out
// what only a Podman newer than the machine's 5.4 reads.
func setOf(t *testing.T, a *txtar.Archive) units.Set {
	t.Helper()
	var set units.Set
	dir := t.TempDir()
	for _, f := range a.Files {
		switch filepath.Ext(f.Name) {
		case ".yaml", ".toml":
			path := filepath.Join(dir, f.Name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		case ".container", ".volume", ".network", ".build", ".image":
			// Podman translates dependencies on Quadlet files from 5.5 on.
			if f.Name != "no-unit.container" && !strings.Contains(f.Name, " ") {
				set = append(set, units.File{Name: f.Name, Content: f.Data})
			}
		}
	}
	set.Sort()
	return append(set, rendered(t, dir)...)
}

// rendered returns the units of the manifests in a directory, or nothing.
func rendered(t *testing.T, dir string, without ...string) units.Set {
	t.Helper()
	var loaded manifests.Loaded
	if diags := loaded.LoadDirs([]string{dir}); diags.HasErrors() {
		return nil
	}
	chosen := slices.DeleteFunc(loaded.Manifests, func(m *manifests.Manifest) bool { return slices.Contains(without, m.Document.App.ID) })
	set, diags := manifests.Resolve(chosen, manifests.DefaultSettings())
	if diags.HasErrors() {
		return nil
	}
	result, diags := generator.Render(set, generator.Target{Podman: generator.Default, Generator: "test"})
	if diags.HasErrors() {
		return nil
	}
	return result.Files
}

func writeFiles(t *testing.T, dir string, set units.Set) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range set {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
