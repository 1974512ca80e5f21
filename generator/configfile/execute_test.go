package configfile

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"text/template"
)

// agreed is templates that give the same as with text/template, or fail as there.
var agreed = []string{
	"plain", "{{.app.id}} {{$.app.id}} {{.app}} {{.port.web}}", "a {{- .app.id -}} b", "{{/* a comment */}}x", `{{"a" | print "b" | printf "%s-%s" "c"}}`,
	`{{$x := 1}}{{$x}}{{$x = 2}}{{$x}}{{if true}}{{$x := 3}}{{$x}}{{$x = 4}}{{end}}{{$x}}`, `{{if $x := .app.id}}{{$x}}{{else}}{{$x}}{{end}}`,
	`{{if ""}}a{{else if 0}}b{{else if .app}}c{{else}}d{{end}}`, `{{with .app}}{{.id}}{{.part}}{{end}}{{with ""}}{{else with "x"}}{{.}}{{end}}`,
	`{{range $i, $e := .onions}}{{$i}}{{$e.app}}{{.port}}{{end}}`, `{{range $k, $v := .app}}{{$k}}={{$v}},{{else}}none{{end}}`, `{{range $v := .app}}{{$v}}{{end}}`,
	`{{range 4}}{{if eq . 1}}{{continue}}{{end}}{{.}}{{with 3}}{{if eq . 3}}{{break}}{{end}}{{end}}{{end}}`, `{{range $i := 3}}{{$i}}{{$i = 9}}{{$i}}{{end}}`,
	`{{$x := ""}}{{$y := ""}}{{range $x, $y = .app}}{{end}}{{$x}}{{$y}}`, `{{$x := 0}}{{range $x = 3}}{{end}}{{$x}}`, `{{range $x := capability "tor"}}{{else}}{{$x}}{{end}}`,
	`{{range 2}}{{$o := .}}{{range 2}}{{$o}}{{.}}{{end}}{{end}}`, `{{range 0}}a{{else}}b{{end}}{{range nothing}}a{{else}}c{{end}}`, `{{range "text"}}{{end}}`, `{{range 1.5}}{{end}}`,
	`{{range $a, $b := 3}}{{end}}`, `{{and 1 0 (div 1 0)}}{{or "" "x" (div 1 0)}}{{1 | and 2}}{{0 | or ""}}{{or}}`, `{{and 1 (div 1 0)}}`, `{{not 1}}{{not ""}}{{len "abc"}}{{len .app}}{{len 3}}`,
	`{{(capability "bitcoin-rpc").host}}{{(print "x").y}}`, `{{(index .onions 0).app}}{{index .onions 0 "virtual"}}{{index .app "none"}}{{index .machine "none"}}`,
	`{{nil}}`, `{{eq nil nil}}`, `{{print nil}}{{print nil 1 "a" "b"}}{{println 1 2}}`, `{{.app.none}}`, `{{.none}}`, `{{.app.id.x}}`, `{{nothing.x}}`, `{{nothing}}`, `{{.app "x"}}`, `{{"x" | .app}}`, `{{1 2}}`, `{{$x := 1}}{{$x 2}}`,
	`{{1.5}} {{1e3}} {{0x1F}} {{0x1p4}} {{'a'}} {{1_000}} {{-3}} {{+4}} {{0b11}} {{1i}} {{true}}`, `{{99999999999999999999}}`, `{{18446744073709551615}}`, `{{if 1.5}}a{{end}}{{if 0.0}}b{{end}}{{if 2i}}c{{end}}`,
	`{{hmac "a"}}`, `{{hmac 1 "a"}}`, `{{secret nil}}`, `{{"token" | secret}}`, `{{secret "token" | base64 | urlquery}}`, `{{default "x" .app.id | len}}`, `{{with $x := .machine}}{{printf "%08d" $x.memory}}{{end}}`,
	`{{add 1 "2"}}{{sub 1 2}}{{mul 2 3}}{{div 7 2}}{{min 1 2}}{{max 1 2}}`, `{{slice "abcdef" 1 3}}{{slice "abc" 2}}{{slice "abc"}}{{slice .onions 0 0}}`, `{{slice "abc" 4}}{{slice 3}}`, `{{lt 1 2}}{{ge "a" "b"}}{{eq 1 2 1}}{{ne 1 "1"}}`,
	`{{if}}x{{end}}`, `{{break}}`, `{{end}}`, `{{$x}}`, `{{"a}}`, `{{(1}}`, `{{print.x}}`, `{{range .app}}{{.}}{{$.app.id}}{{end}}`, "{{- range 2 }}\n\t{{- . }}\n{{- end -}} x",
}

// withTextTemplate is what text/template makes of a template, with the same functions and data.
func withTextTemplate(text string, funcs map[string]function, all map[string]any) (string, error) {
	own := template.FuncMap{}
	for name, f := range funcs {
		if f.endsWith != nil {
			continue // text/template's own `and` and `or` evaluate no more than needed, too
		}
		own[name] = func(args ...any) (any, error) {
			if len(args) < f.least || f.isFixed && len(args) > f.least {
				return nil, errors.New("the number of arguments")
			}
			return f.call(args)
		}
	}
	t, err := template.New(name).Option("missingkey=error").Funcs(own).Parse(text)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = t.Execute(&out, all)
	return out.String(), err
}

// agree compares what a template gives with what text/template makes of it.
func agree(t *testing.T, text string) {
	t.Helper()
	b := new(Budget)
	funcs := functions(data, rehearsal, b)
	funcs["nothing"] = function{isFixed: true, call: func([]any) (any, error) { return nil, nil }}
	root, mistake := parsed(text, funcs)
	all := all(data, home)
	var out []byte
	var err error
	if mistake != nil {
		err = mistake
	} else {
		out, err = b.execute(root, text, funcs, all)
	}
	isOther := slices.ContainsFunc([]string{"define", "block", "template", "html", "js", "call"}, func(word string) bool { return strings.Contains(text, word) })
	isTooLong := err != nil && strings.Contains(err.Error(), "the file would have more")
	if isOther || isTooLong || b.steps > maxSteps || b.made > maxMade {
		return // what we don't have, or text/template does not bound
	}
	b.steps, b.made = 0, 0
	want, wantErr := withTextTemplate(text, funcs, all)
	if (err == nil) != (wantErr == nil) || err == nil && string(out) != want {
		t.Errorf("%q gives %q, %v; text/template %q, %v", text, out, err, want, wantErr)
	}
}

// TestAgree: a template gives what text/template makes of it.
func TestAgree(t *testing.T) {
	for _, text := range agreed {
		agree(t, text)
	}
}

// FuzzAgree: so does any other.
func FuzzAgree(f *testing.F) {
	for _, text := range agreed {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { agree(t, text[:min(len(text), 1<<12)]) })
}
