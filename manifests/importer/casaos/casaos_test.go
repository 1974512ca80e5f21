package casaos

import (
	"flag"
	"io/fs"
	"testing"

	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/test/corpus"
)

var update = flag.Bool("update", false, "rewrite the expected manifests and reports of the corpus")

func read(fsys fs.FS, name string, answers map[string]string) *importer.Result {
	return Import(fsys, compose.Options{Name: name, Answers: answers})
}

// Each case becomes the manifest and the report that stand beside it.
func TestCorpus(t *testing.T) { corpus.Compare(t, corpus.Cases(t, read), *update) }

func TestCorpusPassesCheck(t *testing.T) {
	t.Parallel()
	corpus.PassCheck(t, corpus.Cases(t, read), "")
}

func TestCutFiles(t *testing.T) {
	t.Parallel()
	corpus.Cut(t, corpus.Cases(t, read), "docker-compose.yml")
}

// Every row of the table is in some case.
func TestCorpusCoversTheTables(t *testing.T) {
	keys := make([]string, 0, len(metaKeys))
	for _, row := range metaKeys {
		keys = append(keys, extension+"."+row.Key)
	}
	corpus.Cover(t, corpus.Cases(t, read), []importer.Code{importer.NoService, importer.BadSource, importer.BadSourceValue, importer.HostPath}, keys)
}

// Whatever a file holds: no panic, the same report twice, and what is written passes the checks.
func FuzzImport(f *testing.F) {
	for _, c := range corpus.Cases(f, read) {
		f.Add(c.Data("docker-compose.yml"))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		corpus.Same(t, corpus.Files(read, map[string][]byte{"docker-compose.yml": text}))
	})
}
