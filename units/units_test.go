package units_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/units"
)

// TestImage: an image that a unit of its own builds or pulls is not one to pull.
func TestImage(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"app@x.container", "[Container]\nImage=docker.io/library/x:1\nEnvironment=Image=y\n", "docker.io/library/x:1"},
		{"app@x.container", "[Container]\nImage=localhost/a%%b:1\n", "localhost/a%b:1"},
		{"app@x.container", "[Container]\nImage=archipelago-x.build\n", ""},
		{"app@x.container", "[Container]\nImage=archipelago-x.image\n", ""},
		{"app@x.container", "[Container]\n", ""},
		{"archipelago-x.image", "[Image]\nImage=docker.io/library/x:1\n", ""},
	} {
		if got := (units.File{Name: c.name, Content: []byte(c.content)}).Image(); got != c.want {
			t.Errorf("%s with %q: %q, want %q", c.name, c.content, got, c.want)
		}
	}
}

// TestAppOfPull: a pull unit belongs to one app.
func TestAppOfPull(t *testing.T) {
	for unit, want := range map[string]string{units.PullOf("web"): "web", "app@web.service": "", "archipelago-recreate@web.service": ""} {
		if got := units.AppOfPull(unit); got != want {
			t.Errorf("%s: %q, want %q", unit, got, want)
		}
	}
}

// TestHistoryEqual: histories differ if any field of a record does.
func TestHistoryEqual(t *testing.T) {
	t.Parallel()
	record := units.Record{ManifestDigest: "d", Tries: 1, Last: time.Unix(1, 0), Why: units.ReasonFileMissing, Escalation: 1, RolledBack: true, Changed: true, Pending: map[string]string{"a": "b"}}
	one := units.History{"x": record}
	if !one.Equal(units.History{"x": record}) || one.Equal(units.History{}) {
		t.Error("the records of the apps are not compared")
	}
	for field, value := range reflect.ValueOf(record).Fields() {
		other := record
		if value.IsZero() {
			t.Errorf("the test sets no %s", field.Name)
		}
		reflect.ValueOf(&other).Elem().FieldByIndex(field.Index).SetZero()
		if one.Equal(units.History{"x": other}) {
			t.Errorf("%s is not compared", field.Name)
		}
	}
}
