package quadlet

import (
	"path"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/importer"
)

// ownership is the section of files that archgen rendered.
const ownership = "X-Archipelago"

func (u *unit) readRendered() {}

func (u *unit) finishRendered(d *importer.Draft) {}

func (u *unit) isCapability(network string) bool { return false }

func (u *unit) capability(network, options string, e entry) {}

func (u *unit) isRenderedFile(e entry) bool { return false }

func (u *unit) isOtherApp(unit string) bool { return false }

func (u *unit) renderedVolume(f *file, e entry) string { return path.Base(f.stem) }

func (u *unit) renderedNetwork(f *file, e entry) string { return strings.TrimSpace(f.stem) }
