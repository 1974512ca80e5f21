package podmanrun

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A command that Podman ran is read up to its image, also where an argument is not known.
func TestFlags(t *testing.T) {
	for name, tt := range map[string]struct {
		words []string
		want  []Flag
	}{
		"long and short": {
			[]string{"podman", "run", "-d", "--name", "web", "-p8080:80", "-e", "A=b", "-v=x:/y", "nginx", "--name", "z"},
			[]Flag{{"d", "true", 2}, {"name", "web", 4}, {"publish", "8080:80", 5}, {"env", "A=b", 7}, {"volume", "x:/y", 8}},
		},
		"switches together":     {[]string{"/usr/bin/podman", "create", "-itd", "-h", "site", "nginx"}, []Flag{{"i", "true", 2}, {"t", "true", 2}, {"d", "true", 2}, {"hostname", "site", 4}}},
		"switches of Podman":    {[]string{"podman", "run", "--rmi", "--http-proxy=false", "-P", "nginx", "--x"}, []Flag{{"rmi", "true", 2}, {"http-proxy", "false", 3}, {"P", "true", 4}}},
		"one that is not known": {[]string{"podman", "run", "--new", "value", "--newer=1", "nginx"}, []Flag{{"new", "value", 3}, {"newer", "1", 4}}},
		"in front of the verb":  {[]string{"podman", "--log-level", "debug", "container", "run", "--init", "nginx"}, []Flag{{"init", "true", 5}}},
		"an end of the flags":   {[]string{"podman", "run", "--init", "--", "-x"}, []Flag{{"init", "true", 2}}},
		"a dash":                {[]string{"podman", "run", "-"}, nil},
		"cut short":             {[]string{"podman", "run", "--name"}, []Flag{{"name", "", 2}}},
		"a pod":                 {[]string{"podman", "pod", "create", "--name", "x"}, nil},
		"another command":       {[]string{"podman", "kube", "play", "x.yaml"}, nil},
		"no command":            {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, Flags(tt.words)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}
