package manifests

import "github.com/archipelago-os/archipelago/manifests/syntax"

// sameContainers lets `container` in one file and `containers: {main: …}` in
// the other mean the same part.
func sameContainers(base, over *syntax.Node) {
	a, b := base.Get("app"), over.Get("app")
	if a.Get("container") != nil && b.Get("containers") != nil {
		mainContainer(a)
	}
	if a.Get("containers") != nil && b.Get("container") != nil {
		mainContainer(b)
	}
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
