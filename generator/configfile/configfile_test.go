package configfile

import (
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

var data = Data{
	App:            map[string]string{"id": "ui", "version": "1.2", "part": "main"},
	Settings:       map[string]string{"network": "regtest", "chain": "regtest", "host_name": "node.local"},
	Ports:          map[string]string{"web": "8080"},
	ContainerPorts: map[string]string{"web": "80"},
	Capabilities: map[string]map[string]string{
		"bitcoin-rpc": {"host": "bitcoin-rpc", "port": "8332", "user": "archipelago", "password_secret": "knots.rpc-password"},
		"tor":         {},
	},
	Secrets: map[string]string{"token": "ui.token"},
	Onions:  []Onion{{App: "ui", Host: "ui", Port: 80, Virtual: 8080, Address: "127.1.2.3:20000"}},
}

var home = Machine{Memory: 8192, Cores: 4, Address: "192.168.7.3"}

func value(name string) (string, error) { return "value of " + name, nil }

func TestRender(t *testing.T) {
	for _, c := range []struct{ name, template, want string }{
		{"text", "plain\n", "plain\n"},
		{"nothing", "", ""},
		{"facts of the app", "{{.app.id}} {{.app.version}} {{.port.web}} {{.container_port.web}} {{.settings.chain}}", "ui 1.2 8080 80 regtest"},
		{"a capability", `{{with capability "bitcoin-rpc"}}{{.host}}:{{.port}} {{.user}}{{end}}`, "bitcoin-rpc:8332 archipelago"},
		{"a value of one", `{{(capability "bitcoin-rpc").user}}`, "archipelago"},
		{"one without a provider", `{{with capability "tor"}}proxy={{.host}}{{else}}no tor{{end}}`, "no tor"},
		{"a secret", `{{secret "token"}}`, "value of ui.token"},
		{"a secret that a capability exports", `{{secret (capability "bitcoin-rpc").password_secret}}`, "value of knots.rpc-password"},
		{"a share of the memory", `{{max 300 (min (div .machine.memory 8) 4096)}}`, "1024"},
		{"the address, or a default", `{{default "127.0.0.1" .machine.address}}`, "192.168.7.3"},
		{"a default in a pipeline", `{{"" | default "x"}}`, "x"},
		{"base64", `{{printf "%s:%s" "user" "pass" | base64}}`, "dXNlcjpwYXNz"},
		{"a part of a URL", `{{urlquery "a b/c"}}`, "a+b%2Fc"},
		{"a hash with a key", `{{hmac "key" "The quick brown fox jumps over the lazy dog"}}`, "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"},
		{"hidden services", `{{range $i, $o := .onions}}{{$i}} {{$o.app}} {{$o.host}}:{{$o.port}} {{.virtual}} {{.address}}{{end}}`, "0 ui ui:80 8080 127.1.2.3:20000"},
		{"a loop", `{{range 3}}{{.}}{{end}}`, "012"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Render(c.template, data, home, value)
			if err != nil || string(got) != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
			if errs := Check(c.template, data, new(Budget)); len(errs) > 0 {
				t.Errorf("Check: %v", errs)
			}
		})
	}
}

