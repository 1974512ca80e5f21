package update

import "testing"

// TestNext: the newest tag with its digest follows, or another image under the present tag. A major version
// does not by itself.
func TestNext(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		tags   Tags
		isNews bool
		want   string
	}{
		"nothing":             {Tags{Image: "x:1.2"}, false, ""},
		"a newer tag":         {Tags{Image: "x:1.2", Newest: "1.3", Major: "2.0", Digest: "sha256:0"}, true, "x:1.3@sha256:0"},
		"another image":       {Tags{Image: "x:1.2", Digest: "sha256:0"}, true, "x:1.2@sha256:0"},
		"a major version":     {Tags{Image: "x:1.2", Major: "2.0"}, true, ""},
		"of an older archgen": {Tags{Image: "x:1.2", Newest: "1.3"}, true, ""},
	} {
		if got := c.tags.Next(); got != c.want || c.tags.IsNews() != c.isNews {
			t.Errorf("%s: %q, news %v", what, got, c.tags.IsNews())
		}
	}
}

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
