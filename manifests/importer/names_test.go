package importer_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
)

// What names have in common ends at a separator.
func TestCommonName(t *testing.T) {
	for want, names := range map[string][]string{
		"web":   {"web"},
		"shop":  {"shop-web", "shop-db"},
		"shop2": {"shop2_web", "shop2_web_1", "shop2"},
		"a.b":   {"a.b.c", "a.b.d"},
		"":      {"web", "worker"},
	} {
		if got := importer.CommonName(names); got != want {
			t.Errorf("%v: got %q, want %q", names, got, want)
		}
	}
}

// A name that Podman would take for the beginning of a container's ID is no id of an app.
func TestAppID(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 3)
	for name, want := range map[string]string{
		"Web":                          "web",
		"cafe":                         "cafe-app",
		"DB":                           "db-app",
		"2fa":                          "2fa-app",
		"a-1":                          "a-1",
		hex:                            hex[:44] + "-app",
		hex + "0":                      hex[:44] + "-app",
		strings.Repeat("0", 47) + "-w": strings.Repeat("0", 44) + "-app",
		"":                             "app",
	} {
		got := importer.AppID(name)
		if got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
		if !manifests.Fits("appid", got) {
			t.Errorf("%q: %q is refused", name, got)
		}
	}
}

// A secret of Podman is a file below /run/secrets, another file, or a variable.
func TestReadPodmanSecret(t *testing.T) {
	id := 101
	for text, want := range map[string]importer.PodmanSecret{
		"key":                                  {Full: "key", Mount: manifests.SecretMount{Name: "key", Mode: 0o444}},
		"web.key":                              {Full: "web.key", Mount: manifests.SecretMount{Name: "key", Target: "/run/secrets/web.key", Mode: 0o444}},
		"key,mode=0400,uid=101,gid=x":          {Full: "key", Mount: manifests.SecretMount{Name: "key", UID: &id}},
		"key,type=mount,target=tls/key":        {Full: "key", Mount: manifests.SecretMount{Name: "key", Target: "/run/secrets/tls/key", Mode: 0o444}},
		"key,target=/etc/../tls.key":           {Full: "key", Mount: manifests.SecretMount{Name: "key", Target: "/tls.key", Mode: 0o444}},
		"Pass_Word,type=env,target=PW,uid=101": {Full: "Pass_Word", Mount: manifests.SecretMount{Name: "pass-word", Env: "PW", Waiver: importer.EnvWaiver}},
		"PW,type=env":                          {Full: "PW", Mount: manifests.SecretMount{Name: "pw", Env: "PW", Waiver: importer.EnvWaiver}},
	} {
		if d := cmp.Diff(want, importer.ReadPodmanSecret(text, "web.")); d != "" {
			t.Errorf("%s, -want +got:\n%s", text, d)
		}
	}
}
