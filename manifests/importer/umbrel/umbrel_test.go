package umbrel

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
	corpus.PassCheck(t, corpus.Cases(t, read), "testdata/providers")
}

func TestCutFiles(t *testing.T) {
	t.Parallel()
	corpus.Cut(t, corpus.Cases(t, read), "umbrel-app.yml", "docker-compose.yml", "exports.sh", "torrc.template")
}

// Every code that only Umbrel has, and every row of the tables, is in some case.
func TestCorpusCoversTheTables(t *testing.T) {
	keys := make([]string, 0, len(metaKeys))
	for _, row := range metaKeys {
		keys = append(keys, row.Key)
	}
	codes := []importer.Code{
		importer.LoginProxy, importer.ForeignVolume, importer.Script, importer.ForeignSecret, importer.ForeignValue,
		importer.OnionAddress, importer.MachineAddress, importer.OneAddress, importer.HostDirectory, importer.GPU, importer.ForeignContainer,
		importer.SecretInValue, importer.BadSourceValue, importer.NotRepresentable, importer.MountOption, importer.NoEquivalent,
	}
	cases := corpus.Cases(t, read)
	corpus.Cover(t, cases, codes, keys)
	for _, r := range foreign {
		if !corpus.Mention(cases, r.name) {
			t.Errorf("no case has the variable %s", r.name)
		}
	}
	for id := range capabilityOf {
		if !corpus.Mention(cases, id) {
			t.Errorf("no case depends on %s", id)
		}
	}
}

// Whatever a file holds: no panic, the same report twice, and what is written passes the checks.
func FuzzImport(f *testing.F) {
	for _, c := range corpus.Cases(f, read) {
		f.Add(c.Data("umbrel-app.yml"), c.Data("docker-compose.yml"), c.Data("exports.sh"), c.Data("torrc.template"))
	}
	f.Fuzz(func(t *testing.T, meta, services, exports, template []byte) {
		corpus.Same(t, corpus.Files(read, map[string][]byte{
			"umbrel-app.yml": meta, "docker-compose.yml": services, "exports.sh": exports, "torrc.template": template, "hooks/pre-start": exports,
		}))
	})
}
