package container

import (
	"bytes"
	"flag"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/test/corpus"
)

var update = flag.Bool("update", false, "rewrite the expected manifests and reports of the corpus")

// factsOf is what Podman prints in a case, a file for each command. The file id is --id.
func factsOf(fsys fs.FS) Facts {
	file := func(name string) []byte {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil // it was not asked for
		}
		return data
	}
	return Facts{file("containers.json"), file("others.json"), file("images.json"), file("networks.json"), file("ps.json")}
}

func read(fsys fs.FS, _ string, answers map[string]string) *importer.Result {
	set, err := Read(factsOf(fsys))
	if err != nil {
		return &importer.Result{Findings: []importer.Finding{{Severity: importer.Refused, Code: importer.BadSource, Message: err.Error()}}}
	}
	id, err := fs.ReadFile(fsys, "id")
	if err != nil {
		id = nil
	}
	return set.Import(compose.Options{ID: strings.TrimSpace(string(id)), Answers: answers})
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

// Every code that only containers have is in some case.
func TestCorpusCoversTheCodes(t *testing.T) {
	corpus.Cover(t, cases(t), []importer.Code{
		importer.AnonymousVolume, importer.MovedImage, importer.NoCommand, importer.OtherName, importer.PodMember, importer.SystemdUnit,
		importer.EngineSocket, importer.ForeignContainer, importer.RawArgument, importer.SecretValue, importer.StaticAddress, importer.UserNamespace,
	}, nil)
}

// Every value and every argument that a table has is in some case.
func TestCorpusCoversTheTables(t *testing.T) {
	said, flags := map[string]bool{}, map[string]bool{}
	for _, c := range cases(t) {
		set, err := Read(factsOf(c.FS))
		if err != nil {
			t.Fatal(err)
		}
		set.Import(compose.Options{})
		for _, k := range set.containers {
			for _, r := range rows {
				said[r.path] = said[r.path] || r.text(k) != ""
			}
			for _, r := range lists {
				said[r.path] = said[r.path] || len(r.items(k)) > 0
			}
			for _, f := range k.flags {
				flags[f.Name] = true
			}
		}
	}
	for path, isSaid := range said {
		if !isSaid {
			t.Errorf("no case has %s", path)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(commandRows)) {
		if !flags[name] {
			t.Errorf("no case has --%s", name)
		}
	}
}

// No value of a secret is in the manifest, the report or an excerpt, however JSON writes it.
func TestSecretsStayOut(t *testing.T) {
	for _, c := range cases(t) {
		r := c.Import()
		var all bytes.Buffer
		for _, f := range r.Files {
			all.Write(f.Data)
		}
		if err := r.Print(&all, false); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(all.String(), "hunter") {
			t.Errorf("%s: a secret is in the output:\n%s", c.Name, all.String())
		}
	}
}

// What has to be asked of Podman depends on the containers.
func TestNeeds(t *testing.T) {
	for name, tt := range map[string]struct {
		printed string
		want    Needs
		err     string
	}{
		"alone":            {`[{"Name":"a","Image":"i1","NetworkSettings":{"Networks":{"pasta":{}}}}]`, Needs{Images: []string{"i1"}}, ""},
		"of one image":     {`[{"Image":"i1"},{"Image":"i1"}]`, Needs{Images: []string{"i1"}}, ""},
		"on a network":     {`[{"NetworkSettings":{"Networks":{"podman":{},"shop":{}}}}]`, Needs{Networks: []string{"shop"}, All: true}, ""},
		"in a pod":         {`[{"Pod":"p","HostConfig":{"NetworkMode":"container:c9"}}]`, Needs{Others: []string{"c9"}, All: true}, ""},
		"of another":       {`[{"Id":"c1","HostConfig":{"NetworkMode":"container:c2"}},{"Id":"c2"}]`, Needs{}, ""},
		"one of archgen's": {`[{"Name":"a","Config":{"Labels":{"io.archipelago.app":"shop"}}}]`, Needs{}, "archgen runs the container a already: it is part of the app shop"},
		"a pod's own":      {`[{"Name":"a-infra","IsInfra":true}]`, Needs{}, "name the other containers of the pod"},
		"no JSON":          {`x`, Needs{}, "reading what Podman prints of each container"},
	} {
		t.Run(name, func(t *testing.T) {
			have, err := NeedsOf([]byte(tt.printed))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("the error is %v, want %q", err, tt.err)
			}
			same := slices.Equal(have.Others, tt.want.Others) && slices.Equal(have.Images, tt.want.Images) && slices.Equal(have.Networks, tt.want.Networks) && have.All == tt.want.All
			if err == nil && !same {
				t.Errorf("got %+v, want %+v", have, tt.want)
			}
		})
	}
}

// FuzzImport feeds output of Podman that was cut or changed: it is refused, or becomes a manifest
// that is valid.
func FuzzImport(f *testing.F) {
	for _, c := range cases(f) {
		facts := factsOf(c.FS)
		f.Add(facts.Containers, facts.Others, facts.Images, facts.Networks, facts.All)
	}
	f.Fuzz(func(t *testing.T, containers, others, images, networks, all []byte) {
		facts := Facts{containers, others, images, networks, all}
		if _, err := NeedsOf(containers); err != nil {
			return
		}
		set, err := Read(facts)
		if err != nil {
			return
		}
		r := set.Import(compose.Options{})
		if len(r.Files) == 0 {
			return
		}
		m, found := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: r.Files[0].Path, Data: r.Files[0].Data}})
		if found.HasErrors() || manifests.Validate(m).HasErrors() {
			t.Errorf("it is not valid: %v\n%s", found, r.Files[0].Data)
		}
	})
}
