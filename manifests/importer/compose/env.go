package compose

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// envValue is the value of an environment variable while a service is read. What is read later
// replaces it.
type envValue struct {
	item
	x expanded
	// expand is the value with references to secrets instead of their values.
	expand func(secrets map[string]string) expanded
	// isInferred: it comes from a file that is read beside the source.
	isInferred bool
}

func (s *service) environment(n *syntax.Node, key string) {
	for _, v := range s.pairs(n, key, "=") {
		if !v.hasValue {
			s.passed(v)
			continue
		}
		if v.node.Kind != syntax.ScalarNode {
			s.Report(importer.BadSourceValue, v.at, v.key, "the variable %s must be one value, found %s", v.name, v.node.Describe())
			continue
		}
		written := asWritten(v.node)
		s.env[v.name] = envValue{item: v.item, x: s.expand(written), expand: func(secrets map[string]string) expanded { return s.expandWith(written, secrets) }}
	}
}

// passed reads a variable without a value, which Compose takes from `.env` or from the shell
// that calls it.
func (s *service) passed(v pair) {
	if value, ok := s.lookup(v.name, v.at); ok {
		s.env[v.name] = envValue{item: v.item, x: expanded{text: value.value, uses: []use{{name: v.name, isSet: true, value: value.value, at: value.at}}, isWhole: true}}
		return
	}
	delete(s.env, v.name)
	s.Ask(importer.Question{
		Code: importer.PassedVariable, Key: "variable." + v.name, HasDefault: true,
		Text: fmt.Sprintf("the variable %s would be passed on from the shell of the caller; it is left out", v.name),
	}.From(v.at, v.key))
}

// envFiles reads files of variables beside the source into the environment.
func (s *service) envFiles(n *syntax.Node, key string) {
	for _, it := range s.items(n, key) {
		at, isRequired := it.node, true
		if it.node.Kind == syntax.MapNode {
			if r := it.node.Get("required"); r != nil {
				isRequired = s.isTrue(r, it.key+".required")
			}
			if at = it.node.Get("path"); at == nil {
				s.Report(importer.BadSourceValue, it.at, it.key, "the file has no path")
				continue
			}
		}
		s.envFile(s.text(at, it.key), it, isRequired)
	}
}

func (s *service) envFile(name string, it item, isRequired bool) {
	clean, ok := inside(name)
	if !ok {
		s.Report(importer.OutsideDirectory, it.at, it.key, "the file %s is outside of the directory", name)
		return
	}
	data, err := fs.ReadFile(s.fsys, clean)
	if err != nil || len(data) > syntax.MaxFileSize {
		if isRequired {
			s.Report(importer.MissingFile, it.at, it.key, "the file %s can't be read: %v", name, manifests.CauseOf(err))
		}
		return
	}
	s.Sources[clean] = data
	for _, a := range s.dotenv(clean, data) {
		if !a.hasValue {
			if v, ok := s.lookup(a.name, a.at); ok {
				a.value = v.value
			} else {
				continue
			}
		}
		node := &syntax.Node{Kind: syntax.ScalarNode, Text: a.value, At: a.at}
		s.env[a.name] = envValue{item: item{a.name, node, a.at, it.key + "." + a.name}, x: expanded{text: a.value, uses: a.uses}, expand: a.expand, isInferred: true}
	}
}

// completeEnv writes the environment: time zones, secrets and plain values.
func (s *service) completeEnv() {
	names := make([]string, 0, len(s.env))
	for name := range s.env {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		v := s.env[name]
		switch {
		case name == "TZ" && s.timezone(v):
		case s.secretOf(v) != "":
			s.secretEnv(v)
		default:
			s.plainEnv(v)
		}
	}
	slices.SortFunc(s.c.Env, byName)
}

// timezone replaces TZ where it depends on the machine.
func (s *service) timezone(v envValue) bool {
	answer, isAnswered := s.Answer("timezone")
	isUnset := len(v.x.uses) > 0 && !v.x.uses[0].isSet
	if !isAnswered && !isUnset {
		return false
	}
	zone := s.Ask(importer.Question{
		Code: importer.TimeZone, Key: "timezone", Text: "the time zone is that of the host", Default: "local", HasDefault: true,
	}.From(v.at, v.key))
	s.c.Timezone = first(answer, zone)
	s.Note(s.path+".timezone", v.at)
	return true
}

