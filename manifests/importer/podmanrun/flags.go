package podmanrun

import (
	"slices"
	"strings"
)

// Flag is one argument of a command that Podman recorded.
type Flag struct {
	// Name is the long name, without dashes.
	Name, Value string
	// Index is that of the word that has the value.
	Index int
}

// switches is the arguments of podman run without a value that Import refuses.
var switches = names("disable-content-trust env-host http-proxy no-hosts no-hostname passwd publish-all P read-only-tmpfs rmi rootfs unsetenv-all")

// Flags is the arguments of podman run or podman create in front of the image. Podman has accepted
// the command, so that one that is not known is no error; it has a value. Another command has none.
func Flags(words []string) (flags []Flag) {
	isVerb := func(w string) bool { return w == "run" || w == "create" }
	i := slices.IndexFunc(words, isVerb)
	if i < 0 || slices.Contains(words[:i], "pod") {
		return nil
	}
	for i++; i < len(words) && len(words[i]) > 1 && words[i][0] == '-' && words[i] != "--"; i++ {
		word := words[i]
		if long, isLong := strings.CutPrefix(word, "--"); isLong {
			name, value, hasValue := strings.Cut(long, "=")
			f := Flag{name, value, i}
			if !hasValue {
				f, i = argumentOf(f, words)
			}
			flags = append(flags, f)
			continue
		}
		var short []Flag
		short, i = shortFlags(words, i)
		flags = append(flags, short...)
	}
	return flags
}

// shortFlags reads -x value, -xvalue, and switches that stand together. last is the index of the
// last word that was read.
func shortFlags(words []string, i int) (flags []Flag, last int) {
	word := words[i]
	for k := 1; k < len(word); k++ {
		f := Flag{Name: longName(word[k : k+1]), Index: i}
		rest := word[k+1:]
		if isSwitchName(f.Name) {
			f.Value = "true"
			flags = append(flags, f)
			continue
		}
		if rest == "" {
			f, i = argumentOf(f, words)
		} else {
			f.Value = strings.TrimPrefix(rest, "=")
		}
		return append(flags, f), i
	}
	return flags, i
}

// argumentOf gives a flag the value that stands behind it.
func argumentOf(f Flag, words []string) (with Flag, last int) {
	switch {
	case isSwitchName(f.Name):
		f.Value = "true"
	case f.Index+1 < len(words):
		f.Index++
		f.Value = words[f.Index]
	}
	return f, f.Index
}

// longName is the name of an argument that is given by its letter.
func longName(letter string) string {
	if o := optionOf(letter); o != nil && o.form != isSwitch {
		return o.names[0]
	}
	return letter
}

func isSwitchName(name string) bool {
	o := optionOf(name)
	return o != nil && o.form == isSwitch || slices.Contains(switches, name)
}
