package tags

import (
	"slices"
	"strings"
	"testing"
)

// TestNewer: a list has the tags of several series and kinds, and only those of the present kind follow.
func TestNewer(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		present, list, same, major string
	}{
		"the newest of several":         {"1.2.3", "1.2.4 1.10.0 1.9.9 1.2.2", "1.10.0", ""},
		"another first number":          {"1.2.3", "1.2.4 2.0.0 3.1.0 2.9.0", "1.2.4", "3.1.0"},
		"nothing newer":                 {"1.2.3", "1.2.3 1.2.2 0.9.9", "", ""},
		"the list lacks the present":    {"1.2.3", "1.1.0", "", ""},
		"an empty list":                 {"1.2.3", "", "", ""},
		"other kinds":                   {"1.2.3", "1.2.4-alpine 1.3 latest v1.2.9 1.2.4-rc1 1.2.3.1", "", ""},
		"with a suffix":                 {"1.28-alpine", "1.29-alpine 1.30 1.29.1-alpine 2-alpine", "1.29-alpine", ""},
		"with a prefix":                 {"v0.21.2-beta", "v0.21.3-beta v0.22.0-beta v0.22.0-beta.rc1 v1.0.0-beta", "v0.22.0-beta", "v1.0.0-beta"},
		"a build after the version":     {"4.0.15.2941-ls289", "4.0.15.2941-ls290 4.0.16.2944-ls291 4.0.15.2941-ls288", "4.0.16.2944-ls291", ""},
		"a word before a date":          {"29.3.knots20260508", "29.3.knots20260601 29.2.knots20270101", "29.3.knots20260601", ""},
		"dates":                         {"2026.05.08", "2026.06.01 2027.01.01 2026.05.07", "2026.06.01", "2027.01.01"},
		"a date of one number":          {"20260508", "20260601 20270101", "", "20270101"},
		"zeros in front":                {"1.09", "1.10 1.9 1.009", "1.10", ""},
		"numbers of more than 64 bits":  {"1.99999999999999999999999", "1.100000000000000000000000", "1.100000000000000000000000", ""},
		"without numbers":               {"latest", "latest stable 1.0", "", ""},
		"digests as tags":               {"sha-4f2a9c1", "sha-4f2b9c1 sha-9e1d7a0", "", ""},
		"a number in the middle of one": {"rc1", "rc2 rc10 rc1.1", "", "rc10"},
	} {
		if same, major := Newer(c.present, strings.Fields(c.list)); same != c.same || major != c.major {
			t.Errorf("%s: %q and %q, want %q and %q", what, same, major, c.same, c.major)
		}
	}
}

// TestVersion: the version of a tag is what stands where the present one has its version.
func TestVersion(t *testing.T) {
	t.Parallel()
	for what, c := range map[string][4]string{
		"it is the tag":               {"1.2.3", "1.10.0", "1.2.3", "1.10.0"},
		"with a suffix":               {"1.28-alpine3.20", "1.29-alpine3.21", "1.28", "1.29"},
		"with a prefix":               {"v0.21.2-beta", "v0.22.0-beta", "0.21.2", "0.22.0"},
		"with a prefix and a suffix":  {"v0.21.2-beta", "v0.22.0-beta", "0.21.2-beta", "0.22.0-beta"},
		"the prefix is part of it":    {"v1.2", "v1.3", "v1.2", "v1.3"},
		"a part of the numbers":       {"4.0.15.2941-ls289", "4.0.16.2944-ls291", "4.0.15", "4.0.16"},
		"the same tag":                {"1.2", "1.2", "1.2", "1.2"},
		"the tag has another version": {"1.28", "1.29", "7", ""},
		"a part of a number":          {"12.1", "13.1", "1", ""},
		"not the first number":        {"1.28", "1.29", "28", ""},
		"a version without numbers":   {"latest", "latest", "latest", ""},
		"no version":                  {"1.28", "1.29", "", ""},
		"another shape":               {"1.28", "1.29.1", "1.28", ""},
	} {
		if got := Version(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("%s: %q, want %q", what, got, c[3])
		}
	}
}

// FuzzNewer: what follows is of the list, and no tag of the list follows it but that of another first
// number. Nothing follows and precedes another one.
func FuzzNewer(f *testing.F) {
	for _, seed := range [][2]string{{"1.2.3", "1.2.4 2.0.0"}, {"v0.21.2-beta", "v0.22.0-beta latest"}, {"0", "00 1"}, {"é1", "é2 é10"}, {"", " "}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, present, text string) {
		list := strings.Split(text, " ")
		same, major := Newer(present, list)
		for _, tag := range []string{same, major} {
			if tag == "" {
				continue
			}
			if !slices.Contains(list, tag) {
				t.Errorf("%q is not in the list", tag)
			}
			if a, b := Newer(tag, []string{present}); a+b != "" {
				t.Errorf("%q follows %q, and the other way round", tag, present)
			}
			if a, _ := Newer(tag, list); a != "" {
				t.Errorf("%q follows %q, which should be the newest", a, tag)
			}
		}
	})
}
