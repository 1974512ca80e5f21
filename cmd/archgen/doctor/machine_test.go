package doctor

import (
	"errors"
	"os"
	"testing"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
)

// TestThisMachine: the apps are compiled once, when the first check asks for them.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	getenv := func(name string) string { return map[string]string{"HOME": home, "XDG_RUNTIME_DIR": home}[name] }
	compiled := 0
	e := ThisMachine(t.Context(), machine.Options{Scope: units.User, Getenv: getenv}, func() (*compile.Compiled, units.Desired, error) {
		compiled++
		return &compile.Compiled{Diags: diag.List{{Message: "it is wrong"}}}, units.Desired{Invalid: []string{"web"}}, nil
	})
	if compiled != 0 || e.UID != os.Getuid() || e.Root != "/" || e.Self == "" {
		t.Errorf("compiled %d times, uid %d, root %s, self %q", compiled, e.UID, e.Root, e.Self)
	}
	for range 2 {
		apps, err := e.Apps()
		if err != nil || len(apps.Diags) != 1 || len(apps.Want.Invalid) != 1 || apps.Paths.Units == "" || compiled != 1 {
			t.Errorf("compiled %d times: %+v, %v", compiled, apps, err)
		}
	}
	if secrets, err := e.Secrets(); err != nil {
		t.Error(err)
	} else if r, err := secrets.Rotation(); r != nil || err != nil {
		t.Errorf("a rotation %v, %v", r, err)
	}
	broken := errors.New("HOME is not set")
	e = ThisMachine(t.Context(), machine.Options{Scope: units.User, Getenv: getenv}, func() (*compile.Compiled, units.Desired, error) { return nil, units.Desired{}, broken })
	if _, err := e.Apps(); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
