package update

import "testing"

// TestSplitImage: a port is no tag.
func TestSplitImage(t *testing.T) {
	t.Parallel()
	for image, want := range map[string][2]string{
		"docker.io/library/nginx:1.28-alpine":      {"docker.io/library/nginx", "1.28-alpine"},
		"docker.io/library/nginx:1.28@sha256:0123": {"docker.io/library/nginx", "1.28"},
		"docker.io/library/nginx@sha256:0123":      {"docker.io/library/nginx", ""},
		"registry.example:5000/x":                  {"registry.example:5000/x", ""},
		"registry.example:5000/x:1":                {"registry.example:5000/x", "1"},
	} {
		if name, tag := SplitImage(image); name != want[0] || tag != want[1] {
			t.Errorf("%s: %s and %s", image, name, tag)
		}
	}
}