// TestCheck: mistakes are found with their place before anything is started, also
// in branches that are not taken.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, template string
		line, column   int
		says           string
	}{
		{"no end", "a\n  {{if .app.id}}", 2, 3, "unexpected EOF"},
		{"an unknown function", "a\nb {{ env \"HOME\" }}", 2, 6, `function "env" not defined`},
		{"an unknown secret", "x\n{{if false}}{{secret \"tokn\"}}{{end}}", 2, 22, "no secret tokn here; the app has token"},
		{"a secret of another app", `{{secret "lnd.seed"}}`, 1, 10, "no secret lnd.seed"},
		{"a secret by a name that is made up", `{{secret (print "lnd" ".seed")}}`, 1, 3, "no secret lnd.seed"},
		{"a capability that is not required", `{{(capability "lnd").host}}`, 1, 15, "does not require the capability lnd"},
		{"a value that is not exported", "\n{{if false}}{{(capability \"bitcoin-rpc\").zmq}}{{end}}", 2, 41, "exports no zmq; there is host, password_secret, port, user"},
		{"the same, of a variable", `{{if false}}{{$c := capability "bitcoin-rpc"}}{{$c.zmq}}{{end}}`, 1, 51, "exports no zmq"},
		{"the same, of the dot", `{{with $c := capability "bitcoin-rpc"}}{{.zmq}}{{end}}`, 1, 42, "exports no zmq"},
		{"the same, met when it is run", `{{$c := capability (print "bitcoin" "-rpc")}}{{$c.zmq}}`, 1, 50, `no entry for key "zmq"`},
		{"a port", "{{if false}}{{.port.wbe}}{{end}}", 1, 20, "no .port.wbe; there is web"},
		{"a root", "{{.env.HOME}}", 1, 3, "no .env"},
		{"a fact", "{{.machine.name}}", 1, 11, "no .machine.name"},
		{"a definition", `{{define "x"}}{{template "x"}}{{end}}`, 1, 15, "defines no others"},
		{"a use of another", `{{template "x"}}`, 1, 12, "uses no others"},
		{"a division by nothing", `{{div 1 0}}`, 1, 3, "division by zero"},
		{"text for a number", `{{add "x" 1}}`, 1, 3, "not a whole number"},
		{"what no configuration needs", `{{js "x"}}`, 1, 3, `function "js" not defined`},
	} {
		t.Run(c.name, func(t *testing.T) {
			errs := Check(c.template, data, new(Budget))
			if len(errs) == 0 {
				t.Fatal("nothing is wrong")
			}
			if e := errs[0]; e.Line != c.line || e.Column != c.column || !strings.Contains(e.Message, c.says) {
				t.Errorf("got %v; want line %d, column %d: …%s…", e, c.line, c.column, c.says)
			}
		})
	}
}

// TestBounds: no template runs on, and none makes more than it may.
func TestBounds(t *testing.T) {
	for _, c := range []struct{ name, template, says string }{
		{"a loop without an end", `{{range 1000000000}}{{end}}`, "steps"},
		{"loops in loops", `{{range 90000}}{{range 90000}}{{range 90000}}{{end}}{{end}}{{end}}`, "steps"},
		{"a long file", `{{range 30000}}{{"0123456789012345678901234567890123456789"}}{{end}}`, "would have more than"},
		{"a text that doubles", `{{$x := "abcdefgh"}}{{range 60}}{{$x = print $x $x}}{{end}}`, "make more than"},
		{"many texts", `{{$x := printf "%9999d" 1}}{{range 5000}}{{$y := print $x}}{{end}}`, "make more than"},
		{"a wide column", `{{printf "%999999d" 1}}`, "printf takes"},
		{"a column of any width", `{{printf "%*d" 900000 1}}`, "printf takes"},
		{"many columns", `{{printf "` + strings.Repeat("%9999d", 2000) + `" 1}}`, "make more than"},
		{"one argument many times", `{{printf "%[1]s%[1]s" "x"}}`, "printf takes"},
		{"many hashes", `{{range 100}}{{bcrypt (print .)}}{{end}}`, "make more than"},
		{"comparisons", `{{$x := printf "%9999d" 1}}{{$y := printf "%9999d" 1}}{{range 10000}}{{if eq $x $y $y $y}}{{end}}{{end}}`, "make more than"},
		{"many values of a comparison", `{{range 1000}}{{if eq 1` + strings.Repeat(" 2", 2000) + `}}{{end}}{{end}}`, "steps"},
		{"long keys", `{{$x := printf "%9999d" 1}}{{range 10000}}{{index $.app $x}}{{end}}`, "make more than"},
		{"little made of much", `{{$x := printf "%9999d" 1}}{{range 10000}}{{if hmac $x $x}}{{end}}{{end}}`, "make more than"},
		{"long bodies of loops", `{{range 90000}}` + strings.Repeat("{{if false}}{{end}}", 100) + `{{end}}`, "steps"},
		{"many actions", strings.Repeat("{{1}}", 10_001), "more than 10000 actions"},
		{"a long template", strings.Repeat("x", MaxTemplate+1), "a template may have"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Render(c.template, data, home, value)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v; want …%s…", err, c.says)
			}
		})
	}
}

