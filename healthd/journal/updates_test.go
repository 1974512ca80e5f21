package journal

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units/update"
)

// TestUpdateEvents: an update that begins or goes well is information, one that is rolled back a warning
// with the last words of the app.
func TestUpdateEvents(t *testing.T) {
	t.Parallel()
	one, two := update.Origin{Version: "1"}, update.Origin{Version: "2", Revision: 5}
	j := update.Journal{App: "web", State: update.Applying, From: update.Release{Origin: one}, To: update.Release{Origin: two}}
	back := j
	back.State, back.Why, back.Log = update.Reverting, "it crashed", []string{"x"}
	for _, c := range []struct {
		got  Event
		kind string
		text string
		log  []string
	}{
		{OfUpdateStep(&j), "update", "web: update from 1 to 2 (revision 5)", nil},
		{OfUpdateStep(&back), "update-failed", "web: rolling back 2 (revision 5): it crashed", []string{"x"}},
		{OfUpdate(update.Result{App: "web", Outcome: update.Updated, From: one, To: two}), "update", "web: 2 (revision 5) serves", nil},
		{
			OfUpdate(update.Result{App: "web", Outcome: update.RolledBack, From: one, To: two, Why: "it crashed", Log: []string{"x"}}),
			"update-failed", "web: 2 (revision 5) was rolled back, and 1 serves: it crashed",
			[]string{"x"},
		},
		{
			OfUpdate(update.Result{App: "web", Outcome: update.Superseded, From: one, To: two, Why: "it was edited"}),
			"update", "web: the update to 2 (revision 5) ended: it was edited", nil,
		},
	} {
		if d := cmp.Diff(c.log, c.got.Log); c.got.Kind.String() != c.kind || c.got.Message != c.text || c.got.App != "web" || d != "" {
			t.Errorf("%+v, want %s: %s %q", c.got, c.kind, c.text, c.log)
		}
	}
}
