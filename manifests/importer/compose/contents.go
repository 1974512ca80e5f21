package compose

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// maxTemplate is the most bytes of a file that becomes a template, maxTemplates those of all.
const (
	maxTemplate  = 128 << 10
	maxTemplates = 512 << 10
)

// areTexts reports whether files can be templates.
func (p *project) areTexts(files []string) bool {
	sum := 0
	for _, t := range p.Templates {
		sum += len(t)
	}
	for _, name := range files {
		data, ok := p.textOf(name)
		if sum += len(data); !ok || sum > maxTemplates {
			return false
		}
	}
	return true
}

// textOf is the content of a file as a template.
func (p *project) textOf(name string) (text []byte, ok bool) {
	info, err := fs.Stat(p.fsys, name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxTemplate {
		return nil, false
	}
	data, err := fs.ReadFile(p.fsys, name)
	if err != nil || !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, false
	}
	return importer.Template(data), true
}

// addTemplate mounts a file beside the source as a template.
func (s *service) addTemplate(m mount, source string) {
	text, _ := s.textOf(source)
	mode := manifests.Mode(0o444)
	if info, err := fs.Stat(s.fsys, source); err == nil && info.Mode()&0o111 != 0 {
		mode = 0o555
	}
	s.mountTemplate(source, text, m.target, mode, m.item)
}

func (s *service) mountTemplate(source string, text []byte, target string, mode manifests.Mode, it item) {
	name := s.templateName(source, text)
	s.Templates[name] = text
	s.c.Files = append(s.c.Files, manifests.File{Template: name, Target: target, Mode: mode})
	s.Note(fmt.Sprintf("%s.files[%d]", s.path, len(s.c.Files)-1), it.at)
}

// templateName is a file name for a template, the same for the same content.
func (p *project) templateName(source string, text []byte) string {
	base := strings.Trim(strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return r
		}
		return '-'
	}, path.Base(source)), ".-")
	base = first(base, "file")
	base = base[max(0, len(base)-100):]
	name := base
	for i := 2; p.Templates[name] != nil && !bytes.Equal(p.Templates[name], text); i++ {
		name = strconv.Itoa(i) + "-" + base
	}
	return name
}

// grantOf is a config or secret that a service uses.
type grantOf struct {
	item
	source, target string
	mode           manifests.Mode
	uid, gid       *int
}

// grants reads the entries of `configs` or `secrets` of a service.
func (s *service) grants(n *syntax.Node, key string) (list []grantOf) {
	for _, it := range s.items(n, key) {
		g := grantOf{item: it, mode: 0o444}
		if it.node.Kind != syntax.MapNode {
			g.source = s.text(it.node, it.key)
		}
		for _, e := range it.node.Entries {
			s.grantField(&g, e, it.key+"."+e.Key)
		}
		list = append(list, g)
	}
	return list
}

func (s *service) grantField(g *grantOf, e syntax.Entry, key string) {
	text := s.text(e.Value, key)
	number, err := strconv.Atoi(text)
	switch e.Key {
	case "source":
		g.source = text
	case "target":
		g.target = text
	case "uid":
		g.uid = &number
	case "gid":
		g.gid = &number
	case "mode":
		var mode uint64
		mode, err = strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 12)
		g.mode = manifests.Mode(mode)
	default:
		s.Report(importer.UnknownKey, e.At, key, "Compose has no key %s here", e.Key)
	}
	if err != nil && (e.Key == "uid" || e.Key == "gid" || e.Key == "mode") {
		s.Report(importer.BadSourceValue, e.At, key, "%s must be a number, found %s", key, diag.Quote(diag.Shorten(text)))
		g.uid, g.gid, g.mode = nil, nil, 0o444
	}
}

// configs mounts configs as templates.
func (s *service) configs(n *syntax.Node, key string) {
	for _, g := range s.grants(n, key) {
		target := first(g.target, "/"+g.source)
		text, file, ok := s.content("configs", g)
		if !ok {
			continue
		}
		if !path.IsAbs(target) {
			target = "/" + target
		}
		s.mountTemplate(first(file, g.source), importer.Template([]byte(text)), path.Clean(target), g.mode, g.item)
	}
}

