package compose

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/manifests/importer"
)

var stores = flag.String("corpus", "testdata", "count what happens to the Compose projects below this `directory`, see make corpus")

// TestStores imports every project below a directory and prints what is lost, by code: make
// corpus CORPUS=DIR. The cases of this package are in archives, so by default there is nothing
// to count.
func TestStores(t *testing.T) {
	begin := time.Now()
	class, codes := map[string]int{}, map[importer.Code]int{}
	for _, dir := range projectsBelow(t, *stores) {
		r := Import(os.DirFS(dir), Options{Name: filepath.Base(dir)})
		class[classOf(r)]++
		seen := map[importer.Code]bool{}
		for _, f := range r.Findings {
			if !seen[f.Code] && f.Severity != importer.Kept {
				codes[f.Code]++
			}
			seen[f.Code] = true
		}
		if len(r.Files) > 0 {
			demandValid(t, r)
		}
	}
	t.Logf("%d lossless, %d approximated or dropped, %d blocked, in %v", class["lossless"], class["lossy"], class["blocked"], time.Since(begin).Round(time.Millisecond))
	for _, l := range importer.Losses {
		if n := codes[l.Code]; n > 0 {
			t.Logf("%5d %-13s %s", n, l.Severity, l.Code)
		}
	}
}

func classOf(r *importer.Result) string {
	switch r.Worst() {
	case importer.Kept, importer.Asked:
		return "lossless"
	case importer.Refused:
		return "blocked"
	default:
		return "lossy"
	}
}

// projectsBelow is the directories that have a Compose file.
func projectsBelow(t *testing.T, root string) (dirs []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && slices.Contains(FileNames, e.Name()) && !slices.Contains(dirs, filepath.Dir(path)) {
			dirs = append(dirs, filepath.Dir(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}
