package updater

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/update"
)

// release is what may follow the first release of an app.
type release struct{ image, volumes, port string }

var releases = map[string]release{
	"none":      {},
	"good":      {"localhost/x:2", data, ""},
	"bad":       {"localhost/x:3", data, ""},
	"absent":    {"localhost/absent:1", data, ""},
	"right":     {"localhost/x:2", data, ", {name: admin, host: PORT, container: 81, bind: 0.0.0.0}"},
	"publisher": {"docker.io/other/x:2", data, ""},
	"contract":  {"localhost/x:2", "", ""},
}

const data = "{name: data, target: /data}"

// chain is apps, each with the one that it needs.
var chain = []struct{ id, needs string }{{"ant", ""}, {"bull", "ant"}, {"cow", "bull"}, {"dog", ""}}

// manifest is a release of the i-th app, without its id and version.
func (r release) manifest(i int) string {
	port := strings.ReplaceAll(r.port, "PORT", strconv.Itoa(8090+i))
	text := "container: {image: '" + r.image + "', volumes: [" + r.volumes + "], ports: [{name: web, container: 80}" + port + "]}, provides: [{capability: page-" + chain[i].id + ", port: web}], data: {format: 1}"
	if needs := chain[i].needs; needs != "" {
		text += ", requires: [{capability: page-" + needs + "}]"
	}
	return text
}

// TestAll holds what an update of all apps promises (U1, U8 and U10 of the design): an app never gets a release
// that asks for more, nothing of it changes before its images are there, and a release that fails stops
// only those of the apps that need it.
func TestAll(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		w, random := newWorld(t), rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // each run draws the same
		run := w.Machine.Podman
		w.Machine.Podman = func(ctx context.Context, call podmancli.Call) error {
			if command := strings.Join(call.Args, " "); strings.Contains(command, "localhost/absent") {
				return fmt.Errorf("podman %s: there is no such image", command)
			}
			return run(ctx, call)
		}
		drawn := map[string]string{}
		for i, app := range chain {
			w.install(app.id, release{"localhost/x:1", data, ""}.manifest(i))
			grants := filepath.Join(w.apps, app.id+".d/grants.toml")
			if err := errors.Join(os.MkdirAll(filepath.Dir(grants), 0o755), os.WriteFile(grants, []byte("allow = [\"use\"]\n"), 0o600)); err != nil {
				t.Fatal(err)
			}
			kinds := slices.Sorted(maps.Keys(releases))
			kind := kinds[random.IntN(len(kinds))]
			drawn[app.id] = kind
			if kind == "none" {
				continue
			}
			w.offer(app.id, "2", 2, releases[kind].manifest(i))
			if kind == "bad" {
				w.outcomes[app.id+" 2"] = reconcile.RolledBack
			}
		}
		if _, err := w.Update(t.Context(), Options{Ask: update.Ask{All: true}}, nil, nil); err != nil {
			t.Fatal(err)
		}
		isHeldUp, isRolledBack := map[string]bool{}, map[string]bool{}
		for _, app := range chain { // what is needed comes before
			kind, want := drawn[app.id], "1"
			isHeldUp[app.id] = isHeldUp[app.needs] || isRolledBack[app.needs]
			isRolledBack[app.id] = kind == "bad" && !isHeldUp[app.id]
			if kind == "good" && !isHeldUp[app.id] {
				want = "2"
			}
			if got := w.version(app.id); got != want {
				t.Errorf("%v: %s has version %s, want %s: told %q", drawn, app.id, got, want, w.told)
			}
			isTouched := slices.ContainsFunc(w.passes, func(pass string) bool { return slices.Contains(strings.Split(pass, ", "), app.id+" 2") })
			if mayTouch := want == "2" || isRolledBack[app.id]; isTouched && !mayTouch {
				t.Errorf("%v: %s was changed: %q", drawn, app.id, w.passes)
			}
		}
	}
}
