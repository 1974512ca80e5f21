package durable

import "strings"

// Temporary files have a suffix that Podman does not take for a Quadlet file's. Podman also reads
// hidden files.
const (
	tempPrefix = ".archgen-"
	tempSuffix = ".tmp"
)

// TempName is the name of a temporary file.
func TempName(name string) string { return tempPrefix + name + tempSuffix }

// IsTemp reports whether a file is a temporary one, perhaps of a writer that has exited.
func IsTemp(name string) bool {
	return strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix)
}
