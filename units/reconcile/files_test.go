package reconcile_test

import (
	"testing"
	"testing/synctest"
)

// TestRestoreNeedsNoImage: what runs as it should has its image, so a lost file
// comes back at once, and also where no registry answers.
func TestRestoreNeedsNoImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.run(t, app("x", "1"))
		delete(m.files, "app@x.container")
		m.noImage["x"] = true
		m.log = nil
		r := m.run(t, app("x", "1"))
		if failed, _ := r.Count(); failed > 0 {
			t.Errorf("it failed: %+v", r.Results)
		}
		equal(t, "log", []string{"write app@x.container 1", "reload"}, m.log)
	})
}
