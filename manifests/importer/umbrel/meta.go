package umbrel

import (
	"fmt"
	"path"

	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/platform"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// metaKeys is every key of umbrel-app.yml.
var metaKeys = []platform.Row[*app]{
	{Key: "manifestVersion"},
	{Key: "id", To: "app.id"},
	{Key: "name", To: "app.name"},
	{Key: "version", To: "app.version"},
	{Key: "tagline", To: "app.description"},
	{Key: "description"},
	{Key: "category"},
	{Key: "icon"},
	{Key: "developer"},
	{Key: "submitter"},
	{Key: "submission"},
	{Key: "gallery"},
	{Key: "releaseNotes"},
	{Key: "widgets"},
	{Key: "disabled"},
	{Key: "optimizedForUmbrelHome"},
	{Key: "website", To: "app.links.website", Read: link("website")},
	{Key: "repo", To: "app.links.source", Read: link("source")},
	{Key: "support", To: "app.links.support", Read: link("support")},
	{Key: "port", To: "app.ui", Read: (*app).port},
	{Key: "path", To: "app.ui.path"},
	{Key: "dependencies", To: "app.requires", Read: (*app).dependencies},
	{Key: "implements", Read: later},
	{Key: "defaultUsername", To: "app.notices"},
	{Key: "defaultPassword", To: "app.notices"},
	{Key: "deterministicPassword", To: "app.secrets"},
	{Key: "torOnly"},
	{Key: "permissions", Read: (*app).permissions},
	{Key: "backupIgnore", To: "app.data.backup.exclude", Read: (*app).backupIgnore},
}

func link(name string) func(*app, *syntax.Node, string) {
	return func(a *app, n *syntax.Node, _ string) { a.Link(name, n) }
}

// port is the host port of the user interface.
func (a *app) port(n *syntax.Node, key string) {
	if a.Port = platform.Number(n); a.Port < 1 || a.Port > 65535 {
		a.Report(importer.BadSourceValue, n.At, key, "the port must be a number from 1 to 65535")
		a.Port = 0
	}
}

// dependencies is the ids of apps that have to be installed.
func (a *app) dependencies(n *syntax.Node, key string) {
	for i, item := range n.Items {
		here := fmt.Sprintf("%s[%d]", key, i)
		capability, ok := capabilityOf[item.Text]
		if !ok {
			a.Report(importer.ForeignContainer, item.At, here, "the app needs the app %s, which offers no capability", item.Text)
			continue
		}
		a.needs = append(a.needs, capability)
		a.Keep(item.At, here, "app.requires")
	}
}

// later leaves a key to what is read when the parts are known.
func later(*app, *syntax.Node, string) {}

// permissions is rights that Umbrel gives to all containers.
func (a *app) permissions(n *syntax.Node, key string) {
	for i, item := range n.Items {
		here := fmt.Sprintf("%s[%d]", key, i)
		if item.Text == "GPU" {
			a.Report(importer.GPU, item.At, here, "the containers would get the GPUs of the machine")
			continue
		}
		a.Report(importer.NoMeaning, item.At, here, "the mount says what the app reads")
	}
}

// backupIgnore is what no backup has.
func (a *app) backupIgnore(n *syntax.Node, _ string) {
	for _, item := range n.Items {
		a.ignored = append(a.ignored, path.Clean(item.Text))
	}
}
