package conform

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// The promise of the writer for whole apps: what a manifest says is what
// `podman run` gets from systemd, by way of Podman's own converter; or there is
// a diagnostic, and nothing is rendered.

// values is the free values of a manifest: where people write what they want.
type values struct {
	Env, Labels               []string
	Command, Entrypoint, Exec []string
	Args                      []string // of podman_args
	Secrets, Tmpfs, Volumes   []string // targets
	WorkingDir, Hostname      string
	Name                      string
}

var podmans = []generator.Version{{Major: 4, Minor: 9}, {Major: 5, Minor: 0}, {Major: 5, Minor: 4}, {Major: 5, Minor: 8}, {Major: 6, Minor: 0}}

const image = "localhost/noshell:1"

func TestManifestReachesPodmanUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := representable(t)
		for _, podman := range podmans {
			service, diags := v.render(t, podman)
			if diags.HasErrors() {
				t.Fatalf("Podman %v: %v\n%s", podman, diags, v.manifest())
			}
			v.compare(t, podman, commandOf(t, service))
		}
	})
}

func representable(t *rapid.T) values {
	texts := func(name string, least int, text *rapid.Generator[string]) []string {
		return rapid.SliceOfN(text, least, 4).Draw(t, name)
	}
	path := func(name string) []string {
		return rapid.SliceOfNDistinct(rapid.StringMatching(`/[a-z$%;#=@!~^&*(){}<>?|+é🏝_-]{1,10}`), 0, 3, rapid.ID).Draw(t, name)
	}
	word := argument.Filter(func(s string) bool { return s != "" && s != ";" })
	env := argument.Filter(func(s string) bool { return !strings.Contains(s, "\r\n") })
	inJSON := argument.Filter(func(s string) bool { return strings.IndexFunc(s, c1) < 0 })
	return values{
		Env: texts("env", 0, env), Labels: texts("labels", 0, argument), Args: texts("podman_args", 0, argument),
		Command: texts("command", 0, word), Entrypoint: append([]string{"/app"}, texts("entrypoint", 0, inJSON)...),
		Exec:    append([]string{"/app"}, texts("exec", 1, inJSON)...),
		Secrets: path("secrets"), Tmpfs: path("tmpfs"), Volumes: path("volumes"),
		WorkingDir: "/w" + strings.Join(path("working_dir"), ""), Hostname: rapid.StringMatching(`[a-z]([a-z0-9-]{0,10}[a-z0-9])?`).Draw(t, "hostname"),
		Name: rapid.StringMatching(`[!#-[\]-~]([ -~]{0,10}[!#-[\]-~])?`).Draw(t, "name"),
	}
}

