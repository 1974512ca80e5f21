package manifests

import (
	"cmp"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// This file gives keys that a manifest leaves out their defaults. The values are in the tags
// of schema.go. No code after the decoder knows a default.

// defaultTag is the text of a default tag: a value, and after semicolons what it depends on.
//
//	30s
//	30s; 2m for database     a value for one case of the key that decides
//	5m; at least delay       a bound that another key of the structure sets
//	/run/secrets/NAME        a text with names that stand for other values
type defaultTag struct {
	// value is the default by case; "" is any other case.
	value map[string]reflect.Value
	// isPlain: the default is the same whatever other keys say.
	isPlain bool
}

// placeholder is a name in a default that stands for another value.
var placeholder = regexp.MustCompile(`[A-Z]{2,}`)

func readDefault(text string, of reflect.Type) defaultTag {
	d := defaultTag{value: map[string]reflect.Value{}, isPlain: !strings.Contains(text, ";") && !placeholder.MatchString(text)}
	for i, part := range strings.Split(text, "; ") {
		value, which, isCase := strings.Cut(part, " for ")
		if i == 0 || isCase {
			d.value[which] = decoded(value, of)
		}
	}
	return d
}

// decoded is the text of a default as a value of the schema.
func decoded(text string, of reflect.Type) reflect.Value {
	n := &syntax.Node{Kind: syntax.ScalarNode, Text: text}
	if of.Kind() == reflect.Bool {
		n.Scalar = syntax.BoolScalar
	}
	if items, isList := strings.CutPrefix(text, "["); isList {
		n = &syntax.Node{Kind: syntax.ListNode}
		for item := range strings.SplitSeq(strings.TrimSuffix(items, "]"), ", ") {
			n.Items = append(n.Items, &syntax.Node{Kind: syntax.ScalarNode, Text: item})
		}
	}
	v := reflect.New(of).Elem()
	d := &decoder{m: &Manifest{}, isVerbatim: true}
	d.value(n, v, nil, &fieldPlan{})
	if len(d.diags) > 0 {
		panic("the schema has a default that is no value of its key: " + d.diags[0].Message)
	}
	return v
}

// fill makes the structure in which every key with a plain default has it.
func (p *plan) fill(t reflect.Type) {
	p.filled = reflect.New(t).Elem()
	for i := range p.fields {
		switch f, v := &p.fields[i], p.filled.Field(i); {
		case f.fallback.isPlain:
			v.Set(f.fallback.value[""])
		case v.Kind() == reflect.Struct:
			v.Set(planOf(v.Type()).filled)
		}
	}
}

// withDefaults is a structure of the schema of which nothing was written.
func withDefaults[T any]() T { return planOf(reflect.TypeFor[T]()).filled.Interface().(T) }

// defaultOf is the default of a key of the structure S in one case.
func defaultOf[S, T any](key, which string) T {
	p := planOf(reflect.TypeFor[S]())
	values := p.fields[p.byKey[key]].fallback.value
	v, isCase := values[which]
	if !isCase {
		v = values[""]
	}
	return v.Interface().(T)
}

// complete gives the app the defaults that depend on other keys. Such a key is zero where
// it is left out.
func (a *App) complete() {
	if a.UI != nil {
		a.UI.complete(a)
	}
	if a.Container != nil {
		a.Container.complete(a, "main")
	}
	for _, name := range slices.Sorted(maps.Keys(a.Containers)) {
		if c := a.Containers[name]; c != nil {
			c.complete(a, name)
		}
	}
	for i := range a.Hooks.PreStart {
		if s := &a.Hooks.PreStart[i]; s.WaitFor != nil {
			s.WaitFor.Timeout = cmp.Or(s.WaitFor.Timeout, s.Timeout)
		}
	}
}

// complete gives the user interface the protocol of a probe of its port.
func (u *UI) complete(a *App) {
	which := ""
	for _, p := range a.Parts() {
		if serving := p.Health.Serving; serving != nil && serving.HTTPS != nil && serving.HTTPS.Port == u.Port {
			which = "a port that health.serving probes by https"
		}
	}
	u.Scheme = cmp.Or(u.Scheme, defaultOf[UI, string]("scheme", which))
}

func (c *Container) complete(a *App, part string) {
	c.Kind = cmp.Or(c.Kind, kindOf(c.Image))
	// Databases and chain daemons that were killed while they wrote lost data or hours of
	// work (Fulcrum #41, electrumx #41, raspibolt #1035).
	c.Stop.Timeout = cmp.Or(c.Stop.Timeout, defaultOf[Stop, Duration]("timeout", c.Kind))
	work := ""
	if c.Oneshot {
		work = "oneshot"
	}
	c.Restart.Policy = cmp.Or(c.Restart.Policy, defaultOf[Restart, string]("policy", work))
	c.Restart.MaxDelay = cmp.Or(c.Restart.MaxDelay, max(defaultOf[Restart, Duration]("max_delay", ""), c.Restart.Delay))
	if c.Build != nil {
		c.Build.complete(a, part)
	}
	for i := range c.Secrets {
		if s := &c.Secrets[i]; s.Env == "" {
			s.Target = cmp.Or(s.Target, replaceNames(defaultOf[SecretMount, string]("target", ""), map[string]string{"NAME": cmp.Or(s.Name, s.Export)}))
		}
	}
	c.Health.Serving = cmp.Or(c.Health.Serving, uiProbe(a, c))
	for _, p := range []*Probe{c.Health.Alive, c.Health.Serving, c.Health.Synced} {
		if p != nil {
			p.Timeout = cmp.Or(p.Timeout, min(defaultOf[Probe, Duration]("timeout", ""), p.Interval))
		}
	}
}

// complete names the image after the app and its part.
func (b *Build) complete(a *App, part string) {
	which := ""
	if part != "main" {
		which = "another part"
	}
	name := replaceNames(defaultOf[Build, string]("tag", which), map[string]string{"ID": a.ID, "PART": part, "VERSION": a.Version})
	b.Tag = cmp.Or(b.Tag, name)
}

func replaceNames(text string, values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string { return values[name] })
}

