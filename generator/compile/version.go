package compile

import "runtime/debug"

// Release is set by the Makefile and by packages
// (-X github.com/archipelago-os/archipelago/generator/compile.Release=…).
var Release string

// Version is ours, which rendered files carry: the release, or the module's
// version where it was built by `go install`, or "devel". Two programs of one
// build say the same, or each would rewrite the other's files.
func Version() string {
	if Release != "" {
		return Release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
