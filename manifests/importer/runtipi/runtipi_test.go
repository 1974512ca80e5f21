package runtipi

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
	corpus.Cut(t, corpus.Cases(t, read), "config.json", "docker-compose.json", "docker-compose.yml")
}

// Every row of the tables and every type of field is in some case.
func TestCorpusCoversTheTables(t *testing.T) {
	keys := make([]string, 0, len(metaKeys))
	for _, row := range metaKeys {
		keys = append(keys, row.Key)
	}
	codes := []importer.Code{
		importer.Variable, importer.UnsetVariable, importer.MachineAddress, importer.HostDirectory, importer.ForeignValue,
		importer.BadSourceValue, importer.MissingFile, importer.NoEquivalent, importer.UnknownKey, importer.HostPath,
	}
	cases := corpus.Cases(t, read)
	corpus.Cover(t, cases, codes, keys)
	for _, row := range serviceKeys {
		if !corpus.Mention(cases, `"`+row.key+`"`) {
			t.Errorf("no case has the key %s of a service", row.key)
		}
	}
	for name := range fieldTypes {
		if !corpus.Mention(cases, `"type": "`+name+`"`) {
			t.Errorf("no case has a field of the type %s", name)
		}
	}
}

// Whatever a file holds: no panic, the same report twice, and what is written passes the checks.
func FuzzImport(f *testing.F) {
	for _, c := range corpus.Cases(f, read) {
		f.Add(c.Data("config.json"), c.Data("docker-compose.json"), c.Data("docker-compose.yml"))
	}
	f.Fuzz(func(t *testing.T, meta, dynamic, services []byte) {
		files := map[string][]byte{"config.json": meta, "docker-compose.yml": services}
		if len(dynamic) > 0 {
			files["docker-compose.json"] = dynamic
		}
		corpus.Same(t, corpus.Files(read, files))
	})
}