func (s *service) plainEnv(v envValue) {
	parts := s.secretsIn(v.x.uses, v.item)
	if len(parts) > 0 {
		v.x = v.expand(byVariable(parts))
	}
	for _, p := range parts {
		s.Mask(p.use.at, p.use.value)
		s.declareSecret(p.secret, s.envPart(p.use, v.item).item, p.use.isSet)
	}
	text, ok := s.withoutSecrets(v.x, v.item, v.name)
	if !ok {
		return
	}
	s.settle(v.x, v.node, v.key)
	s.c.Env = append(s.c.Env, manifests.Variable{Name: v.name, Value: text})
	if v.isInferred {
		s.Note(s.path+".env."+v.name, v.at)
	}
	if len(parts) == 0 && isURLWithPassword(text) {
		s.Mask(v.at, text)
		s.Report(importer.PlainSecret, v.at, v.key, "%s holds a password, which stays in the manifest", v.name)
	}
}

// secretPart is a secret that is a part of a text, and the variable that stands for it there.
type secretPart struct {
	use    use
	secret string
}

// secretsIn is the secrets that are parts of a text. The manifest refers to them.
func (p *project) secretsIn(uses []use, it item) (parts []secretPart) {
	for _, u := range uses {
		if p.Platform.lost(u) != nil || !p.isSecret(u.name) || u.isSet && !isSecretValue(u.value) {
			continue
		}
		if name := p.secretOf(p.envPart(u, it)); name != "" {
			parts = append(parts, secretPart{u, name})
		}
	}
	return parts
}

// envPart is a part of a text as an environment variable of its own.
func (p *project) envPart(u use, it item) envValue {
	return envValue{item: item{u.name, it.node, it.at, it.key}, x: expanded{text: u.value, uses: []use{u}, isWhole: true}}
}

// byVariable is the names of secrets by the variables that stand for them.
func byVariable(parts []secretPart) map[string]string {
	secrets := map[string]string{}
	for _, p := range parts {
		secrets[p.use.name] = p.secret
	}
	return secrets
}

var urlPassword = regexp.MustCompile(`[a-z]://[^/\s:@]*:[^/\s@]+@`)

func isURLWithPassword(text string) bool { return urlPassword.MatchString(text) }

// withoutSecrets is a text, unless a secret is a part of it, which a manifest says only of values of
// environment variables, and a script of what the shell replaces.
func (p *project) withoutSecrets(x expanded, it item, what string) (text string, ok bool) {
	for _, u := range x.uses {
		if v := p.Platform.lost(u); v != nil {
			p.Report(v.Loss, it.at, it.key, "%s is left out: %s is %s", what, u.name, v.What)
			return "", false
		}
		if !p.isSecret(u.name) || u.isSet && !isSecretValue(u.value) {
			continue
		}
		name := importer.SecretName(u.name)
		if mode, _ := p.Answer("secret." + name); mode == "plain" {
			p.Ask(p.secretQuestion(name, it, u.isSet))
			p.Report(importer.PlainSecret, it.at, it.key, "%s holds the secret %s, which stays in the manifest", what, name)
			continue
		}
		p.Mask(u.at, u.value)
		p.Report(importer.SecretInValue, it.at, it.key, "%s is left out: the secret %s is a part of it", what, name)
		return "", false
	}
	return x.text, true
}

// findSecrets names the secrets before anything is written, so that values that hold one are
// known wherever they are.
func (p *project) findSecrets() {
	for _, s := range p.services {
		s.env = map[string]envValue{}
		if n := s.node.Get("environment"); n != nil && n.Kind != syntax.ScalarNode {
			for _, v := range asMap(n, "=").Entries {
				if v.Value.Kind == syntax.ScalarNode {
					s.secretOf(envValue{item: item{name: v.Key, node: v.Value, at: v.At}, x: p.expand(v.Value)})
				}
			}
		}
	}
}

