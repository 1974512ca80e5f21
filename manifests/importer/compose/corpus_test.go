package compose

import (
	"bytes"
	"flag"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/test/corpus"
)

var update = flag.Bool("update", false, "rewrite the expected manifests and reports of the corpus")

func read(fsys fs.FS, name string, answers map[string]string) *importer.Result {
	return Import(fsys, optionsOf(name, answers))
}

func optionsOf(name string, answers map[string]string) Options {
	return Options{Name: name, Project: "project", Answers: answers}
}

func cases(tb testing.TB) []corpus.Case {
	tb.Helper()
	return corpus.Cases(tb, read)
}

// Each case becomes the manifest and the report that stand beside it.
func TestCorpus(t *testing.T) { corpus.Compare(t, cases(t), *update) }

func TestCorpusPassesCheck(t *testing.T) {
	t.Parallel()
	corpus.PassCheck(t, cases(t), "")
}

// ofUnits is codes that no Compose file has.
var ofUnits = []importer.Code{
	importer.Specifier, importer.RestartCondition, importer.NotRecorded, importer.Directive, importer.ForeignUnit, importer.HostCommand, importer.UnitKind,
}

// ofContainers is codes that only containers have.
var ofContainers = []importer.Code{
	importer.AnonymousVolume, importer.MovedImage, importer.NoCommand, importer.OtherName, importer.PodMember, importer.SystemdUnit,
}

// ofPlatforms is the codes that only platforms have, which their corpora cover.
var ofPlatforms = []importer.Code{
	importer.LoginProxy, importer.ForeignVolume, importer.Script, importer.ForeignSecret,
	importer.ForeignValue, importer.OnionAddress, importer.MachineAddress, importer.HostDirectory, importer.OneAddress,
}

// Every code and every key that a table has is in some case.
func TestCorpusCoversTheTables(t *testing.T) {
	codes, keys := map[importer.Code]bool{}, map[string]bool{}
	for _, c := range cases(t) {
		for _, f := range c.Import().Findings {
			codes[f.Code] = true
			keys[f.Key] = true
		}
	}
	for _, l := range importer.Losses {
		if !codes[l.Code] && !slices.Contains(slices.Concat(ofUnits, ofContainers, ofPlatforms), l.Code) {
			t.Errorf("no case has the code %s", l.Code)
		}
	}
	demandRows(t, keys, serviceKeys, "services.*")
	demandRows(t, keys, topKeys, "")
	demandRows(t, keys, buildKeys, "services.*.build")
	demandRows(t, keys, deployKeys, "services.*.deploy")
	demandRows(t, keys, healthKeys, "services.*.healthcheck")
	demandRows(t, keys, networkKeys, "networks.*")
	demandRows(t, keys, joinKeys, "services.*.networks.*")
}

func demandRows[T any](t *testing.T, keys map[string]bool, rows []keyRow[T], under string) {
	t.Helper()
	for _, row := range rows {
		pattern := strings.TrimPrefix(under+"."+row.key, ".")
		isThere := false
		for key := range keys {
			isThere = isThere || matches(strings.Split(pattern, "."), key)
		}
		if !isThere {
			t.Errorf("no case has the key %s", pattern)
		}
	}
}

// matches reports whether a key is the one of a pattern, or below it.
func matches(pattern []string, key string) bool {
	for i, element := range pattern {
		end := strings.IndexAny(key, ".[")
		if end < 0 {
			end = len(key)
		}
		if element != "*" && element != key[:end] {
			return false
		}
		if end == len(key) {
			return i == len(pattern)-1
		}
		key = key[end+1:]
	}
	return true
}

// No value of a secret is in the manifest, the report or an excerpt.
func TestSecretsStayOut(t *testing.T) {
	hidden := map[string][]string{
		"secret-supplied":  {"correct-horse", "tok-123456"},
		"secret-answers":   {"old-value"},
		"secret-names":     {"one-value", "other-value"},
		"secrets":          {"hunter2", "abcdef"},
		"secret-elsewhere": {"hidden-value"},
		"secret-in-script": {"hidden-"},
	}
	for _, c := range cases(t) {
		r := c.Import()
		var all bytes.Buffer
		for _, f := range r.Files {
			all.Write(f.Data)
		}
		if err := r.Print(&all, false); err != nil {
			t.Fatal(err)
		}
		for _, value := range hidden[c.Name] {
			if strings.Contains(all.String(), value) {
				t.Errorf("%s: the value %s is in the output:\n%s", c.Name, value, all.String())
			}
		}
	}
}