// secretMounts mounts secrets as files. Their values never get into the manifest.
func (s *service) secretMounts(n *syntax.Node, key string) {
	for _, g := range s.grants(n, key) {
		text, _, ok := s.content("secrets", g)
		if !ok {
			continue
		}
		name := importer.SecretName(g.source)
		s.declareSecret(name, item{name: g.source, node: g.node, at: g.at, key: g.key}, text != "")
		target := first(g.target, g.source)
		if !path.IsAbs(target) {
			target = "/run/secrets/" + target
		}
		if target = path.Clean(target); target == "/run/secrets/"+name {
			target = ""
		}
		s.c.Secrets = append(s.c.Secrets, manifests.SecretMount{Name: name, Target: target, Mode: g.mode, UID: g.uid, GID: g.gid})
	}
}

// content is the text of a config or secret of the file. A secret in a file need not
// exist: its value is supplied.
func (s *service) content(kind string, g grantOf) (text, file string, ok bool) {
	d := s.tree.Get(kind).Get(g.source)
	key := kind + "." + g.source
	if d == nil || d.Kind != syntax.MapNode {
		s.Report(importer.BadSourceValue, g.at, g.key, "%s is not declared in %s", diag.Quote(diag.Shorten(g.source)), kind)
		return "", "", false
	}
	for _, e := range d.Entries {
		if !slices.Contains([]string{"file", "content", "environment", "external", "name", "labels"}, e.Key) && !strings.HasPrefix(e.Key, "x-") {
			s.Report(importer.ExternalSecret, e.At, key+"."+e.Key, "%s is left out: only a cluster reads it", e.Key)
		}
	}
	switch {
	case d.Get("external") != nil && s.quiet(d.Get("external")) != "false":
		s.Report(importer.ExternalSecret, d.Get("external").At, key, "%s is stored elsewhere", g.source)
	case d.Get("content") != nil:
		text, ok = s.word(item{node: d.Get("content"), at: d.Get("content").At, key: key + ".content"}, key+".content")
		return text, "", ok
	case d.Get("environment") != nil:
		return s.ofVariable(kind, d.Get("environment"), key+".environment")
	case d.Get("file") != nil && kind == "secrets":
		return "supplied", s.text(d.Get("file"), key+".file"), true
	case d.Get("file") != nil:
		return s.ofFile(d.Get("file"), key+".file")
	default:
		s.Report(importer.BadSourceValue, d.At, key, "%s says no source of its content", g.source)
	}
	return "", "", false
}

func (s *service) ofVariable(kind string, n *syntax.Node, key string) (text, file string, ok bool) {
	name := s.text(n, key)
	v, isSet := s.lookup(name, n.At)
	if !isSet && kind == "configs" {
		s.Ask(importer.Question{Code: importer.UnsetVariable, Key: "variable." + name, Text: fmt.Sprintf("the variable %s has no value", name)}.From(n.At, key))
	}
	if kind == "secrets" || isSecretName(name) {
		s.Mask(v.at, v.value)
	}
	if kind == "configs" && isSecretName(name) {
		s.Report(importer.SecretInValue, n.At, key, "the config is left out: it is the secret %s", importer.SecretName(name))
		return "", "", false
	}
	return v.value, "", true
}

func (s *service) ofFile(n *syntax.Node, key string) (text, file string, ok bool) {
	name := s.text(n, key)
	clean, isInside := inside(name)
	if !isInside {
		s.Report(importer.OutsideDirectory, n.At, key, "%s is outside of the directory that is imported", name)
		return "", "", false
	}
	if _, err := fs.Stat(s.fsys, clean); err != nil {
		s.Report(importer.MissingFile, n.At, key, "%s can't be read: %v", name, manifests.CauseOf(err))
		return "", "", false
	}
	if !s.areTexts([]string{clean}) {
		s.Report(importer.BinaryFile, n.At, key, "%s is not text, or too large", name)
		return "", "", false
	}
	data, err := fs.ReadFile(s.fsys, clean)
	return string(data), clean, err == nil
}