// secretWords is how the names of secrets end. It is compiled when it is needed, as tagAtEnd is.
var secretWords = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:^|[_.-])(?:[A-Z0-9]*PASS|[A-Z0-9]*PASSWORD|[A-Z0-9]*PASSWD|PWD|PASSPHRASE|[A-Z]*TOKEN|[A-Z]*SECRET|SECRET_KEY(?:_BASE)?|API_?KEY|APP_KEY|PRIVATE_KEY|ENCRYPTION_KEY|ACCESS_KEY|MASTER_KEY|SIGNING_KEY|AUTH_KEY)$`)
})

// isSecret reports whether the value of a variable is a secret.
func (p *project) isSecret(name string) bool { return isSecretName(name) || p.Platform.isSecret(name) }

func isSecretName(name string) bool { return secretWords().MatchString(name) }

// isSecretValue is false for what stands beside a secret's name without being one: a switch, a
// number, a path or nothing. A secret of another app has its name in the manifest.
func isSecretValue(value string) bool {
	if len(importer.References(value)) > 0 {
		return false
	}
	if _, err := strconv.ParseBool(strings.ToLower(value)); err == nil {
		return false
	}
	switch strings.ToLower(value) {
	case "", "yes", "no", "on", "off", "none", "null", "disabled", "enabled":
		return false
	}
	return !strings.HasPrefix(value, "/")
}

// secretOf is the name of the secret that an environment variable is as a whole, or nothing.
func (p *project) secretOf(v envValue) string {
	isVariable := v.x.isWhole && p.isSecret(v.x.uses[0].name)
	if slices.ContainsFunc(v.x.uses, func(u use) bool { return p.Platform.lost(u) != nil }) {
		return ""
	}
	if !isVariable && !isSecretName(v.name) {
		return ""
	}
	source, name := "="+v.x.text, importer.SecretName(v.name)
	switch {
	case isVariable && !v.x.uses[0].isSet:
		source, name = "$"+v.x.uses[0].name, importer.SecretName(v.x.uses[0].name)
	case v.x.isWhole && !v.x.uses[0].isSet:
		return "" // the value of a variable that is no secret has to be given
	case !isSecretValue(v.x.text), len(v.x.uses) > 0 && !v.x.isWhole:
		return ""
	case isVariable:
		name = importer.SecretName(v.x.uses[0].name)
	}
	if mode, _ := p.Answer("secret." + name); mode == "plain" {
		p.Ask(p.secretQuestion(name, v.item, true))
		return ""
	}
	if known, ok := p.secrets[source]; ok {
		return known
	}
	for _, other := range p.secrets {
		if other == name { // another value under the same name
			name = importer.SecretName(fmt.Sprintf("%s-%d", name, len(p.secrets)+1))
		}
	}
	p.secrets[source] = name
	return name
}

// secretEnv hands a secret to the service as an environment variable.
func (s *service) secretEnv(v envValue) {
	name := s.secretOf(v)
	at, isKnown := v.at, v.x.text != ""
	if len(v.x.uses) > 0 {
		at = v.x.uses[0].at
	}
	s.Mask(at, v.x.text)
	s.Mask(v.node.At, v.x.text)
	s.declareSecret(name, item{v.name, v.node, at, v.key}, isKnown)
	s.c.Secrets = append(s.c.Secrets, manifests.SecretMount{Name: name, Env: v.name, Waiver: "the program reads it from its environment"})
	s.Note(fmt.Sprintf("%s.secrets[%d]", s.path, len(s.c.Secrets)-1), v.at)
}

// declareSecret adds a secret to the app, once. One with a value in the source is supplied,
// since data may depend on it; another is generated.
func (p *project) declareSecret(name string, it item, isKnown bool) {
	if slices.ContainsFunc(p.App.Secrets, func(d manifests.Secret) bool { return d.Name == name }) {
		return
	}
	d := manifests.Secret{Name: name, Description: "From " + first(it.name, name) + " of the source"}
	if p.Ask(p.secretQuestion(name, it, isKnown)) == "generate" {
		d.Generate = &manifests.Generate{}
	}
	p.App.Secrets = append(p.App.Secrets, d)
	p.Note(fmt.Sprintf("app.secrets[%d]", len(p.App.Secrets)-1), it.at)
}

func (p *project) secretQuestion(name string, it item, isKnown bool) importer.Question {
	q := importer.Question{Code: importer.SecretValue, Key: "secret." + name, HasDefault: true, Choices: []string{"supply", "generate", "plain"}}
	full := p.App.ID + "." + name
	if q.Default, q.Text = "generate", fmt.Sprintf("%s becomes the secret %s, which is generated", first(it.name, name), full); isKnown {
		q.Default, q.Text = "supply", fmt.Sprintf("%s becomes the secret %s; set its value with archgen secret set", first(it.name, name), full)
	}
	return q.From(it.at, it.key)
}
