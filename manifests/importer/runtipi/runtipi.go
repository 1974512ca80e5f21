// Package runtipi owns the reading of apps of runtipi: config.json with its form, the services of
// docker-compose.json, and the variables of the platform.
package runtipi

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/importer/platform"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// FileName is the file that an app of runtipi has beside its services.
const FileName = "config.json"

// The files that the services are in, the preferred one first.
const (
	dynamicFile = "docker-compose.json"
	composeFile = "docker-compose.yml"
)

// network is the network that all apps of runtipi are on.
const network = "tipi_main_network"

// app is an app of runtipi while it is imported.
type app struct {
	*platform.App
	meta, tree *syntax.Node
	path       string
	// container is the container port of the user interface; 0 if none is known.
	container int
	// generated is how secrets of the form are made, by their names in the manifest.
	generated map[string]*manifests.Generate
	// shown is the secrets that a person needs.
	shown []string
}

// IsApp reports whether a directory has an app of runtipi.
func IsApp(fsys fs.FS) bool {
	for _, name := range []string{dynamicFile, composeFile} {
		if info, err := fs.Stat(fsys, name); err == nil && info.Mode().IsRegular() {
			info, err := fs.Stat(fsys, FileName)
			return err == nil && info.Mode().IsRegular()
		}
	}
	return false
}

// Import reads the app in a directory.
func Import(fsys fs.FS, o compose.Options) *importer.Result {
	a := &app{App: platform.Begin(fsys, o), generated: map[string]*manifests.Generate{}}
	if a.meta = a.Read(FileName); a.meta == nil {
		return a.Abandon()
	}
	a.variables()
	platform.Each(a.Draft, a, metaKeys, a.meta, "")
	if a.Has(dynamicFile) {
		a.tree = a.dynamic()
	} else {
		a.tree = a.Read(composeFile)
	}
	if a.tree == nil {
		return a.Abandon()
	}
	a.DropNetwork(a.tree, network)
	a.labels()
	a.noInterface()
	platform.Sources(a.tree, a.source)
	a.Nested(a.tree)
	a.Complete = a.complete
	return a.Convert(a.tree, cmp.Or(a.field("id"), o.Name), o)
}

// metaKeys is every key of config.json.
var metaKeys = []platform.Row[*app]{
	{Key: "$schema"},
	{Key: "id", To: "app.id"},
	{Key: "name", To: "app.name", Read: (*app).name},
	{Key: "version", To: "app.version", Read: (*app).version},
	{Key: "short_desc", To: "app.description", Read: (*app).description},
	{Key: "description"},
	{Key: "author"},
	{Key: "categories"},
	{Key: "available"},
	{Key: "deprecated"},
	{Key: "dynamic_config"},
	{Key: "tipi_version"},
	{Key: "min_tipi_version"},
	{Key: "supported_architectures"},
	{Key: "requirements"},
	{Key: "created_at"},
	{Key: "updated_at"},
	{Key: "exposable"},
	{Key: "force_expose"},
	{Key: "force_pull"},
	{Key: "uid"},
	{Key: "gid"},
	{Key: "no_gui"},
	{Key: "website", To: "app.links.website", Read: link("website")},
	{Key: "source", To: "app.links.source", Read: link("source")},
	{Key: "port", To: "app.ui", Read: (*app).port},
	{Key: "https", To: "app.ui.scheme", Read: (*app).https},
	{Key: "url_suffix", To: "app.ui.path", Read: (*app).suffix},
	{Key: "generate_vapid_keys", Loss: importer.ForeignValue, Text: "the platform would make a pair of keys; give VAPID_PUBLIC_KEY and VAPID_PRIVATE_KEY"},
	{Key: "form_fields", Read: (*app).form},
}

func (a *app) name(n *syntax.Node, _ string)        { a.App.App().Name = platform.Line(n.Text) }
func (a *app) version(n *syntax.Node, _ string)     { a.App.App().Version = platform.Line(n.Text) }
func (a *app) description(n *syntax.Node, _ string) { a.App.App().Description = platform.Line(n.Text) }
func (a *app) suffix(n *syntax.Node, _ string)      { a.path = n.Text }

func link(name string) func(*app, *syntax.Node, string) {
	return func(a *app, n *syntax.Node, _ string) { a.Link(name, n) }
}

// port is the host port of the user interface.
func (a *app) port(n *syntax.Node, key string) {
	if a.Port = platform.Number(n); a.Port < 1 || a.Port > 65535 {
		a.Report(importer.BadSourceValue, n.At, key, "the port must be a number from 1 to 65535")
		a.Port = 0
		return
	}
	a.Variables["APP_PORT"] = compose.Variable{Value: n.Text}
}

func (a *app) https(n *syntax.Node, _ string) {
	if n.Text == "true" {
		a.Scheme = "https"
	}
}

// field is a text of config.json.
func (a *app) field(key string) string {
	if n := a.meta.Get(key); n != nil && n.Kind == syntax.ScalarNode {
		return n.Text
	}
	return ""
}

