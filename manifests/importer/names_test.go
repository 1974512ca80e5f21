package importer_test

import (
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
