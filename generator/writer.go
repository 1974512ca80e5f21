package generator

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// origin is the manifest value that an assignment comes from. The path is only
// composed when a diagnostic needs it.
type origin struct {
	base  string // "app", "app.container", "app.containers.db"
	field string
	index int // element of a list, -1 for none
	tail  string
}

func (o origin) path() string {
	p := o.base
	if o.field != "" {
		p += "." + o.field
	}
	if o.index >= 0 {
		p += fmt.Sprintf("[%d]", o.index)
	}
	return p + o.tail
}

// at returns the origin for one element of a list.
func (o origin) at(i int) origin { o.index = i; return o }

// assignment is one line as it was meant.
type assignment struct {
	section, key string
	class        class
	first, count int // its values in writer.values
	origin       origin
	line         int
}

// problem is a value that could not be written.
type problem struct {
	origin  origin
	code    diag.Code
	message string
	hint    string
}

// writer puts one unit file together. It is the only place where a value
// becomes text; verify reads the text back and compares.
type writer struct {
	target  Target
	buf     bytes.Buffer
	section string
	line    int

	assignments []assignment
	values      []string
	problems    []problem
	digestAt    []int  // offsets of the digest's placeholders in buf
	image       string // digest of the unit that makes the container's image, if there is one
}

// digestLen is the length of a digest in a unit file: 128 bits in hex.
const digestLen = 32

const digestLabel = "io.archipelago.digest="

func (w *writer) reset(t Target) {
	w.target = t
	w.buf.Reset()
	w.section, w.line, w.digestAt, w.image = "", 0, w.digestAt[:0], ""
	w.assignments, w.values, w.problems = w.assignments[:0], w.values[:0], w.problems[:0]
}

// comment writes a comment line; text must be free of line breaks.
func (w *writer) comment(text string) {
	w.buf.WriteString("# ")
	w.buf.WriteString(text)
	w.newline()
}

func (w *writer) newline() {
	w.buf.WriteByte('\n')
	w.line++
}

// begin starts a section.
func (w *writer) begin(section string) {
	if w.line > 0 {
		w.newline()
	}
	w.section = section
	w.buf.WriteByte('[')
	w.buf.WriteString(section)
	w.buf.WriteByte(']')
	w.newline()
}

// put writes key=value(s) in the current section; several values are words of
// one line. A key that the target's Podman lacks becomes its exact replacement
// or a problem.
func (w *writer) put(o origin, key string, values ...string) {
	info, ok := quadletKeys[w.section][key]
	if !ok {
		w.assign(o, key, classOf(w.section, key), values...)
		return
	}
	switch {
	case !w.target.Podman.before(info.since):
		w.assign(o, key, info.class, values...)
	case info.omit:
	case info.flag != "":
		w.flag(o, replacement(info.flag, values[0]))
	default:
		w.tooOld(o, info.since, key+"= in ["+w.section+"]")
	}
}

// tooOld notes that the target's Podman lacks something that has no replacement.
func (w *writer) tooOld(o origin, since Version, what string) {
	w.problems = append(w.problems, problem{
		origin: o, code: diag.PodmanVersion,
		message: fmt.Sprintf("%s needs Podman %v; rendering for %v", what, since, w.target.Podman),
		hint:    fmt.Sprintf("render for Podman %v or newer, or leave the key out", since),
	})
}

func replacement(flag, value string) string {
	if strings.HasSuffix(flag, "=") || strings.HasSuffix(flag, ":") {
		return flag + value
	}
	return flag
}

// flag writes an argument of the podman command.
func (w *writer) flag(o origin, arg string) { w.assign(o, "PodmanArgs", words, arg) }

// runtimeVolume mounts a path in the manager's runtime directory; options begins with a colon.
// systemd names the directory (%t): that of a user is unknown before the unit runs.
func (w *writer) runtimeVolume(o origin, path, target, options string) {
	if w.target.Scope == units.System {
		w.put(o, "Volume", "/run/"+path+":"+target+options)
		return
	}
	w.assign(o, "Volume", runtimeLine, path+":"+target+options)
}

// exec writes a command line that systemd runs.
func (w *writer) exec(o origin, key string, args ...string) { w.assign(o, key, command, args...) }

func (w *writer) assign(o origin, key string, c class, values ...string) {
	a := assignment{section: w.section, key: key, class: c, first: len(w.values), count: len(values), origin: o, line: w.line + 1}
	start := w.buf.Len()
	w.buf.WriteString(key)
	w.buf.WriteByte('=')
	for i, v := range values {
		if i > 0 {
			w.buf.WriteByte(' ')
		}
		if !w.escaped(a, i, v) {
			w.buf.Truncate(start)
			return
		}
	}
	w.newline()
	w.values = append(w.values, values...)
	w.assignments = append(w.assignments, a)
}

