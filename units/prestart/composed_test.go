package prestart_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/units"
)

// url is a recipe with a variable that contains two secrets.
var url = units.Prestart{Composed: []units.ComposedSecret{{
	Name: "ui.env-url-1", Variable: "URL", Pieces: []units.SecretPiece{{Text: "sql://"}, {Secret: "ui.token"}, {Text: ":"}, {Secret: "db.password"}, {Text: "@db"}},
}}}

// TestComposed: a start makes the secret of a variable from the values of others. It differs when
// one of them does, and is made again only then.
func TestComposed(t *testing.T) {
	p := newPlace(t)
	p.secrets["db.password"] = "two\nlines $HOME"
	if !p.differs(url) {
		t.Error("what was never made is as it should be")
	}
	p.write(url)
	p.write(url)
	if got := p.secrets["ui.env-url-1"]; got != "sql://canary:two\nlines $HOME@db" || p.sets != 1 || p.differs(url) {
		t.Errorf("%q, set %d times, differs: %v", got, p.sets, p.differs(url))
	}
	p.secrets["db.password"] = "new"
	if !p.differs(url) {
		t.Error("another password does not differ")
	}
	p.write(url)
	if got := p.secrets["ui.env-url-1"]; got != "sql://canary:new@db" || p.differs(url) {
		t.Errorf("%q, differs: %v", got, p.differs(url))
	}
	// The next start restores a secret that was removed from Podman.
	delete(p.secrets, "ui.env-url-1")
	p.write(url)
	if got := p.secrets["ui.env-url-1"]; got != "sql://canary:new@db" {
		t.Errorf("%q", got)
	}
}

// TestComposedFails: what can't be a variable fails the start, and no error shows a value.
func TestComposedFails(t *testing.T) {
	for name, tt := range map[string]struct{ value, want string }{
		"NUL":      {"canary\x00", "the variable URL: the secret db.password has a NUL byte, which no variable can have"},
		"too long": {strings.Repeat("canary", 1<<15), "the variable URL has 196627 bytes with its name, and Linux takes 131070"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.secrets["db.password"] = tt.value
			if err := p.Write(t.Context(), "ui", url); err == nil || err.Error() != tt.want || p.sets != 0 {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
	p := newPlace(t)
	if err := p.Write(t.Context(), "ui", url); err == nil || !strings.HasPrefix(err.Error(), "the variable URL: the secret db.password: ") {
		t.Errorf("without a value: %v", err)
	}
	p.secrets["db.password"] = "x"
	busy := errors.New("podman is busy")
	p.SetSecret = func(context.Context, string, string) error { return busy }
	err := p.Write(t.Context(), "ui", url)
	if !errors.Is(err, busy) || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
	if !p.differs(url) {
		t.Error("a start that failed counts as done")
	}
}
