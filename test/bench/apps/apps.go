// Package apps generates the manifests for benchmarks: as many as wanted, each distinct, in
// the sizes and kinds of a typical node. The same number always results in the same bytes.
// It never reads a clock or a disk.
package apps

import (
	"bytes"
	"embed"
	"fmt"
	"text/template"

	"github.com/archipelago-os/archipelago/manifests"
)

//go:embed *.yaml
var texts embed.FS

var shapes = template.Must(template.New("").Funcs(template.FuncMap{
	"database": func(n int) int { return n - n%len(order) },
	"port":     func(n, offset int) int { return 10000 + 10*n + offset },
}).ParseFS(texts, "*.yaml"))

// order is the kinds of ten consecutive apps: most are small and use the database before
// them.
var order = [10]string{"database", "web", "service", "web", "suite", "web", "node", "web", "service", "suite"}

// MostPorts is the number of apps that can each have host ports of their own.
const MostPorts = 5000

// Sources returns n manifests, to be parsed, or written to disk under their names.
func Sources(n int) []manifests.Source {
	if n > MostPorts {
		panic(fmt.Sprintf("%d apps need more host ports than there are", n))
	}
	list := make([]manifests.Source, 0, n)
	for i := range n {
		var text bytes.Buffer
		if err := shapes.ExecuteTemplate(&text, order[i%len(order)]+".yaml", i); err != nil {
			panic(err) // the templates are part of the program
		}
		list = append(list, manifests.Source{Name: fmt.Sprintf("app-%d.yaml", i), Data: text.Bytes()})
	}
	return list
}
