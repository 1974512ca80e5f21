// Package podmanrun owns the reading of the arguments of podman run and docker run: which key of
// a Compose service says the same as an argument.
//
// It decides nothing about an app: manifests/importer/compose does.
package podmanrun

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// source is the name of the command line in the report.
const source = "command-line"

// Import reads a command such as podman run -d nginx. fsys is the directory in which it would
// run.
func Import(fsys fs.FS, words []string, o compose.Options) *importer.Result {
	l := &line{service: &syntax.Node{Kind: syntax.MapNode}, secrets: &syntax.Node{Kind: syntax.MapNode}}
	l.split(words)
	if err := l.read(); err != nil {
		d := importer.NewDraft(o.Answers)
		d.Sources[source] = []byte(l.text)
		d.Report(importer.BadSource, err.at, "", "%s", err.message)
		return d.Abandon()
	}
	o.Name = first(l.name, path.Base(strings.SplitN(l.image, ":", 2)[0]))
	if o.Capabilities = "docker"; l.engine == "podman" {
		o.Capabilities = "podman"
	}
	tree := &syntax.Node{Kind: syntax.MapNode, Entries: []syntax.Entry{
		{Key: "services", At: l.words[0].at, Value: &syntax.Node{Kind: syntax.MapNode, Entries: []syntax.Entry{
			{Key: o.Name, At: l.words[0].at, Value: l.service},
		}}},
	}}
	if len(l.secrets.Entries) > 0 {
		tree.Entries = append(tree.Entries, syntax.Entry{Key: "secrets", At: l.words[0].at, Value: l.secrets})
	}
	return compose.ImportTree(fsys, tree, map[string][]byte{source: []byte(l.text)}, o)
}

func first(texts ...string) string {
	return texts[max(0, slices.IndexFunc(texts, func(t string) bool { return t != "" }))]
}

// word is one argument with its place in the command line.
type word struct {
	text string
	at   syntax.Position
}

// line is a command line while it is read.
type line struct {
	text  string
	words []word
	// next is the index of the word that is read next.
	next                int
	engine, name, image string
	service, secrets    *syntax.Node
}

// failure is why a command line can't be read.
type failure struct {
	at      syntax.Position
	message string
}

// split places the words in one line of text, with quotes where a shell needs them.
func (l *line) split(words []string) {
	var b strings.Builder
	for i, text := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		shown := strings.NewReplacer("\n", " ", "\r", " ").Replace(text)
		column := b.Len() + 1
		if text == "" || strings.ContainsAny(shown, " \t'\"\\$;&|<>()*?`") {
			shown = "'" + shown + "'"
			column++
		}
		b.WriteString(shown)
		l.words = append(l.words, word{text, syntax.Position{File: source, Line: 1, Column: column}})
	}
	l.text = b.String() + "\n"
}

// read reads the whole command.
func (l *line) read() *failure {
	for l.next < len(l.words) && l.words[l.next].text == "sudo" {
		l.next++
	}
	if l.next < len(l.words) {
		l.engine = path.Base(l.words[l.next].text)
		l.next++
	}
	if l.next < len(l.words) && l.words[l.next].text == "container" {
		l.next++
	}
	if l.engine != "podman" && l.engine != "docker" || l.next >= len(l.words) || l.words[l.next].text != "run" && l.words[l.next].text != "create" {
		return &failure{syntax.Position{File: source, Line: 1, Column: 1}, "the command has to begin with podman run or docker run"}
	}
	for l.next++; l.next < len(l.words); {
		w := l.words[l.next]
		l.next++
		switch {
		case w.text == "--":
			return l.program()
		case strings.HasPrefix(w.text, "--"):
			if err := l.long(w); err != nil {
				return err
			}
		case strings.HasPrefix(w.text, "-") && len(w.text) > 1:
			if err := l.short(w); err != nil {
				return err
			}
		default:
			l.next--
			return l.program()
		}
	}
	return l.program()
}

