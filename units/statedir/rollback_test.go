package statedir

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

// TestRollBack rolls back the apps that are in the generation and still installed. Apps
// installed since keep their last-good files. Those differ from the rendered files of an
// app that did not serve with its newest manifest.
func TestRollBack(t *testing.T) {
	file := func(app, content string) units.File {
		return units.File{Name: "app@" + app + ".container", App: app, Digest: content, Content: []byte(content)}
	}
	app := func(id, content string) units.App {
		return units.App{ID: id, ManifestDigest: content}.With(units.Set{file(id, content)})
	}
	s := store(t)
	for _, set := range []units.Set{
		{file("broken", "1"), file("page", "1"), file("removed", "1"), file("same", "1")},
		{file("broken", "2"), file("new", "1"), file("page", "2"), file("same", "1")},
	} {
		if err := s.Commit(set, "a test"); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Generations()
	if err != nil {
		t.Fatal(err)
	}
	// The manifest of broken has an error, and new did not serve with its second one.
	want := units.Desired{Apps: []units.App{app("new", "2"), app("page", "2"), app("same", "1")}, Invalid: []string{"broken"}}
	if err := s.RollBack(t.Context(), want, list[1]); err != nil {
		t.Fatal(err)
	}
	good, err := s.Good()
	if d := cmp.Diff(units.Set{file("broken", "1"), file("new", "1"), file("page", "1"), file("same", "1")}, good); d != "" || err != nil {
		t.Errorf("%v, -want +good:\n%s", err, d)
	}
	history, err := s.History()
	if d := cmp.Diff(units.History{"page": {ManifestDigest: "2", RolledBack: true}}, history); d != "" || err != nil {
		t.Errorf("%v, -want +history:\n%s", err, d)
	}
}

func TestEarlier(t *testing.T) {
	s := store(t)
	if _, err := s.Earlier(); err == nil || err.Error() != "there is no earlier generation; see archgen generations" {
		t.Errorf("%v", err)
	}
	for _, body := range []string{"1", "2", "3"} {
		if err := s.Commit(units.Set{unit("app@a.container", "a", body)}, "a test"); err != nil {
			t.Fatal(err)
		}
	}
	if g, err := s.Earlier(); err != nil || g.Number != 2 {
		t.Errorf("%d, %v", g.Number, err)
	}
	if g, err := s.Numbered(1); err != nil || g.Number != 1 {
		t.Errorf("%d, %v", g.Number, err)
	}
	for _, number := range []int{0, 4} {
		if _, err := s.Numbered(number); err == nil || err.Error() != fmt.Sprintf("generation %d does not exist or is no longer kept; see archgen generations", number) {
			t.Errorf("%v", err)
		}
	}
}