// variables is what runtipi itself sets.
func (a *app) variables() {
	host := importer.Reference("settings.host_name")
	for name, value := range map[string]string{
		"APP_ID": a.field("id"), "APP_DOMAIN": host, "APP_HOST": host, "LOCAL_DOMAIN": host,
		"APP_PROTOCOL": "http", "APP_EXPOSED": "false", "ROOT_FOLDER_HOST": "/srv/runtipi", "DNS_IP": "9.9.9.9",
		"UID": cmp.Or(a.field("uid"), "1000"), "GID": cmp.Or(a.field("gid"), "1000"),
		"TIPI_UID": cmp.Or(a.field("uid"), "1000"), "TIPI_GID": cmp.Or(a.field("gid"), "1000"),
	} {
		a.Variables[name] = compose.Variable{Value: value}
	}
	a.Variables["INTERNAL_IP"] = compose.Variable{Value: importer.Reference(importer.MachineAddressVariable)}
	a.Variables["NETWORK_INTERFACE"] = compose.Variable{Loss: importer.MachineAddress, What: "an address of the machine to listen on"}
	a.Variables["APP_DATA_DIR"] = compose.Variable{Loss: importer.HostDirectory, What: "a directory of the host"}
}

// source is the source of a mount; the app's own data is beside its files.
func (a *app) source(text string) string {
	const own = "<app-data>"
	return platform.Own(text, own, func(name string) (string, bool) { return own, name == "APP_DATA_DIR" })
}

// labels takes the labels of the platform's reverse proxy out of the services.
func (a *app) labels() {
	for _, s := range platform.Services(a.tree) {
		labels := s.Value.Get("labels")
		if labels == nil {
			continue
		}
		isOurs := func(name string) bool {
			return strings.HasPrefix(name, "traefik.") || strings.HasPrefix(name, "runtipi.")
		}
		before := len(labels.Entries) + len(labels.Items)
		labels.Entries = slices.DeleteFunc(slices.Clone(labels.Entries), func(e syntax.Entry) bool { return isOurs(e.Key) })
		labels.Items = slices.DeleteFunc(slices.Clone(labels.Items), func(n *syntax.Node) bool { return isOurs(n.Text) })
		if len(labels.Entries)+len(labels.Items) < before {
			a.Report(importer.NoMeaning, labels.At, "services."+s.Key+".labels", "the labels configure the reverse proxy of the platform")
		}
		if len(labels.Entries)+len(labels.Items) == 0 {
			platform.Remove(s.Value, "labels")
		}
	}
}

// noInterface forgets the port of an app that has no user interface.
func (a *app) noInterface() {
	if a.field("no_gui") == "true" {
		a.Port = 0
	}
}

// complete says the rest of the app.
func (a *app) complete() {
	to := a.App.App()
	for i, s := range to.Secrets {
		if g := a.generated[s.Name]; g != nil && s.Generate != nil {
			to.Secrets[i].Generate = g
		}
		to.Secrets[i].Show = slices.Contains(a.shown, s.Name)
	}
	a.UserInterface(a.container, a.path)
}

// form reads the fields that a person fills in when installing the app.
func (a *app) form(n *syntax.Node, key string) {
	for i, field := range n.Items {
		here := fmt.Sprintf("%s[%d]", key, i)
		variable := text(field, "env_variable")
		read, isKnown := fieldTypes[text(field, "type")]
		if variable == "" || !isKnown {
			a.Report(importer.BadSourceValue, field.At, here, "the field needs an env_variable, and a type that is known")
			continue
		}
		read(a, variable, field, here)
	}
}

// fieldTypes is the types of fields.
var fieldTypes = map[string]func(a *app, variable string, field *syntax.Node, key string){
	"random": (*app).random, "password": (*app).password,
	"text": (*app).value, "number": (*app).value, "email": (*app).value, "url": (*app).value,
	"ip": (*app).value, "fqdn": (*app).value, "fqdnip": (*app).value, "boolean": (*app).value,
}

func text(n *syntax.Node, key string) string {
	if v := n.Get(key); v != nil && v.Kind == syntax.ScalarNode {
		return v.Text
	}
	return ""
}

func secretName(variable string) string {
	return strings.ReplaceAll(strings.ToLower(variable), "_", "-")
}

// random is a secret that the platform generates.
func (a *app) random(variable string, field *syntax.Node, key string) {
	a.Variables[variable] = compose.Variable{IsSecret: true, At: field.At}
	length := platform.Number(field.Get("min"))
	if length == 0 {
		length = 32
	}
	alphabet := "hex"
	if text(field, "encoding") == "base64" {
		alphabet = "base64"
	}
	a.generated[secretName(variable)] = &manifests.Generate{Length: min(max(length, 8), 1024), Alphabet: alphabet}
	a.Keep(field.At, key, "app.secrets")
}

// password is a secret that a person chooses. A generated one is as good, if it is shown.
func (a *app) password(variable string, field *syntax.Node, key string) {
	if text(field, "required") != "true" && text(field, "default") == "" {
		a.value(variable, field, key)
		return
	}
	a.Variables[variable] = compose.Variable{IsSecret: true, At: field.At}
	a.shown = append(a.shown, secretName(variable))
	a.Keep(field.At, key, "app.secrets")
}

// value is a variable with a default, which is empty if the field need not be filled in.
func (a *app) value(variable string, field *syntax.Node, key string) {
	byDefault := field.Get("default")
	q := importer.Question{
		Code: importer.Variable, Key: "variable." + variable, HasDefault: true,
		Text: fmt.Sprintf("%s: %s", variable, cmp.Or(platform.Line(text(field, "label")), "a field of the form")),
	}
	switch {
	case byDefault != nil && byDefault.Kind == syntax.ScalarNode:
		q.Default = byDefault.Text
	case text(field, "type") == "boolean":
		q.Default = strconv.FormatBool(false)
	case text(field, "required") == "true":
		q.Code, q.HasDefault = importer.UnsetVariable, false
	}
	for _, option := range field.Get("options").List() {
		q.Choices = append(q.Choices, text(option, "value"))
	}
	answer := a.Ask(q.From(field.At, key))
	a.Variables[variable] = compose.Variable{Value: answer, At: field.At}
}
