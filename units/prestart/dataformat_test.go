package prestart

import (
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// TestDataFormat: a start records the format that it writes before the container starts, and refuses
// data that it can't read before it touches anything.
func TestDataFormat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ofUser(false))
	store := statedir.Store{State: w.Renderer.State}
	start := func(written, reads int) error {
		w.Recipe.Format = units.DataFormat{Written: written, Reads: reads}
		return w.Configure(t.Context())
	}
	for _, step := range []struct {
		written, reads int
		refused        string
		recorded       int
	}{
		{0, 0, "", 0},
		{2, 2, "", 2},
		{0, 0, "", 2}, // a version without a declared format says nothing about it
		{1, 1, "the data of ui has format 2, and this version reads at most 1", 2},
		{4, 3, "the data of ui has format 2, and this version converts it only from 3 on", 2},
		{3, 2, "", 3},
		{2, 2, "the data of ui has format 3", 3},
	} {
		err := start(step.written, step.reads)
		if (err == nil) != (step.refused == "") || err != nil && !strings.Contains(err.Error(), step.refused) {
			t.Errorf("%+v: %v", step, err)
		}
		if got, err := store.DataFormat("ui"); got != step.recorded || err != nil {
			t.Errorf("%+v: recorded %d, %v", step, got, err)
		}
	}
	if err := w.Renderer.Forget([]string{"ui"}, nil); err != nil {
		t.Fatal(err)
	}
	if got, _ := store.DataFormat("ui"); got != 3 {
		t.Errorf("removed: the format %d of data that is still there", got)
	}
	if err := w.Renderer.Forget([]string{"ui"}, []string{"ui"}); err != nil {
		t.Fatal(err)
	}
	if got, _ := store.DataFormat("ui"); got != 0 {
		t.Errorf("purged: still format %d", got)
	}
}
