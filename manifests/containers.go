package manifests

import (
	"slices"

	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// sameContainers lets `container` in one file and `containers: {main: …}` in
// another mean the same part.
func sameContainers(files ...*syntax.Node) {
	if !slices.ContainsFunc(files, hasContainers) {
		return
	}
	for _, f := range files {
		if app := f.Get("app"); app.Get("container") != nil {
			mainContainer(app)
		}
	}
}

func hasContainers(file *syntax.Node) bool {
	n := file.Get("app").Get("containers")
	return n != nil && n.Kind != syntax.NullNode
}

// mainContainer rewrites `container` as `containers: {main: …}`.
func mainContainer(app *syntax.Node) {
	i := app.Find("container")
	if app.Find("containers") >= 0 {
		return
	}
	old := app.Entries[i]
	app.Entries[i] = syntax.Entry{Key: "containers", At: old.At, Value: &syntax.Node{
		Kind: syntax.MapNode, At: old.Value.At, Entries: []syntax.Entry{{Key: "main", At: old.At, Value: old.Value}},
	}}
}
