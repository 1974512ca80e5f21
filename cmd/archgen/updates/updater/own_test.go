package updater

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/update"
)

const (
	digest      = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	otherDigest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// ownWeb is a world with an own manifest web, of which registries have said something. A further part has
// no newer image.
func ownWeb(t *testing.T, said ...update.Tags) *world {
	t.Helper()
	w := newWorld(t)
	text := "app: {id: web, name: X, version: \"1.28\", containers: {main: {image: 'docker.io/x:1.28-alpine'}, db: {image: 'docker.io/db:7'}}}\n"
	if err := errors.Join(os.MkdirAll(w.apps, 0o755), os.WriteFile(filepath.Join(w.apps, "web.yaml"), []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	w.say(said...)
	w.run("web", systemd.Unit{})
	return w
}

// say has registries say something of images.
func (w *world) say(said ...update.Tags) {
	w.t.Helper()
	known := map[string]update.Tags{}
	for _, s := range said {
		known[s.Image] = s
	}
	if err := w.Machine.Store.SaveTags(known); err != nil {
		w.t.Fatal(err)
	}
}

// pin is the overlay of the images that were taken, without its comment.
func (w *world) pin() string {
	w.t.Helper()
	text, err := w.Dir.Pin("web")
	if err != nil {
		w.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n")
	return rest
}

// updated updates the named app, and returns what the caller was told at the end.
func (w *world) updated(o Options) string {
	w.t.Helper()
	w.told = nil
	if _, err := w.Update(w.t.Context(), o, []string{"web"}, nil); err != nil {
		w.t.Fatal(err)
	}
	return w.told[len(w.told)-1]
}

var (
	newer   = update.Tags{Image: "docker.io/x:1.28-alpine", Newest: "1.29-alpine", Digest: digest}
	undoing = Options{Ask: update.Ask{Named: true}, Undo: true}
)

// TestOwn: a newer tag of an own manifest's image becomes an overlay, which goes with --undo. It is refused
// then.
func TestOwn(t *testing.T) {
	t.Parallel()
	w := ownWeb(t, newer)
	if got := w.updated(named); !strings.HasPrefix(got, "web: 1.29 serves; on trial until ") {
		t.Errorf("%q", w.told)
	}
	const first = "app:\n  version: \"1.29\"\n  containers:\n    main: {image: \"docker.io/x:1.29-alpine@" + digest + "\"}\n"
	if d := cmp.Diff(first, w.pin()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if got := w.updated(named); !strings.HasPrefix(got, "left web: up to date; on trial until ") {
		t.Errorf("%q", w.told)
	}
	// Another image under the tag that was taken, and a newer one of the other part: both are in the overlay.
	w.say(update.Tags{Image: "docker.io/x:1.29-alpine", Digest: otherDigest}, update.Tags{Image: "docker.io/db:7", Digest: digest})
	if got := w.updated(named); !strings.HasPrefix(got, "web: 1.29 (sha256:111111111111, sha256:222222222222) serves") {
		t.Errorf("%q", w.told)
	}
	second := strings.ReplaceAll(first, digest, otherDigest)
	second = strings.Replace(second, "    main:", "    db: {image: \"docker.io/db:7@"+digest+"\"}\n    main:", 1)
	if d := cmp.Diff(second, w.pin()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if got := w.updated(undoing); got != "web: 1.29 serves" || w.pin() != first {
		t.Errorf("%q, %s", w.told, w.pin())
	}
	if got := w.updated(named); !strings.HasPrefix(got, "failed web: not updated: refused on 2026-12-01: undone") {
		t.Errorf("%q", w.told)
	}
	if got := w.updated(undoing); got != "failed web: there is no update to undo" {
		t.Errorf("%q", w.told)
	}
}

// TestOwnRolledBack: images that do not serve go at once or in the trial, and are refused. What an operator
// has edited since is another manifest.
func TestOwnRolledBack(t *testing.T) {
	t.Parallel()
	w := ownWeb(t, newer)
	w.outcomes["web 1.29"] = reconcile.RolledBack
	if got := w.updated(named); got != "web: 1.29 was rolled back, and 1.28 serves: it ended" || w.pin() != "" {
		t.Errorf("%q, %s", w.told, w.pin())
	}
	if got := w.updated(named); !strings.HasPrefix(got, "failed web: not updated: refused on ") {
		t.Errorf("%q", w.told)
	}
	delete(w.outcomes, "web 1.29")
	retry := named
	retry.Retry = true
	if got := w.updated(retry); !strings.HasPrefix(got, "web: 1.29 serves") {
		t.Errorf("%q", w.told)
	}
	w.run("web", systemd.Unit{NRestarts: 1})
	if err := w.ResumeApp(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if got := w.told[len(w.told)-1]; !strings.HasPrefix(got, "web: 1.29 was rolled back, and 1.28 serves: ") || w.pin() != "" {
		t.Errorf("%q, %s", w.told, w.pin())
	}
	w.run("web", systemd.Unit{})
	path := filepath.Join(w.apps, "web.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, "# mine\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := w.updated(named); !strings.HasPrefix(got, "web: 1.29 serves") {
		t.Errorf("%q", w.told)
	}
	if now, err := os.ReadFile(path); err != nil || !strings.HasSuffix(string(now), "# mine\n") {
		t.Errorf("%v, %s", err, now)
	}
}

// TestOwnOverlay: another overlay decides about the image, and the command says so. Nothing is taken by
// itself, whatever the policy says.
func TestOwnOverlay(t *testing.T) {
	t.Parallel()
	w := ownWeb(t, newer)
	overlay := filepath.Join(w.apps, "web.d/mine.yaml")
	write := func(text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(overlay), 0o755), os.WriteFile(overlay, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("app: {container: {image: 'docker.io/x:1.28-alpine'}}\n")
	if got := w.updated(named); got != "failed web: not updated: an edit or overlay keeps the image: web.d/mine.yaml:1" || w.pin() != "" {
		t.Errorf("%q, %s", w.told, w.pin())
	}
	write("app: {update: {policy: auto}}\n")
	if sum, err := w.Update(t.Context(), Options{}, nil, nil); err != nil || sum.Updated+sum.NotUpdated > 0 {
		t.Errorf("%+v, %v", sum, err)
	}
	if sum, err := w.Update(t.Context(), Options{Ask: update.Ask{All: true}}, nil, nil); err != nil || sum.Updated != 1 {
		t.Errorf("%+v, %v, %q", sum, err, w.told)
	}
}

// TestOwnChanged: an operator who deletes or edits the overlay during the trial ends it.
func TestOwnChanged(t *testing.T) {
	t.Parallel()
	w := ownWeb(t, newer)
	w.updated(named)
	if err := w.Dir.SetPin("web", nil); err != nil {
		t.Fatal(err)
	}
	w.told = nil
	if err := w.Resume(t.Context(), anything); err != nil {
		t.Fatal(err)
	}
	if want := "web: the update to 1.29 ended: it was changed or removed in its trial"; !slices.Contains(w.told, want) {
		t.Errorf("%q", w.told)
	}
	if got := w.updated(named); !strings.HasPrefix(got, "web: 1.29 serves") {
		t.Errorf("%q", w.told)
	}
}
