package manifests

import (
	"strings"
	"testing"
)

// TestPatterns: what the expressions leave to code, which is lengths.
func TestPatterns(t *testing.T) {
	t.Parallel()
	repeat := strings.Repeat
	for name, c := range map[string]struct{ fits, refused []string }{
		"image": {
			[]string{"a", "localhost/a:1", "h.example:5000/a/b__c:1", "a:" + repeat("x", 128), "a@sha256:" + repeat("0", 64), "a:1@sha512:" + repeat("f", 128)},
			[]string{
				"", "A", "-a", "a:" + repeat("x", 129), repeat("a", 513), "a@", "a@sha256:", "a@md5:", "a@md5:" + repeat("0", 32),
				"a@sha256:" + repeat("0", 63), "a@sha256:" + repeat("0", 128), "a@sha512:" + repeat("0", 64), "a@sha256:" + repeat("G", 64), "a@b@sha256:" + repeat("0", 64),
			},
		},
		"hostname": {
			[]string{"a", "a.b-c.example", repeat("a", 63) + ".b"},
			[]string{"", ".", "a.", "a..b", "-a", "a-", "a_b", repeat("a", 64), "b." + repeat("a", 64), repeat("a.", 126) + "ab"},
		},
		"envname":   {[]string{"A", "_a.b-c", repeat("A", 256)}, []string{"", "1A", "A=B", "A\n", repeat("A", 257)}},
		"option":    {[]string{"a", "/a=b,c", repeat("a", 256)}, []string{"", "-a", "a b", repeat("a", 257)}},
		"export":    {[]string{"a_secret", "A.b-c_secret", repeat("a", 121) + "_secret"}, []string{"", "_secret", "a", "../a_secret", "a,b_secret", "a_secret/", repeat("a", 122) + "_secret"}},
		"filename":  {[]string{"a", "_a.b", repeat("a", 128)}, []string{"", ".a", "a/b", repeat("a", 129)}},
		"directive": {[]string{"A", "Nice", repeat("A", 64)}, []string{"", "1", "A=", repeat("A", 65)}},
		"date":      {[]string{"2027-01-31", "2028-02-29"}, []string{"", "2027-02-29", "2027-1-31", "31 Jan 2027", "2027-01-31T00:00:00Z"}},
		"label":     {[]string{"a", "a.b/c-d", repeat("a", 256)}, []string{"", ".a", "a b", "io.archipelago.x", "io.containers.autoupdate", "io.containers.autoupdate.authfile", repeat("a", 257)}},
		"user":      {[]string{"0", "a:b", repeat("u", 32) + ":" + repeat("g", 32)}, []string{"", ":", "a:", repeat("u", 33), "a:" + repeat("g", 33)}},
	} {
		for _, s := range c.fits {
			if !patterns[name].match(s) {
				t.Errorf("%s refuses %q", name, s)
			}
		}
		for _, s := range c.refused {
			if patterns[name].match(s) {
				t.Errorf("%s takes %q", name, s)
			}
		}
	}
}