// argument is text that a word of a command line can hold.
var argument = rapid.OneOf(
	rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{
		`"`, `'`, `\`, `\n`, `\x41`, `\s`, `%`, `%%`, `%n`, `$`, `$$`, `${X}`, `${`, `}`, `$HOME`, "\n", "\r", "\t", " ", ";", "#", "=", ",",
		"[Service]", "word", "é", "🏝", "\u0085", "\u00a0", "\u2028", "\ufeff", "\x01", "\x1b", "\x7f", "null", "true", "-", "~", "1:2", "{", "[",
	}), 0, 8), func(s []string) string { return strings.Join(s, "") }),
	rapid.String(),
).Filter(func(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r == 0 || r == 0x80 || unicode.Is(unicode.Noncharacter_Code_Point, r) }) < 0
})

// c1 is the control characters that JSON does not escape.
func c1(r rune) bool { return r >= 0x7f && r < 0xa0 }

// TestWhatCannotArriveIsRefused puts one value that has no form into an app
// that is fine otherwise.
func TestWhatCannotArriveIsRefused(t *testing.T) {
	for _, c := range []struct {
		where string
		value string
		code  diag.Code
		at    string
		set   func(*values, string)
	}{
		{"env", "a\x00b", diag.Unrepresentable, "app.container.env.V0", func(v *values, s string) { v.Env = []string{s} }},
		{"env", "a\u0080b", diag.Unrepresentable, "app.container.env.V0", func(v *values, s string) { v.Env = []string{s} }},
		{"env", "a\r\nb", diag.Unrepresentable, "app.container.env.V0", func(v *values, s string) { v.Env = []string{s} }},
		{"env", "a\xffb", diag.NotUTF8, "", func(v *values, s string) { v.Env = []string{s} }},
		{"env", strings.Repeat("x", 128<<10), diag.Unrepresentable, "app.container.env.V0", func(v *values, s string) { v.Env = []string{s} }},
		{"labels", "\x00", diag.Unrepresentable, "app.container.labels.l0", func(v *values, s string) { v.Labels = []string{s} }},
		{"command", "", diag.Unrepresentable, "app.container.command[1]", func(v *values, s string) { v.Command = []string{"serve", s} }},
		{"command", ";", diag.Unrepresentable, "app.container.command[1]", func(v *values, s string) { v.Command = []string{"serve", s} }},
		{"labels", "a\uffff", diag.Unrepresentable, "app.container.labels.l0", func(v *values, s string) { v.Labels = []string{s} }},
		{"command", "\u0080", diag.Unrepresentable, "app.container.command", func(v *values, s string) { v.Command = []string{s} }},
		{"entrypoint", "a\x7fb", diag.Unrepresentable, "app.container.entrypoint", func(v *values, s string) { v.Entrypoint = []string{s} }},
		{"exec", "a\u0085b", diag.Unrepresentable, "app.container.health", func(v *values, s string) { v.Exec = []string{"/app", s} }},
		{"exec", "my program", diag.Unrepresentable, "app.container.health", func(v *values, s string) { v.Exec = []string{s} }},
		{"exec", "none", diag.Unrepresentable, "app.container.health", func(v *values, s string) { v.Exec = []string{s, "x"} }},
		{"exec", "Cmd-Shell", diag.Unrepresentable, "app.container.health", func(v *values, s string) { v.Exec = []string{s, "x"} }},
		{"exec", "CMD", diag.Unrepresentable, "app.container.health", func(v *values, s string) { v.Exec = []string{s} }},
		{"secrets", "/a,b", diag.BadValue, "app.container.secrets[0].target", func(v *values, s string) { v.Secrets = []string{s} }},
		{"tmpfs", "/a:b", diag.BadValue, "app.container.tmpfs[0].target", func(v *values, s string) { v.Tmpfs = []string{s} }},
		{"volumes", "/a b", diag.BadValue, "app.container.volumes[0].target", func(v *values, s string) { v.Volumes = []string{s} }},
		{"working_dir", `/a\`, diag.BadValue, "app.container.working_dir", func(v *values, s string) { v.WorkingDir = s }},
		{"hostname", "%H", diag.BadValue, "app.container.hostname", func(v *values, s string) { v.Hostname = s }},
		{"name", `"quoted"`, diag.BadValue, "app.name", func(v *values, s string) { v.Name = s }},
		{"name", "two\nlines", diag.BadValue, "app.name", func(v *values, s string) { v.Name = s }},
	} {
		t.Run(fmt.Sprintf("%s %.20q", c.where, c.value), func(t *testing.T) {
			v := values{Entrypoint: []string{"/app"}, Exec: []string{"/app", "health"}, WorkingDir: "/", Hostname: "h", Name: "x"}
			c.set(&v, c.value)
			for _, podman := range podmans[1:] {
				_, diags := v.render(t, podman)
				i := slices.IndexFunc(diags, func(d diag.Diagnostic) bool { return d.Code == c.code && d.Path == c.at })
				if i < 0 {
					t.Errorf("Podman %v: want %s at %q, got %v", podman, c.code, c.at, diags)
				}
			}
		})
	}
}

// manifest is the manifest that holds the values, as YAML.
func (v values) manifest() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("app:\n  id: x\n  name: %s\n  version: 1.0.0", yaml(v.Name))
	line("  secrets:")
	for i := range v.Secrets {
		line("    - {name: s%d}", i)
	}
	line("  container:\n    image: %s\n    working_dir: %s\n    hostname: %s", image, yaml(v.WorkingDir), yaml(v.Hostname))
	for key, list := range map[string][]string{"command": v.Command, "entrypoint": v.Entrypoint} {
		if len(list) > 0 {
			line("    %s: %s", key, yamlList(list))
		}
	}
	line("    health: {serving: {exec: %s}}", yamlList(v.Exec))
	annotations := make([]string, 0, len(v.Args))
	for _, a := range v.Args {
		annotations = append(annotations, "--annotation=a="+a)
	}
	line("    podman_args: %s", yamlList(annotations))
	line("    env:")
	for i, s := range v.Env {
		line("      V%d: %s", i, yaml(s))
	}
	line("    labels:")
	for i, s := range v.Labels {
		line("      l%d: %s", i, yaml(s))
	}
	line("    secrets:")
	for i, s := range v.Secrets {
		line("      - {name: s%d, target: %s}", i, yaml(s))
	}
	for key, list := range map[string][]string{"tmpfs": v.Tmpfs, "volumes": v.Volumes} {
		line("    %s:", key)
		for _, s := range list {
			disposable := ""
			if key == "volumes" {
				disposable, s = ", disposable: true", "/v"+s
			}
			line("      - {target: %s%s}", yaml(s), disposable)
		}
	}
	return b.String()
}

// yaml quotes a text so that YAML reads it back, and escapes what would be a variable; Go's
// escapes are YAML's too. A text that is not UTF-8 has no escapes.
func yaml(s string) string {
	if s = strings.ReplaceAll(s, "${", "$${"); !utf8.ValidString(s) {
		return `"` + s + `"`
	}
	return strconv.QuoteToASCII(s)
}

func yamlList(list []string) string {
	quoted := make([]string, 0, len(list))
	for _, s := range list {
		quoted = append(quoted, yaml(s))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// render goes the whole way from the text to what systemd reads.
func (v values) render(t rapid.TB, podman generator.Version) (service string, diags diag.List) {
	m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: "x.yaml", Data: []byte(v.manifest())}, Dir: "/apps"})
	if diags.HasErrors() {
		return "", diags
	}
	diags = append(diags, manifests.Validate(m)...)
	set, problems := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
	diags = append(diags, problems...)
	result, problems := generator.Render(set, generator.Target{Podman: podman, Generator: "test"})
	diags = append(diags, problems...)
	if diags.HasErrors() {
		return "", diags
	}
	c := newChecker(result.Files, units.User)
	for _, u := range c.units {
		converted, warning, err := c.convert(u)
		if err != nil || warning != nil {
			t.Fatalf("Podman %v: %v, %v", podman, err, warning)
		}
		if u.Filename != "app@x.container" {
			continue
		}
		if service, err = converted.ToString(); err != nil {
			t.Fatal(err)
		}
	}
	return service, diags
}

// compare demands that podman is told exactly what the manifest says.
func (v values) compare(t *rapid.T, podman generator.Version, argv []string) {
	at := slices.Index(argv, image)
	if at < 0 {
		t.Fatalf("Podman %v: the image is not in %q", podman, argv)
	}
	options, args := argv[:at], argv[at+1:]
	same := func(what string, got, want []string) {
		if slices.Sort(got); what != "command" {
			slices.Sort(want)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("Podman %v: %s is %q, want %q\n%q", podman, what, got, want, argv)
		}
	}
	if !slices.Equal(args, v.Command) {
		t.Fatalf("Podman %v: the command is %q, want %q", podman, args, v.Command)
	}
	same("env", flags(options, "--env"), pairs("V", v.Env))
	ours := func(s string) bool {
		return strings.HasPrefix(s, "io.archipelago.") || strings.HasPrefix(s, "io.containers.autoupdate=")
	}
	same("labels", slices.DeleteFunc(flags(options, "--label"), ours), pairs("l", v.Labels))
	annotations := make([]string, 0, len(v.Args))
	for _, a := range v.Args {
		annotations = append(annotations, "a="+a)
	}
	same("podman_args", slices.DeleteFunc(flags(options, "--annotation"), ours), annotations)
	secrets := make([]string, 0, len(v.Secrets))
	for i, s := range v.Secrets {
		secrets = append(secrets, fmt.Sprintf("x.s%d,type=mount,target=%s,mode=0400", i, s))
	}
	same("secrets", flags(options, "--secret"), secrets)
	same("tmpfs", flags(options, "--tmpfs"), slices.Clone(v.Tmpfs))
	targets := make([]string, 0, len(v.Volumes))
	for _, s := range v.Volumes {
		targets = append(targets, "/v"+s)
	}
	same("volumes", flags(options, "-v"), targets)
	same("working_dir", flags(options, "--workdir"), []string{v.WorkingDir})
	same("hostname", flags(options, "--hostname"), []string{v.Hostname})
	for what, want := range map[string][]string{"--entrypoint": v.Entrypoint, "--health-cmd": v.Exec, "--health-startup-cmd": v.Exec} {
		var got []string
		if text := flags(options, what); len(text) != 1 || json.Unmarshal([]byte(text[0]), &got) != nil || !slices.Equal(got, want) {
			t.Fatalf("Podman %v: %s is %q, want the array %q", podman, what, text, want)
		}
	}
}

func pairs(prefix string, list []string) []string {
	out := make([]string, 0, len(list))
	for i, s := range list {
		out = append(out, fmt.Sprintf("%s%d=%s", prefix, i, s))
	}
	return out
}

// flags is the values of an option, as `--x v` and as `--x=v`.
func flags(argv []string, name string) []string {
	list := []string{}
	for i := 0; i < len(argv); i++ {
		if value, ok := strings.CutPrefix(argv[i], name+"="); ok {
			list = append(list, value)
		} else if argv[i] == name && i+1 < len(argv) {
			i++
			list = append(list, argv[i])
		}
	}
	return list
}

// commandOf is the argument vector that systemd makes of a service's
// ExecStart=, after systemd.syntax(7), systemd.service(5), "Command lines", and
// systemd.unit(5), "Specifiers".
func commandOf(t *rapid.T, service string) []string {
	text := ""
	for l := range strings.Lines(strings.ReplaceAll(service, "\\\n", " ")) {
		if value, ok := strings.CutPrefix(l, "ExecStart="); ok {
			text = strings.Trim(value, " \t\r\n")
		}
	}
	var argv []string
	for text != "" {
		raw, rest := cutWord(t, text)
		if raw == ";" {
			t.Fatalf("systemd ends the command at the ; in %s", service)
		}
		argv, text = append(argv, expand(t, unquote(t, raw))), rest
	}
	return argv
}

// cutWord cuts the first word off, quotes and escapes untouched.
func cutWord(t *rapid.T, text string) (word, rest string) {
	quote := byte(0)
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case b == '\\':
			i++
		case quote != 0 && b == quote:
			quote = 0
		case quote == 0 && (b == '"' || b == '\''):
			quote = b
		case quote == 0 && strings.IndexByte(" \t\n\r", b) >= 0:
			return text[:i], strings.TrimLeft(text[i:], " \t\n\r")
		}
	}
	if quote != 0 {
		t.Fatalf("a quote is not closed in %s", text)
	}
	return text, ""
}

// unquote removes quotes and undoes C escapes, of which \x is one byte.
func unquote(t *rapid.T, word string) string {
	var out []byte
	quote := byte(0)
	for i := 0; i < len(word); i++ {
		switch b := word[i]; {
		case b == '\\' && strings.HasPrefix(word[i:], `\s`):
			out = append(out, ' ')
			i++
		case b == '\\':
			// UnquoteChar knows the same escapes, but no quote that is not its own.
			if next := word[i+1]; next == '"' || next == '\'' {
				out = append(out, next)
				i++
				continue
			}
			r, multibyte, tail, err := strconv.UnquoteChar(word[i:], 0)
			if err != nil {
				t.Fatalf("an escape is broken in %s", word)
			}
			if multibyte {
				out = utf8.AppendRune(out, r)
			} else {
				out = append(out, byte(r))
			}
			i = len(word) - len(tail) - 1
		case quote != 0 && b == quote:
			quote = 0
		case quote == 0 && (b == '"' || b == '\''):
			quote = b
		default:
			out = append(out, b)
		}
	}
	return string(out)
}

// expand undoes %% and $$. Anything else that systemd would replace is a
// failure: no value may bring that about.
func expand(t *rapid.T, word string) string {
	var out []byte
	for i := 0; i < len(word); i++ {
		b := word[i]
		if b == '%' || b == '$' {
			i++
			if i == len(word) || word[i] != b {
				t.Fatalf("systemd expands %q", word)
			}
		}
		out = append(out, b)
	}
	return string(out)
}
