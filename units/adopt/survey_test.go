package adopt_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/archipelago-os/archipelago/units/adopt"
)

// two is an app of two parts that share a volume.
var two = adopt.App{
	ID: "two",
	Parts: []adopt.Part{
		{Name: "main", Container: "two", Image: "two:1", Volumes: []adopt.Volume{
			{Target: "/data", Source: "two.data", Name: "data", Own: true},
			{Target: "/logs", Source: "two.logs", Name: "logs", Own: true},
		}},
		{Name: "db", Container: "two.db", Image: "db:1", Volumes: []adopt.Volume{{Target: "/var/lib", Source: "two.data", Name: "data", Own: true}}},
	},
}

// TestSurvey: which containers have the name of an app's container, and which only look so.
func TestSurvey(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		there []container
		want  []adopt.Container
	}{
		"no foreign container": {},
		"a container of the app's name": {
			[]container{{id: "c1", name: "x", state: "running", image: "x:0"}},
			[]adopt.Container{{Name: "x", App: "x", Part: "main", State: "running", Image: "x:0", ManifestImage: "docker.io/library/x:1"}},
		},
		"those of both parts, by name": {
			[]container{{id: "c1", name: "two.db", state: "paused"}, {id: "c2", name: "two", state: "created"}},
			[]adopt.Container{
				{Name: "two", App: "two", Part: "main", State: "created", ManifestImage: "two:1"},
				{Name: "two.db", App: "two", Part: "db", State: "paused", ManifestImage: "db:1"},
			},
		},
		"one of a unit of ours":              {[]container{{id: "c1", name: "x", state: "running", labels: map[string]string{AppLabel: "x"}}}, nil},
		"one that has no app's name":         {[]container{{id: "c1", name: "xx", state: "running"}}, nil},
		"one of an app that is not surveyed": {[]container{{id: "c1", name: "other", state: "running"}}, nil},
		"one that is parked":                 {[]container{{id: "c1", name: "x.legacy", state: "exited"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := adopt.App{ID: "other", Parts: []adopt.Part{{Name: "main", Container: "other"}}}
			p := newPodman(t, tt.there...)
			got, err := p.adopter(x, two, other).Survey(t.Context(), []string{"x", "two"})
			if d := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(adopt.Container{}), cmpopts.EquateEmpty()); d != "" || err != nil {
				t.Errorf("%v, -want +got:\n%s", err, d)
			}
			if len(p.done) > 0 {
				t.Errorf("it did %q", p.done)
			}
		})
	}
}

// TestProblemsOfAnAdoption, whatever its mounts, and the facts about a container
// that can be adopted.
func TestProblemsOfAnAdoption(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		there   container
		want    []string
		restart string
	}{
		"nothing":         {container{restart: "no"}, []string{}, ""},
		"nothing either":  {container{restart: "always"}, []string{}, "always"},
		"limited retries": {container{restart: "on-failure:3"}, []string{}, "on-failure:3"},
		"no policy":       {container{}, []string{}, ""},
		"it was created with --rm": {
			container{autoRemove: true},
			[]string{"it was created with --rm, so it can't be restored once it is stopped; stop it with podman stop --time SECONDS x"},
			"",
		},
		"a unit runs it": {
			container{autoRemove: true, labels: map[string]string{unitLabel: "x.service"}},
			[]string{"the unit x.service runs it and would restart it; disable the unit with systemctl --user disable --now x.service, and remove the file that defines it"},
			"",
		},
		"a unit runs it, and the manifest has no volume for a mount": {
			container{labels: map[string]string{unitLabel: "x.service"}, mounts: `{"Type": "volume", "Name": "old", "Destination": "/srv/a"}`},
			[]string{
				"the unit x.service runs it and would restart it; disable the unit with systemctl --user disable --now x.service, and remove the file that defines it",
				"the manifest has no volume for old at /srv/a; add one under volumes, for example in an overlay in x.d/, or remove the container if the app does not need it",
			},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.there.id, tt.there.name = "c1", "x"
			a := newPodman(t, tt.there).adopter(x)
			list, err := a.Survey(t.Context(), []string{"x"})
			if err != nil || len(list) != 1 {
				t.Fatal(list, err)
			}
			if d := cmp.Diff(tt.want, list[0].Problems); d != "" {
				t.Errorf("problems, -want +got:\n%s", d)
			}
			found, _ := find(t, a, "x")
			if got := found["x"].Containers[0].Restart; got != tt.restart {
				t.Errorf("restart policy %q, want %q", got, tt.restart)
			}
		})
	}
}

// TestSurveyOfAMachineThatChanges: a listed container may have changed when it is inspected.
func TestSurveyOfAMachineThatChanges(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		meanwhile func(*podman)
		want      []string
		fails     bool
	}{
		"nothing happened": {func(*podman) {}, []string{"x"}, false},
		"renamed":          {func(p *podman) { p.containers[0].name = "mine" }, nil, false},
		"stopped":          {func(p *podman) { p.containers[0].state = "exited" }, []string{"x"}, false},
		"removed":          {func(p *podman) { p.containers = nil }, nil, true}, // the next pass finds that it was removed
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPodman(t, container{id: "c1", name: "x", state: "running"})
			p.before = func(command string) error {
				if strings.HasPrefix(command, "inspect") {
					tt.meanwhile(p)
				}
				return nil
			}
			list, err := p.adopter(x).Survey(t.Context(), []string{"x"})
			var got []string
			for _, c := range list {
				got = append(got, c.Name)
			}
			if d := cmp.Diff(tt.want, got); d != "" || (err != nil) != tt.fails {
				t.Errorf("%v, -want +got:\n%s", err, d)
			}
		})
	}
}

// TestSurveyWherePodmanFails: an error is never an empty list.
func TestSurveyWherePodmanFails(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"ps", "inspect", "volume ls"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			p := newPodman(t, container{id: "c1", name: "x", state: "running"})
			p.before = fails(command)
			a := p.adopter(x)
			if list, err := a.Survey(t.Context(), []string{"x"}); list != nil || err == nil {
				t.Errorf("Survey: %v, %v", list, err)
			}
			found, changed, err := a.Find(t.Context(), wanted("x"))
			if found != nil || changed || !strings.HasPrefix(errorText(err), "surveying foreign containers: ") {
				t.Errorf("Find: %v, %v, %v", found, changed, err)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestJSON is the output of archgen adopt --json.
func TestJSON(t *testing.T) {
	t.Parallel()
	p := newPodman(t, container{
		id: "c1", name: "x", state: "running", image: "x:0", autoRemove: true, restart: "always",
		mounts: `{"Type": "volume", "Name": "old", "Destination": "/data"}, {"Type": "bind", "Source": "/a", "Destination": "/cache"}`,
	}, container{id: "c2", name: "bare"})
	bare := adopt.App{ID: "bare", Parts: []adopt.Part{{Name: "main", Container: "bare"}}}
	list, err := p.adopter(x, bare).Survey(t.Context(), []string{"x", "bare"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `[
  {
    "container": "bare",
    "app": "bare",
    "part": "main",
    "state": "",
    "image": "",
    "mounts": [],
    "problems": []
  },
  {
    "container": "x",
    "app": "x",
    "part": "main",
    "state": "running",
    "image": "x:0",
    "manifest_image": "docker.io/library/x:1",
    "mounts": [
      {
        "source": "old",
        "target": "/data",
        "volume": "data"
      },
      {
        "source": "/a",
        "target": "/cache"
      }
    ],
    "problems": [
      "it was created with --rm, so it can't be restored once it is stopped; stop it with podman stop --time SECONDS x"
    ]
  }
]`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
