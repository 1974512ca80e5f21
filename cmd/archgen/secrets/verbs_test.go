package secrets

import (
	"errors"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/cmd/archgen/session/sessiontest"
)

// TestVerbs: a value is set from standard input, listed without it, and shown where that is asked for.
func TestVerbs(t *testing.T) {
	w := sessiontest.New(t)
	w.Put("web.yaml", "app: {id: web, name: Web, version: 1.0.0, secrets: [{name: tls, description: the key}], container: {image: localhost/web:1, secrets: [{name: tls, env: TLS}]}}\n")
	if err := Set(w.Session("a value\n"), "web.tls", "-"); err != nil {
		t.Fatal(err)
	}
	if err := PrintList(w.Session(""), false); err != nil || !strings.Contains(w.Stdout.String(), "web.tls") || strings.Contains(w.Stdout.String(), "a value") {
		t.Errorf("%v, the list is\n%s", err, &w.Stdout)
	}
	w.Forget()
	if err := PrintList(w.Session(""), true); err != nil || !strings.Contains(w.Stdout.String(), `"name": "web.tls"`) {
		t.Errorf("%v, the list is\n%s", err, &w.Stdout)
	}
	w.Forget()
	if err := Show(w.Session(""), "web.tls", true); err != nil || w.Stdout.String() != "a value\n" {
		t.Errorf("%v, it shows %q", err, &w.Stdout)
	}
	for what, err := range map[string]error{
		"a malformed name of set":  Set(w.Session(""), "tls", "-"),
		"a malformed name of show": Show(w.Session(""), "tls", true),
		"no terminal":              Show(w.Session(""), "web.tls", false),
	} {
		if _, isUsage := errors.AsType[session.UsageError](err); !isUsage {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := Show(w.Session(""), "web.none", true); err == nil || !strings.Contains(err.Error(), "has no value") {
		t.Errorf("%v", err)
	}
}
