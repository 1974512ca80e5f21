package imports

import (
	"bytes"
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/archipelago-os/archipelago/cmd/archgen/install"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/importer/container"
	"github.com/archipelago-os/archipelago/manifests/installed"
)

// remaining is what has to be done before the container of a case is adopted, beside renaming it.
var remaining = map[string]string{
	"anonymous": "its data at /data is in an anonymous volume",
	"quadlet":   "the unit web.service runs it and would restart it",
}

var renamed = regexp.MustCompile(`podman rename (\S+) (\S+)$`)

// TestAdoption: the manifest of each container of the importer's corpus is one that an adoption
// accepts, with the volumes that the container has. Cases that lose what the app needs are left out.
func TestAdoption(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../manifests/importer/container/testdata/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			printed := map[string][]byte{}
			for _, f := range a.Files {
				printed[f.Name] = f.Data
			}
			answers := map[string]string{}
			for line := range strings.Lines(string(a.Comment)) {
				if answer, ok := strings.CutPrefix(strings.TrimSpace(line), "--set "); ok {
					key, value, _ := strings.Cut(answer, "=")
					answers[key] = value
				}
			}
			set, err := container.Read(container.Facts{
				Containers: printed["containers.json"], Others: printed["others.json"], Images: printed["images.json"], Networks: printed["networks.json"], All: printed["ps.json"],
			})
			if err != nil {
				t.Fatal(err)
			}
			r := set.Import(compose.Options{ID: strings.TrimSpace(string(printed["id"])), Answers: answers})
			if r.Worst() != importer.Refused {
				demandAdoption(t, r, printed["containers.json"], remaining[name])
			}
		})
	}
}

// demandAdoption renames containers as the report says, and demands that an adoption finds all of
// them and has no problem but one.
func demandAdoption(t *testing.T, r *importer.Result, containers []byte, problem string) {
	t.Helper()
	for _, f := range r.Findings {
		if m := renamed.FindStringSubmatch(f.Message); f.Code == importer.OtherName && m != nil {
			containers = bytes.ReplaceAll(containers, []byte(`"Name": "`+m[1]+`"`), []byte(`"Name": "`+m[2]+`"`))
		}
	}
	var list []struct {
		ID     string `json:"Id"`
		Name   string
		Names  []string
		Mounts []struct{ Type, Name string }
	}
	if err := json.Unmarshal(containers, &list); err != nil {
		t.Fatal(err)
	}
	volumes := map[string]bool{}
	all := make([]string, 0, len(list))
	for i, c := range list {
		list[i].Names = []string{c.Name}
		all = append(all, c.Name)
		for _, m := range c.Mounts {
			volumes[m.Name] = len(m.Name) == 64
		}
	}
	known := make([]map[string]any, 0, len(volumes))
	for _, name := range slices.Sorted(maps.Keys(volumes)) {
		known = append(known, map[string]any{"Name": name, "Anonymous": volumes[name]})
	}
	podman := podmanOf(map[string]string{"ps --all": text(t, list), "inspect --type=container": string(containers), "volume ls": text(t, known)})

	out := t.TempDir()
	if _, err := Write(r, out, false); err != nil {
		t.Fatal(err)
	}
	from := compile.Source{Podman: "5.8", Generator: "test", Getenv: func(string) string { return "" }, Ungranted: true}
	k, err := from.Named([]string{filepath.Join(out, r.Files[0].Path)}, nil)
	if err != nil || k.Diags.HasErrors() {
		t.Fatal(err, k.Diags)
	}
	found, err := install.Adopter(podman.Run, installed.Directory{}, func() (*compile.Compiled, error) { return k, nil }).Survey(t.Context(), []string{r.ID})
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(found))
	for _, c := range found {
		names = append(names, c.Name)
		if said := strings.Join(c.Problems, "\n"); (said == "") != (problem == "") || !strings.Contains(said, problem) {
			t.Errorf("%s can't be adopted: %s\n%s", c.Name, said, r.Files[0].Data)
		}
	}
	if d := cmp.Diff(all, names, cmpopts.SortSlices(strings.Compare)); d != "" {
		t.Errorf("the containers that are adopted, -want +got:\n%s", d)
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
