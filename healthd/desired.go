package healthd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// Compiler compiles the installed apps, and compiles them again only if one of their files
// changed. It is for one goroutine.
type Compiler struct {
	Source compile.Source
	// Diagnose receives the diagnostics that the previous compilation did not have. If a
	// thousand files are invalid, one more is reported alone.
	Diagnose func(diag.List)

	said  map[string]bool
	stamp string
	want  units.Desired
	// diagnostics is the first error of each app's manifest.
	diagnostics map[string]string
}

// Diagnostics is the first error of each invalid manifest, by app, from the last call of
// Desired.
func (c *Compiler) Diagnostics() map[string]string { return c.diagnostics }

// Desired is the desired state. It checks each file for a change, and does not rely on
// events.
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
		return units.Desired{}, fmt.Errorf("compiling the manifests: %v; no app is changed; see archgen check", firstError(compiled.Diags))
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

// AskOnce returns the answer of ask, and asks again only if the file of a program was
// replaced since, as by an upgrade. Asking runs a process.
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

// look records the stamps of all files that the desired state depends on.
func (c *Compiler) look() (string, error) {
	dirs, err := c.Source.Paths().Apps()
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	for _, file := range c.Source.Paths().Settings() {
		note(&text, file)
	}
	// The generator's answer depends on Podman, which an upgrade replaces, and on its settings.
	fmt.Fprintln(&text, c.Source.Ask(), c.Source.Objects())
	for _, dir := range dirs {
		note(&text, dir)
		lookInto(&text, dir, "")
	}
	return text.String(), nil
}

// lookInto records what is in a directory of manifests, or in one within it that holds files
// of an app.
func lookInto(text *bytes.Buffer, dir, within string) {
	entries, _ := os.ReadDir(dir) // the compiler reports a directory that can't be read
	for _, e := range entries {
		path, within := filepath.Join(dir, e.Name()), filepath.Join(within, e.Name())
		note(text, path)
		if !e.Type().IsRegular() && manifests.HoldsFiles(within) { // it may be a link
			lookInto(text, path, within)
		}
	}
}

// note records a file. The target of a link counts like the link itself.
func note(text *bytes.Buffer, path string) {
	for _, follow := range []int{unix.AT_SYMLINK_NOFOLLOW, 0} {
		var st unix.Stat_t
		text.WriteString(path)
		if unix.Fstatat(unix.AT_FDCWD, path, &st, follow) != nil {
			text.WriteString(" -\n")
			return
		}
		// The inode differs if the file was replaced. The change time differs even if the
		// modification time was set to an earlier time.
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
