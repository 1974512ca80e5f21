package healthd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// Compiler compiles the installed apps, and again only where one of their files
// changed. It is for one goroutine.
type Compiler struct {
	Source compile.Source
	// Diagnose is told of the diagnostics of each compilation that the one before
	// did not have: of a thousand files that are broken, one more is news.
	Diagnose func(diag.List)

	said  map[string]bool
	stamp string
	want  units.Desired
	// diagnostics is the first error of each app's manifest.
	diagnostics map[string]string
}

// Diagnostics is the first error of each manifest that has one, by app, as of the last call
// of Desired.
func (c *Compiler) Diagnostics() map[string]string { return c.diagnostics }

// Desired is what the machine should look like. That no file changed is seen by
// looking at each, not taken from an event.
func (c *Compiler) Desired() (units.Desired, error) {
	stamp, err := c.look()
	if err != nil {
		return units.Desired{}, err
	}
	if stamp == c.stamp {
		return c.want, nil
	}
	compiled, want, err := c.Source.Installed()
	if err != nil {
		return units.Desired{}, err
	}
	c.diagnose(compiled.Diags)
	c.diagnostics = compiled.FirstErrors()
	if compiled.Result == nil && compiled.Diags.HasErrors() {
		return units.Desired{}, fmt.Errorf("the manifests can't be compiled, so everything stays as it is: %v; see archgen check", firstError(compiled.Diags))
	}
	// A file that changed in between is seen the next time: the stamp is older.
	c.stamp, c.want = stamp, want
	return want, nil
}

func (c *Compiler) diagnose(found diag.List) {
	before := c.said
	c.said = make(map[string]bool, len(found))
	var news diag.List
	for _, d := range found {
		text := d.String()
		if !before[text] && !c.said[text] {
			news = append(news, d)
		}
		c.said[text] = true
	}
	c.Diagnose(news)
}

func firstError(list diag.List) diag.Diagnostic {
	for _, d := range list {
		if d.Severity == diag.Error {
			return d
		}
	}
	return diag.Diagnostic{}
}

// AskOnce returns the answer of ask, and asks again only where the file of a
// program was replaced since, as by an upgrade. The answer costs a process.
func AskOnce(ask func() string, program func() (string, error)) func() string {
	var stamp, answer string
	return func() string {
		var text bytes.Buffer
		path, err := program()
		if err != nil {
			return ""
		}
		if note(&text, path); text.String() != stamp {
			stamp, answer = text.String(), ask()
		}
		return answer
	}
}

// look takes down what tells whether a file is still the one that was read.
func (c *Compiler) look() (string, error) {
	dirs, err := c.Source.Paths().Apps()
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	for _, file := range c.Source.Paths().Settings() {
		note(&text, file)
	}
	// The generator's answer depends on Podman, which an upgrade replaces.
	fmt.Fprintln(&text, c.Source.Ask())
	for _, dir := range dirs {
		lookInto(&text, dir, true)
	}
	return text.String(), nil
}

// lookInto takes down a directory of manifests with its overlays' and templates'
// directories.
func lookInto(text *bytes.Buffer, dir string, overlays bool) {
	note(text, dir)
	entries, _ := os.ReadDir(dir) // one that can't be read is an error when it is compiled
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		note(text, path)
		if e.IsDir() && (overlays && holdsMore(e.Name()) || e.Name() == "files") {
			lookInto(text, path, false)
		}
	}
}

// holdsMore: overlays lie in ID.d, and templates in ID.files or ID.d/files.
func holdsMore(dir string) bool {
	return strings.HasSuffix(dir, ".d") || strings.HasSuffix(dir, ".files")
}

// note takes down a file. One that a link leads to counts like the link itself.
func note(text *bytes.Buffer, path string) {
	for _, follow := range []int{unix.AT_SYMLINK_NOFOLLOW, 0} {
		var st unix.Stat_t
		text.WriteString(path)
		if unix.Fstatat(unix.AT_FDCWD, path, &st, follow) != nil {
			text.WriteString(" -\n")
			return
		}
		// The inode tells a file from one that took its place, and the change time from
		// one whose modification time was set back.
		for _, n := range []int64{int64(st.Mode), st.Size, st.Mtim.Nano(), int64(st.Ino), st.Ctim.Nano()} {
			text.WriteByte(' ')
			text.Write(strconv.AppendInt(text.AvailableBuffer(), n, 16))
		}
		text.WriteByte('\n')
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			return
		}
	}
}
