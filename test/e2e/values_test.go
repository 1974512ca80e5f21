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

	"github.com/archipelago-os/archipelago/test/host"
)

// TestValuesArriveUnchanged hands hundreds of values that mean something to
// YAML, Podman's parser, systemd, Podman or a shell to two containers, through
// archgen and a real systemd, and compares them byte for byte with what the
// containers got. It does so twice: with the keys of the installed Podman, and
// with the arguments that stand for them in older ones.
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

// values is what the manifest says: the first container gets env, labels and
// command, the second the rest.
type values struct {
	env, labels, command            []string
	entrypoint, exec, annotations   []string
	tmpfs, volumes, secrets, workIn []string // paths
}

// The pieces that values are made of.
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

// nastyValues are the same in every run.
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
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("/p%d%s", i, join(r, pathPieces)))
		}
		return list
	}
	all := func(string) bool { return true }
	// What can't be handed over, and is refused: test/e2e shows what can.
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
	list := func(key string, values []string, expand bool) {
		line("      %s:", key)
		for _, s := range values {
			if expand {
				s = literal(s)
			}
			line("        - %s", strconv.QuoteToASCII(s))
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
		line("        l%d: %s", i, strconv.QuoteToASCII(s))
	}
	list("command", v.command, true)
	line("    second:\n      image: localhost/noshell:1\n      working_dir: %s", strconv.QuoteToASCII(v.workIn[0]))
	list("entrypoint", v.entrypoint, true)
	line("      health:\n        serving:\n          exec: [%s]", quoted(v.exec))
	list("podman_args", prefixed("--annotation=a%d=", v.annotations), false)
	for key, paths := range map[string][]string{"tmpfs": v.tmpfs, "volumes": v.volumes, "secrets": v.secrets} {
		line("      %s:", key)
		for i, path := range paths {
			more := map[string]string{"volumes": ", disposable: true", "secrets": fmt.Sprintf(", name: s%d", i)}[key]
			line("        - {target: %s%s}", strconv.QuoteToASCII(path), more)
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

// literal keeps a manifest from replacing ${…}.
func literal(s string) string { return strings.ReplaceAll(s, "${", "$${") }

func prefixed(format string, list []string) []string {
	out := make([]string, 0, len(list))
	for i, s := range list {
		out = append(out, fmt.Sprintf(format, i)+s)
	}
	return out
}

// container is what a running container got.
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

// containers looks at the two containers from the outside, at process 1 of each
// as the kernel has it.
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

// zeroed splits what ends each element with a NUL.
func zeroed(t *testing.T, text string) []string {
	t.Helper()
	return strings.Split(strings.TrimSuffix(decoded(t, text), "\x00"), "\x00")
}

var octal = regexp.MustCompile(`\\[0-7]{3}`)

// unoctal undoes the kernel's escapes in a mount table.
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

// only is the entries of a map that are called PREFIX and a number.
func only(prefix string, m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		if rest, ok := strings.CutPrefix(k, prefix); ok && strings.Trim(rest, "0123456789") == "" {
			out[k] = v
		}
	}
	return out
}
