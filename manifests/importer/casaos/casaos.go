// Package casaos owns the reading of apps of CasaOS: the extension x-casaos of a Compose file, the
// variables of the platform, and the directory of the apps' data.
package casaos

import (
	"cmp"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/importer/platform"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// extension is the key of the Compose file that says how CasaOS shows the app.
const extension = "x-casaos"

// app is an app of CasaOS while it is imported.
type app struct {
	*platform.App
	tree, meta *syntax.Node
	name, path string
}

// Find is the name of the Compose file of an app of CasaOS, or nothing.
func Find(fsys fs.FS) string {
	for _, name := range compose.FileNames {
		if data, err := fs.ReadFile(fsys, name); err == nil && strings.Contains(string(data), extension+":") {
			return name
		}
	}
	return ""
}

// Import reads the app in a directory.
func Import(fsys fs.FS, o compose.Options) *importer.Result {
	a := &app{App: platform.Begin(fsys, o)}
	name := cmp.Or(o.File, Find(fsys))
	if name == "" {
		a.Report(importer.NoService, syntax.Position{}, "", "no Compose file here has %s", extension)
		return a.Abandon()
	}
	if a.tree = a.Read(name); a.tree == nil {
		return a.Abandon()
	}
	a.name = o.Name
	if n := a.tree.Get("name"); n != nil && n.Text != "" {
		a.name = n.Text
	}
	if e, ok := platform.Remove(a.tree, extension); ok && e.Value.Kind == syntax.MapNode {
		a.meta = e.Value
	} else {
		a.meta = &syntax.Node{Kind: syntax.MapNode}
	}
	a.variables()
	platform.Each(a.Draft, a, metaKeys, a.meta, extension)
	for _, s := range platform.Services(a.tree) {
		if e, ok := platform.Remove(s.Value, extension); ok {
			a.Report(importer.NoMeaning, e.At, "services."+s.Key+"."+extension, "%s explains the keys of the service", extension)
		}
	}
	platform.Sources(a.tree, source)
	a.Nested(a.tree)
	a.Complete = a.complete
	return a.Convert(a.tree, a.name, o)
}

// metaKeys is every key of x-casaos.
var metaKeys = []platform.Row[*app]{
	{Key: "id"},
	{Key: "store_app_id"},
	{Key: "architectures"},
	{Key: "author"},
	{Key: "developer"},
	{Key: "category"},
	{Key: "icon"},
	{Key: "thumbnail"},
	{Key: "screenshot_link"},
	{Key: "screenshot"},
	{Key: "description"},
	{Key: "release_notes"},
	{Key: "update_at"},
	{Key: "hostname"},
	{Key: "envs"},
	{Key: "ports"},
	{Key: "volumes"},
	{Key: "title", To: "app.name", Read: (*app).title},
	{Key: "tagline", To: "app.description", Read: (*app).tagline},
	{Key: "version", To: "app.version", Read: (*app).version},
	{Key: "website", To: "app.links.website", Read: link("website")},
	{Key: "repo", To: "app.links.source", Read: link("source")},
	{Key: "docs", To: "app.links.documentation", Read: link("documentation")},
	{Key: "support", To: "app.links.support", Read: link("support")},
	{Key: "main", To: "app.containers.main", Read: (*app).main},
	{Key: "port_map", To: "app.ui", Read: (*app).portMap},
	{Key: "index", To: "app.ui.path", Read: (*app).index},
	{Key: "scheme", To: "app.ui.scheme", Read: (*app).scheme},
	{Key: "tips", To: "app.notices", Read: (*app).tips},
}

// languages is the languages of a manifest, the preferred one first, as CasaOS names them.
var languages = []string{"en_us", "en_US", "en_gb", "en_GB", "en", "custom"}

// words is a text in the language of a manifest.
func words(n *syntax.Node) string {
	if n.Kind == syntax.ScalarNode {
		return n.Text
	}
	for _, language := range languages {
		if text := n.Get(language); text != nil && text.Text != "" {
			return text.Text
		}
	}
	return ""
}

func (a *app) title(n *syntax.Node, _ string)   { a.App.App().Name = platform.Line(words(n)) }
func (a *app) tagline(n *syntax.Node, _ string) { a.App.App().Description = platform.Line(words(n)) }
func (a *app) version(n *syntax.Node, _ string) { a.App.App().Version = platform.Line(n.Text) }
func (a *app) main(n *syntax.Node, _ string)    { a.Main = n.Text }
func (a *app) index(n *syntax.Node, _ string)   { a.path = n.Text }

func link(name string) func(*app, *syntax.Node, string) {
	return func(a *app, n *syntax.Node, _ string) { a.Link(name, n) }
}

// portMap is the host port of the user interface.
func (a *app) portMap(n *syntax.Node, key string) {
	text := platform.Replace(n.Text, func(name string) (string, bool) {
		v, ok := a.Variables[name]
		return v.Value, ok && v.Value != ""
	})
	if a.Port = platform.Number(platform.Text(text, n.At)); a.Port == 0 {
		a.Report(importer.BadSourceValue, n.At, key, "the port must be a number, found %s", n.Text)
	}
}

// scheme is how the user interface is opened.
func (a *app) scheme(n *syntax.Node, _ string) {
	if n.Text == "https" {
		a.Scheme = n.Text
	}
}

// tips is what a person should know before the first start.
func (a *app) tips(n *syntax.Node, _ string) {
	before := n.Get("before_install")
	if before == nil {
		return
	}
	for line := range strings.Lines(words(before)) {
		if line = platform.Line(line); line != "" && !strings.HasPrefix(line, "|") {
			a.App.App().Notices = append(a.App.App().Notices, line)
		}
	}
}

// variables is what CasaOS itself sets.
func (a *app) variables() {
	a.Variables["AppID"] = compose.Variable{Value: a.name}
	for _, name := range []string{"PUID", "PGID"} {
		a.Variables[name] = compose.Variable{Value: "1000"}
	}
	for name, value := range map[string]string{"default_user": "admin", "default_username": "admin"} {
		a.Variables[name] = compose.Variable{Value: value}
	}
	for _, name := range []string{"default_pwd", "default_password"} {
		a.Variables[name] = compose.Variable{IsSecret: true}
	}
}

// appData is the directory in which CasaOS keeps the data of an app.
var appData = regexp.MustCompile(`^/DATA/AppData/(?:\$\{?[A-Za-z_]+\}?|[^/:$]+)`)

// source is the source of a mount; the app's own data is beside the Compose file.
func source(text string) string {
	if own := appData.FindString(text); own != "" {
		return platform.Own(text, own, func(string) (string, bool) { return "", false })
	}
	return text
}

// complete says the rest of the app.
func (a *app) complete() {
	a.UserInterface(a.Port, a.path)
	to := a.App.App()
	to.Notices = slices.DeleteFunc(to.Notices, func(line string) bool { return !manifests.Fits("line", line) })
}
