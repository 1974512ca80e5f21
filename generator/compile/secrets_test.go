package compile_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A secret is used by the app that has it, and by those to which a capability exports it.
func TestUsersOf(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("database", `app: {id: database, name: D, version: 1.0.0, container: {image: x, ports: [{name: sql, container: 5432}]},
  secrets: [{name: password, description: For its clients}, {name: root}],
  provides: [{capability: sql, port: sql, exports: {password_secret: password}}]}`)
	h.write("shop", `app: {id: shop, name: S, version: 1.0.0, requires: [{capability: sql}], container: {image: x}}`)
	h.grants("shop", "use")
	h.grants("database", "use")
	h.write("other", `app: {id: other, name: O, version: 1.0.0, container: {image: x}}`)
	k, _, err := h.source().Installed()
	if err != nil {
		t.Fatal(err)
	}
	for secret, want := range map[string][]string{"database.password": {"database", "shop"}, "database.root": {"database"}, "database.none": nil} {
		if d := cmp.Diff(want, k.UsersOf([]string{secret})); d != "" {
			t.Errorf("%s: -want +got:\n%s", secret, d)
		}
	}
	want := map[string]string{"database.password": "For its clients", "database.root": ""}
	if d := cmp.Diff(want, k.SecretDescriptions()); d != "" {
		t.Errorf("descriptions: -want +got:\n%s", d)
	}
}