// kinds tells the kind of a program from the last element of its image's name.
var kinds = map[string]string{
	"postgres": "database", "postgresql": "database", "mariadb": "database", "mysql": "database",
	"mongo": "database", "mongodb": "database", "redis": "database", "valkey": "database",
	"influxdb": "database", "clickhouse": "database", "etcd": "database", "couchdb": "database",
	"bitcoin": "chain", "bitcoind": "chain", "bitcoin-core": "chain", "bitcoin-knots": "chain", "bitcoinknots": "chain",
	"docker-bitcoind": "chain", "umbrel-bitcoin": "chain", "umbrel-bitcoin-knots": "chain",
	"electrs": "chain", "electrumx": "chain", "fulcrum": "chain", "lnd": "chain",
	"lightningd": "chain", "core-lightning": "chain", "monero": "chain", "monerod": "chain", "litecoind": "chain", "geth": "chain",
}

// kindOf guesses what sort of program an image holds.
func kindOf(image string) string {
	name, _, _ := strings.Cut(image, "@")
	name = path.Base(name)
	name, _, _ = strings.Cut(name, ":")
	return cmp.Or(kinds[name], "service")
}

// uiProbe is the probe of a container that serves the user interface.
func uiProbe(app *App, c *Container) *Probe {
	if app.UI == nil || !app.UI.Probe || c.Health.Disable || c.port(app.UI.Port) == nil {
		return nil
	}
	page, probe := withDefaults[HTTPProbe](), withDefaults[Probe]()
	page.Port, page.Path = app.UI.Port, app.UI.Path
	if app.UI.Scheme == "https" {
		probe.HTTPS = &page
	} else {
		probe.HTTP = &page
	}
	return &probe
}