// TestBudget: the templates of an app cost together, and where they cost too much does not
// depend on the machine.
func TestBudget(t *testing.T) {
	const loop = "{{range 9000}}\n{{range 9}}x{{end}}{{end}}"
	b := new(Budget)
	for i := range 3 {
		if errs := Check(loop, data, b); len(errs) > 0 {
			t.Errorf("template %d: %v", i, errs[0])
		}
	}
	errs := Check(loop, data, b)
	if len(errs) != 1 || errs[0].Error() != "line 2, column 9: the templates take more than 1000000 steps together" {
		t.Errorf("the fourth: %v", errs)
	}
}

// TestComparisons: values are compared, and found in maps and lists.
func TestComparisons(t *testing.T) {
	for template, want := range map[string]string{
		`{{eq .app.id "ui"}}{{eq 1 2 1}}{{eq true false}}{{eq true true}}{{ne "a" "b"}}{{ne 1 1}}`: "truetruefalsetruetruefalse",
		`{{lt 1 2}}{{le 2 2}}{{gt "b" "a"}}{{ge "a" "b"}}`:                                         "truetruetruefalse",
		`{{index .app "id"}}{{index (capability "bitcoin-rpc") "host"}}{{index .app "none"}}`:      "uibitcoin-rpc",
		`{{eq 1 "1"}}`:        "a whole number and a text can't be compared",
		`{{index .onions 7}}`: "7 is no key of a map",
		`{{eq 1}}`:            "there are none",
	} {
		out, err := Render(template, data, home, value)
		if got := string(out); err != nil && !strings.Contains(err.Error(), want) || err == nil && got != want {
			t.Errorf("%s: %q, %v; want %q", template, got, err, want)
		}
	}
}

// TestRPCAuth holds the form against what bitcoind's own share/rpcauth makes:
// the hash is HMAC-SHA256 of the password, and its key the salt as text.
func TestRPCAuth(t *testing.T) {
	text := RPCAuth("archipelago", "secret")
	user, rest, _ := strings.Cut(text, ":")
	salt, hash, _ := strings.Cut(rest, "$")
	if user != "archipelago" || len(salt) != 32 || hash != mac(salt, "secret") {
		t.Errorf("got %s", text)
	}
	if text != RPCAuth("archipelago", "secret") || text == RPCAuth("archipelago", "other") {
		t.Error("it does not follow from user and password")
	}
}

func TestBcrypt(t *testing.T) {
	for _, password := range []string{"", "secret", strings.Repeat("x", 72)} {
		text, err := hashed(password, 4)
		if err != nil {
			t.Fatal(err)
		}
		if err := bcrypt.CompareHashAndPassword([]byte(text), []byte(password)); err != nil {
			t.Errorf("%s is not a hash of %q: %v", text, password, err)
		}
	}
	if _, err := hashed(strings.Repeat("x", 73), 4); err == nil {
		t.Error("a password that bcrypt cuts off is taken")
	}
}

// FuzzRender: whatever a template is, it ends within its bounds, and
// what is rendered passed the check before.
func FuzzRender(f *testing.F) {
	for _, seed := range []string{
		"plain", "{{.app.id}}", `{{(capability "bitcoin-rpc").host}}`, `{{secret "token" | base64 | urlquery}}`,
		`{{range 9}}{{if eq . 3}}{{break}}{{end}}{{.}}{{else}}none{{end}}`, `{{with $x := .machine}}{{printf "%08d" $x.memory}}{{end}}`,
		`{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, "{{/* a comment */ -}} x", `{{$x := "a"}}{{range 40}}{{$x = print $x $x}}{{end}}`,
		`{{rpcauth "u" (secret "token")}}{{bcrypt "x"}}{{hmac "a" "b"}}{{div 7 2}}`, "{{range $i, $e := .port}}{{$i}}{{continue}}{{end}}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = text[:min(len(text), 1<<12)]
		errs := Check(text, data, new(Budget))
		out, err := Render(text, data, rehearsalMachine, rehearsal.secret)
		for _, e := range errs {
			if e.Line < 1 || e.Column < 1 || e.Line > 1+strings.Count(text, "\n") {
				t.Errorf("%q: %v", text, e)
			}
		}
		if len(errs) == 0 && err != nil {
			t.Errorf("%q passed the check, and then: %v", text, err)
		}
		if len(out) > MaxOutput {
			t.Errorf("%q gave %d bytes", text, len(out))
		}
	})
}