// escaped appends one value, or notes why it can't be written.
func (w *writer) escaped(a assignment, i int, v string) bool {
	text, err := appendEscaped(w.buf.AvailableBuffer(), a.class, v)
	if err == nil {
		w.buf.Write(text)
		return true
	}
	o := a.origin
	if a.count > 1 && o.index < 0 {
		o.index = i
	}
	w.problems = append(w.problems, problem{
		origin: o, code: diag.Unrepresentable,
		message: fmt.Sprintf("%s can't be written into a unit file: %v", quoteShort(v), err),
	})
	return false
}

// reserveDigest writes the digest by which a container of this rendering differs from one of
// another: as a label for users, and as an annotation, which can be read without Podman while
// the container runs. finish fills in the values.
func (w *writer) reserveDigest() {
	for _, key := range []string{"Label", "Annotation"} {
		w.put(origin{index: -1}, key, digestLabel+strings.Repeat("0", digestLen))
		w.digestAt = append(w.digestAt, w.buf.Len()-1-digestLen)
	}
}

// digest is the checksum of what a running container has of the file: the section that Podman
// reads, how its image is built, and the [Service] directives that only a restart applies. It
// does not cover order, dependencies, restart limits and comments, and is the same for a key
// and its replacement.
func (w *writer) digest(section string) string {
	h := sha256.New()
	h.Write([]byte(w.image))
	for _, a := range w.assignments {
		switch a.section {
		case section:
		case "Service":
			if liveDirectives[a.key] || a.key == "ExecStartPre" && strings.TrimPrefix(w.values[a.first], "-") == prestartCommand {
				continue
			}
		default:
			continue
		}
		key, values := a.key, w.values[a.first:a.first+a.count]
		switch info := quadletKeys[a.section][a.key]; {
		case info.omit:
			continue
		case info.flag != "":
			key, values = "PodmanArgs", []string{replacement(info.flag, values[0])}
		}
		h.Write([]byte(a.section))
		h.Write([]byte{0})
		h.Write([]byte(key))
		for _, v := range values {
			h.Write([]byte{0})
			h.Write([]byte(v))
		}
		h.Write([]byte{'\n'})
	}
	return hex.EncodeToString(h.Sum(nil))[:digestLen]
}

// finish fills the digest in and checks the text against what was meant.
func (w *writer) finish(digest string) ([]byte, error) {
	text := bytes.Clone(w.buf.Bytes())
	for _, at := range w.digestAt {
		copy(text[at:], digest)
	}
	for i, v := range w.values {
		if len(w.digestAt) > 0 && strings.HasPrefix(v, digestLabel) {
			w.values[i] = digestLabel + digest
		}
	}
	return text, w.verify(text)
}

// verify parses the text again: it must hold exactly the sections, keys and
// values that were meant, in that order, and nothing else.
func (w *writer) verify(text []byte) error {
	rest, section, next := string(text), "", 0
	for rest != "" {
		var l string
		l, rest, _ = strings.Cut(rest, "\n")
		switch {
		case l == "" || l[0] == '#':
			continue
		case l[0] == '[':
			section = strings.Trim(l, "[]")
			continue
		}
		key, value, ok := strings.Cut(l, "=")
		if !ok || next == len(w.assignments) {
			return fmt.Errorf("the line %q was not meant", l)
		}
		a := w.assignments[next]
		next++
		if a.section != section || a.key != key {
			return fmt.Errorf("[%s] %s= stands where [%s] %s= was meant", section, key, a.section, a.key)
		}
		if err := w.verifyValues(a, value); err != nil {
			return fmt.Errorf("[%s] %s=: %w", section, key, err)
		}
	}
	if next != len(w.assignments) {
		return fmt.Errorf("%d lines are missing", len(w.assignments)-next)
	}
	return nil
}

func (w *writer) verifyValues(a assignment, text string) (err error) {
	for _, want := range w.values[a.first : a.first+a.count] {
		if text, err = matchEscaped(text, a.class, want); err != nil {
			return err
		}
	}
	if text != "" {
		return fmt.Errorf("%q follows the last value", text)
	}
	return nil
}

// quoteShort quotes a value for a message, cut to a readable length.
func quoteShort(v string) string {
	const most = 60
	if len(v) > most {
		return fmt.Sprintf("%+q…", v[:most])
	}
	return fmt.Sprintf("%+q", v)
}
