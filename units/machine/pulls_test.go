package machine

import (
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// TestPullsAreNotTriedAtOnceAgain: every event of an app that is down for a missing image
// causes a pass, and every pass asks for a pull. A pull is repeated at once only for a
// request of a user or a changed manifest.
func TestPullsAreNotTriedAtOnceAgain(t *testing.T) {
	fake := systemdtest.New(t)
	const unit = "archipelago-pull@web.service"
	fake.Set(systemd.Unit{Name: unit, LoadState: "loaded", ActiveState: "inactive"})
	result := "failed"
	fake.OnJob(func(systemdtest.Job) systemdtest.Outcome { return systemdtest.Outcome{Result: result} })
	p := &Pulls{Services: Services{Manager: fake.Connect(), Scope: units.User}}
	for _, step := range []struct {
		what   string
		app    units.App
		result string
		tries  int
		fails  bool
	}{
		{"at first", units.App{ID: "web", ManifestDigest: "1"}, "failed", 1, true},
		{"after a failure", units.App{ID: "web", ManifestDigest: "1"}, "failed", 1, true},
		{"where a person asks", units.App{ID: "web", ManifestDigest: "1", Request: units.Start}, "failed", 2, true},
		{"for another manifest", units.App{ID: "web", ManifestDigest: "2"}, "done", 3, false},
		{"after one that has brought nothing", units.App{ID: "web", ManifestDigest: "2"}, "done", 3, false},
	} {
		result = step.result
		err := p.Get(t.Context(), step.app)
		if (err != nil) != step.fails || err != nil && !strings.Contains(err.Error(), unit) {
			t.Errorf("%s: %v", step.what, err)
		}
		if tries := len(fake.Calls("StartUnit")); tries != step.tries {
			t.Errorf("%s: %d tries, want %d", step.what, tries, step.tries)
		}
	}
}