// program reads the image and its command.
func (l *line) program() *failure {
	if l.next >= len(l.words) {
		return &failure{l.words[len(l.words)-1].at, "the command names no image"}
	}
	image := l.words[l.next]
	l.image = image.text
	l.put("image", scalar(image))
	command := &syntax.Node{Kind: syntax.ListNode, At: image.at}
	for _, w := range l.words[l.next+1:] {
		command.Items = append(command.Items, scalar(w))
	}
	if len(command.Items) > 0 {
		command.At = command.Items[0].At
		l.put("command", command)
	}
	return nil
}

// long reads --name, --name=value or --name value.
func (l *line) long(w word) *failure {
	name, value, hasValue := strings.Cut(w.text[2:], "=")
	f := optionOf(name)
	switch {
	case f == nil:
		return l.unknown(w, "--"+name)
	case hasValue:
		w.at.Column += len(name) + 3
		w.text = value
	case f.form == isSwitch:
		w.text = "true"
	default:
		var err *failure
		if w, err = l.argument(w); err != nil {
			return err
		}
	}
	return l.say(f, w)
}

// short reads -x value, -xvalue, and switches that stand together.
func (l *line) short(w word) *failure {
	for i := 1; i < len(w.text); i++ {
		f := optionOf(w.text[i : i+1])
		if f == nil {
			return l.unknown(w, "-"+w.text[i:i+1])
		}
		if f.form == isSwitch {
			if err := l.say(f, word{"true", w.at}); err != nil {
				return err
			}
			continue
		}
		value := word{strings.TrimPrefix(w.text[i+1:], "="), w.at}
		value.at.Column += i + 1
		if value.text == "" {
			var err *failure
			if value, err = l.argument(w); err != nil {
				return err
			}
		}
		return l.say(f, value)
	}
	return nil
}

func (l *line) unknown(w word, name string) *failure {
	return &failure{w.at, fmt.Sprintf("%s is not known, and whether it takes a value: leave it out", diag.Quote(diag.Shorten(name)))}
}

// argument is the word behind a flag.
func (l *line) argument(w word) (word, *failure) {
	if l.next >= len(l.words) {
		return w, &failure{w.at, w.text + " needs a value"}
	}
	l.next++
	return l.words[l.next-1], nil
}

// scalar is a word as a value; the shell has replaced variables already.
func scalar(w word) *syntax.Node {
	return &syntax.Node{Kind: syntax.ScalarNode, Text: strings.ReplaceAll(w.text, "$", "$$"), At: w.at}
}

// put sets a key of the service; dots separate maps within maps.
func (l *line) put(key string, value *syntax.Node) { put(l.service, key, value) }

// Put sets a key of a tree; dots separate maps within maps.
func Put(n *syntax.Node, key string, value *syntax.Node) { put(n, key, value) }

// Add appends to a list of a tree.
func Add(n *syntax.Node, key string, value *syntax.Node) { (&line{service: n}).add(key, value) }

func put(n *syntax.Node, key string, value *syntax.Node) {
	key, rest, isDeep := strings.Cut(key, ".")
	if !isDeep {
		if i := n.Find(key); i >= 0 {
			n.Entries[i].Value = value
			return
		}
		n.Entries = append(n.Entries, syntax.Entry{Key: key, At: value.At, Value: value})
		return
	}
	if n.Get(key) == nil {
		n.Entries = append(n.Entries, syntax.Entry{Key: key, At: value.At, Value: &syntax.Node{Kind: syntax.MapNode, At: value.At}})
	}
	put(n.Get(key), rest, value)
}

// add appends to a list of the service.
func (l *line) add(key string, value *syntax.Node) {
	if l.service.Get(key) == nil {
		l.put(key, &syntax.Node{Kind: syntax.ListNode, At: value.At})
	}
	list := l.service.Get(key)
	list.Items = append(list.Items, value)
}
