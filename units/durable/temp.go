package durable

import "strings"

// Temporary files end in a suffix that Podman does not take for a unit's; it
// reads hidden files as well.
const (
	tempPrefix = ".archgen-"
	tempSuffix = ".tmp"
)

// TempName is the name of a temporary file.
func TempName(name string) string { return tempPrefix + name + tempSuffix }

// IsTemp reports whether a file is a temporary one, of a writer that may have ended.
func IsTemp(name string) bool {
	return strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix)
}
