package compile

import "runtime/debug"

// Release is set by the Makefile and by packages
// (-X github.com/archipelago-os/archipelago/generator/compile.Release=…).
var Release string

// Version is the version that rendered files name: the release, or the module's version of a
// build by `go install`, or "devel". The two programs of one build have the same version;
// otherwise each would rewrite the files of the other.
func Version() string {
	if Release != "" {
		return Release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
