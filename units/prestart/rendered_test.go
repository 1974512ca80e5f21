package prestart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// TestRendered: the user's files have precedence over the image's, and a file that archgen
// does not write belongs to no app.
func TestRendered(t *testing.T) {
	t.Parallel()
	own, image := t.TempDir(), t.TempDir()
	const mark = "[X-Archipelago]\nApp=web\n"
	for path, text := range map[string]string{
		filepath.Join(own, "app@web.container"):           mark + `Alive={"kind":"tcp","address":"127.0.0.1:1","interval":"2s","timeout":"1s","retries":1}` + "\n",
		filepath.Join(image, "app@web.container"):         mark,
		filepath.Join(own, "archipelago-web.recipe"):      mark + "[Recipe]\nReload=\"HUP\"\n",
		filepath.Join(image, "app@web.ui.container"):      mark,
		filepath.Join(image, "archipelago-web.ui.recipe"): "[Recipe]\nReload=\"HUP\"\n",
		filepath.Join(image, "app@cut.container"):         "[Container]\nImage=x\n",
		filepath.Join(image, "app@odd.container"):         mark + "Alive=x\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(own, "app@pipe.container"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := Rendered{own, image}
	if target, err := r.Target("web", "serving"); err != nil || target == nil || target.Address != "127.0.0.1:1" {
		t.Errorf("the check of web: %+v, %v", target, err)
	}
	if target, err := r.Target("web.ui", "serving"); err != nil || target != nil {
		t.Errorf("web.ui has no check: %+v, %v", target, err)
	}
	if recipe, err := r.Recipe("web"); err != nil || recipe.Reload != "HUP" {
		t.Errorf("the recipe of web: %+v, %v", recipe, err)
	}
	target := func(id string) error {
		_, err := r.Target(id, "serving")
		return err
	}
	recipe := func(id string) error {
		_, err := r.Recipe(id)
		return err
	}
	for what, c := range map[string]struct {
		err  error
		want string
	}{
		"no section":     {target("cut"), "app@cut.container is foreign or damaged; run archgen apply"},
		"another check":  {target("odd"), "reading a probe: "},
		"no file":        {target("none"), "there is no app@none.container in " + own + " or " + image + ": install the app, then run archgen apply"},
		"no app":         {target("../evil"), `"../evil" is not an app: `},
		"no regular":     {target("pipe"), filepath.Join(own, "app@pipe.container") + " is not a regular file, or it is too large"},
		"no recipe":      {recipe("none"), "there is no archipelago-none.recipe in "},
		"damaged recipe": {recipe("web.ui"), "archipelago-web.ui.recipe is foreign or damaged; run archgen apply"},
	} {
		if c.err == nil || !strings.HasPrefix(c.err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", what, c.err, c.want)
		}
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	fake := systemdtest.New(t)
	fake.Set(
		systemd.Unit{Name: "app@up.service", ActiveState: "active", SubState: "running"},
		systemd.Unit{Name: "app@begins.service", ActiveState: "activating", SubState: "start"},
		systemd.Unit{Name: "app@down.service"},
	)
	m := Manager{fake.Connect()}
	for service, want := range map[string]ServiceState{"app@up.service": Running, "app@begins.service": Starting, "app@down.service": Stopped, "app@none.service": Stopped} {
		if got, err := m.State(t.Context(), service); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", service, got, err, want)
		}
	}
}
