package compose

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// mount is one entry of `volumes`.
type mount struct {
	item
	// kind is volume, bind or tmpfs.
	kind, source, target string
	// subpath is the directory of a volume that is mounted instead of the whole.
	subpath    string
	isReadOnly bool
	relabel    string
	doesChown  bool
}

func (s *service) mounts(n *syntax.Node, key string) {
	for _, it := range s.items(n, key) {
		m, read := mount{item: it}, s.shortMount
		if it.node.Kind == syntax.MapNode {
			read = s.longMount
		}
		if !read(&m) {
			continue
		}
		if m.target = path.Clean(m.target); !fitsContainer(m.target) {
			s.Report(importer.BadSourceValue, it.at, it.key, "%s is no path in the container", diag.Quote(diag.Shorten(m.target)))
			continue
		}
		s.mount(m)
	}
}

// shortMount reads [SOURCE:]TARGET[:OPTIONS].
func (s *service) shortMount(m *mount) bool {
	text, ok := s.word(m.item, m.key)
	parts := strings.SplitN(text, ":", 3)
	switch {
	case !ok || s.isUnset(m.node):
		return false
	case len(parts) == 1:
		m.target = parts[0]
	default:
		m.source, m.target = parts[0], parts[1]
	}
	m.kind = kindOf(m.source)
	if len(parts) == 3 {
		for option := range strings.SplitSeq(parts[2], ",") {
			s.mountOption(m, option)
		}
	}
	return true
}

func kindOf(source string) string {
	if source != "" && strings.ContainsAny(source[:1], "./~") {
		return "bind"
	}
	return "volume"
}

// mountOption reads one word behind the target.
func (s *service) mountOption(m *mount, option string) {
	switch option {
	case "ro":
		m.isReadOnly = true
	case "z":
		m.relabel = "shared"
	case "Z":
		m.relabel = "private"
	case "U":
		m.doesChown = true
	case "rw", "", "cached", "delegated", "consistent":
	default:
		s.Report(importer.MountOption, m.at, m.key, "the option %s of the mount is left out", diag.Quote(diag.Shorten(option)))
	}
}

// longMount reads a mount that is a map.
func (s *service) longMount(m *mount) bool {
	for _, e := range m.node.Entries {
		key := m.key + "." + e.Key
		switch e.Key {
		case "type":
			m.kind = s.text(e.Value, key)
		case "source":
			m.source = s.text(e.Value, key)
		case "target":
			m.target = s.text(e.Value, key)
		case "read_only":
			m.isReadOnly = s.isTrue(e.Value, key)
		case "bind", "volume", "tmpfs":
			s.mountOptions(m, e.Value, key)
		case "consistency":
		default:
			s.Report(importer.MountOption, e.At, key, "%s of the mount is left out", e.Key)
		}
	}
	switch m.kind {
	case "volume", "bind", "tmpfs":
		return true
	}
	s.Report(importer.MountKind, m.at, m.key, "a mount of the type %s can't be said", diag.Quote(diag.Shorten(m.kind)))
	return false
}

// mountOptions reads the options of one type of mount.
func (s *service) mountOptions(m *mount, n *syntax.Node, key string) {
	for _, e := range n.Entries {
		here := key + "." + e.Key
		switch e.Key {
		case "selinux":
			s.mountOption(m, s.text(e.Value, here))
		case "create_host_path", "size", "mode":
		case "subpath":
			m.subpath = path.Clean(s.text(e.Value, here))
			if !fitsSubpath(m.subpath) {
				s.Report(importer.BadSourceValue, e.At, here, "%s is no path within a volume", diag.Quote(diag.Shorten(m.subpath)))
				m.subpath = ""
			}
		default:
			s.Report(importer.MountOption, e.At, here, "%s of the mount is left out", e.Key)
		}
	}
}

// clocks is files by which containers get the time zone of the host.
var clocks = []string{"/etc/localtime", "/etc/timezone"}

// mount decides what a mount becomes.
func (s *service) mount(m mount) {
	answer, isAnswered := s.Answer("mount." + m.source)
	isPath := isAnswered && path.IsAbs(answer)
	switch {
	case s.foreignVolume(m):
	case m.kind == "tmpfs":
		s.addTmpfs(m)
	case m.kind == "bind" && isEngineSocket(m.source) && !isPath:
		s.mountEngine(m)
	case m.kind == "bind" && slices.Contains(clocks, m.source) && !isAnswered:
		s.c.Timezone = "local"
		s.Note(s.path+".timezone", m.at)
	case m.source == "":
		s.addVolume(m, s.volumeOf(path.Base(m.target)+"@"+s.name, m.target))
	case isPath || m.kind == "bind" && path.IsAbs(m.source) && answer != "volume":
		s.hostPath(m, first(answer, m.source))
	case m.kind == "volume":
		s.addVolume(m, s.named(m.source))
	case answer == "volume":
		s.hostPathQuestion(m)
		s.addVolume(m, s.volumeOf(m.source, m.source))
	default:
		s.beside(m)
	}
}

// hostPath mounts a file or directory of the host.
func (s *service) hostPath(m mount, source string) {
	source = path.Join(source, m.subpath)
	if !fitsPath(source) {
		s.Report(importer.HostPathName, m.at, m.key, "%s is left out: a manifest does not accept the path", diag.Quote(diag.Shorten(source)))
		return
	}
	s.hostPathQuestion(m)
	s.c.Volumes = append(s.c.Volumes, manifests.Volume{Path: source, Target: m.target, ReadOnly: m.isReadOnly, Relabel: m.relabel, Chown: m.doesChown})
}

func (s *service) hostPathQuestion(m mount) {
	s.Ask(importer.Question{
		Code: importer.HostPath, Key: "mount." + m.source, Text: fmt.Sprintf("%s of the host is mounted", m.source), Default: m.source, HasDefault: true,
	}.From(m.at, m.key))
}

// addVolume mounts a named volume.
func (s *service) addVolume(m mount, name string) {
	s.c.Volumes = append(s.c.Volumes, manifests.Volume{Name: name, Subpath: m.subpath, Target: m.target, ReadOnly: m.isReadOnly, Chown: m.doesChown})
	s.Note(fmt.Sprintf("%s.volumes[%d]", s.path, len(s.c.Volumes)-1), m.at)
}

// volumeOf is the name of the volume that stands for a source, like is what it is called after.
func (p *project) volumeOf(source, like string) string {
	if name, ok := p.volumes[source]; ok {
		return name
	}
	taken := map[string]bool{}
	for _, name := range p.volumes {
		taken[name] = true
	}
	base := importer.IDOf(strings.Trim(like, "./"))
	name := base
	for i := 2; taken[name]; i++ {
		name = fmt.Sprintf("%s-%d", base[:min(len(base), 40)], i)
	}
	p.volumes[source] = name
	return name
}

// beside is a file or directory that lies beside the source.
func (s *service) beside(m mount) {
	source, ok := inside(m.source)
	if !ok || strings.HasPrefix(m.source, "~") {
		s.Report(importer.OutsideDirectory, m.at, m.key, "%s is left out: it is outside of the directory that is imported", m.source)
		return
	}
	switch info, err := fs.Stat(s.fsys, source); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		s.Report(importer.OutsideDirectory, m.at, m.key, "%s is left out: %v", m.source, manifests.CauseOf(err))
		return
	case err == nil && !info.IsDir():
		s.file(m, source)
		return
	}
	content := s.contentOf(source)
	if len(content) > 0 && m.isReadOnly && len(content) <= mostMounted && s.areTexts(content) {
		for _, name := range content {
			inner := m
			inner.target = path.Join(m.target, strings.TrimPrefix(strings.TrimPrefix(name, source), "/"))
			s.addTemplate(inner, name)
		}
		s.Report(importer.DirectoryFiles, m.at, m.key, "the %d files of %s are mounted one by one", len(content), m.source)
		return
	}
	name := s.volumeOf(source, source)
	if !s.seed(name, source, content) {
		s.Report(importer.InitialContent, m.at, m.key, "%s has content, and the new volume does not get it", m.source)
	} else if s.Platform == nil { // below the directory of a platform's app all is the app's own
		s.Ask(importer.Question{
			Code: importer.NewVolume, Key: "mount." + m.source, Text: fmt.Sprintf("%s becomes a new volume", m.source), Default: "volume", HasDefault: true,
		}.From(m.at, m.key))
	}
	s.addVolume(m, name)
}

// seed has a volume begin with the files of a directory. It reports whether it can.
func (s *service) seed(volume, dir string, content []string) bool {
	if _, isDone := s.Seeds[volume]; isDone || len(content) == 0 {
		return true
	}
	size, count := 0, len(content)
	for _, other := range s.Seeds {
		count += len(other)
		for _, f := range other {
			size += len(f.Data)
		}
	}
	files := make([]manifests.SeedFile, 0, len(content))
	for _, name := range content {
		info, err := fs.Stat(s.fsys, name)
		if err != nil || !info.Mode().IsRegular() || size+int(min(info.Size(), manifests.MaxSeed+1)) > manifests.MaxSeed || count > manifests.MaxSeedFiles {
			return false
		}
		data, err := fs.ReadFile(s.fsys, name)
		if err != nil {
			return false
		}
		size += len(data)
		files = append(files, manifests.SeedFile{Path: strings.TrimPrefix(strings.TrimPrefix(name, dir), "/"), IsExecutable: info.Mode()&0o100 != 0, Data: data})
	}
	s.Seeds[volume] = files
	if s.App.Volumes == nil {
		s.App.Volumes = map[string]*manifests.VolumeOptions{}
	}
	s.App.Volumes[volume] = &manifests.VolumeOptions{Seed: map[string]string{".": volume}} // one beside the source has no other options
	return true
}

// file mounts a file that lies beside the source, as a template.
func (s *service) file(m mount, source string) {
	if !s.areTexts([]string{source}) {
		s.Report(importer.BinaryFile, m.at, m.key, "%s is not text, or too large", m.source)
		return
	}
	s.addTemplate(m, source)
	if !m.isReadOnly {
		s.Report(importer.FileReadOnly, m.at, m.key, "%s is mounted read-only", m.source)
	}
}

const (
	// mostMounted is how many files of a directory are mounted one by one.
	mostMounted = 20
	// mostWalked bounds how many files of a directory are counted.
	mostWalked = 1000
)

// contentOf is the files below a directory, up to a number that is too many anyway.
func (p *project) contentOf(dir string) (files []string) {
	_ = fs.WalkDir(p.fsys, dir, func(name string, e fs.DirEntry, err error) error { // what can't be read is no content
		switch {
		case err != nil:
			return fs.SkipDir
		case len(files) > mostWalked:
			return fs.SkipAll
		case !e.IsDir() && e.Name() != ".gitkeep" && e.Name() != ".gitignore":
			files = append(files, name)
		}
		return nil
	})
	return files
}

// topVolumes reads the options of named volumes.
func (p *project) topVolumes(n *syntax.Node, key string) {
	for _, e := range n.Entries {
		if e.Value.Kind != syntax.MapNode {
			continue
		}
		for _, o := range e.Value.Entries {
			p.volumeOption(e.Key, o, key+"."+e.Key+"."+o.Key)
		}
	}
}

func (p *project) volumeOption(volume string, o syntax.Entry, key string) {
	switch o.Key {
	case "driver":
		if driver := p.text(o.Value, key); driver != "local" && driver != "" {
			p.Report(importer.VolumeDriver, o.At, key, "the volume %s has the driver %s; it becomes a directory of this machine", volume, driver)
		}
	case "driver_opts":
		if p.deviceOf(volume) == "" {
			p.Report(importer.VolumeDriver, o.At, key, "the volume %s is mounted from elsewhere; it becomes a directory of this machine", volume)
		}
	case "external", "name", "labels": // read where the volume is used
	default:
		if !strings.HasPrefix(o.Key, "x-") {
			p.Report(importer.UnknownKey, o.At, key, "Compose has no key %s here", o.Key)
		}
	}
}

// deviceOf is the directory of the host that a volume of the local driver is bound to.
func (p *project) deviceOf(volume string) string {
	o := p.tree.Get("volumes").Get(volume).Get("driver_opts")
	if o.Get("type") == nil || o.Get("device") == nil {
		return ""
	}
	device := p.quiet(o.Get("device"))
	if p.quiet(o.Get("type")) != "none" || !path.IsAbs(device) {
		return ""
	}
	return path.Clean(device)
}

// named is the app's name of a volume of the file. Its options are written with the first use.
func (p *project) named(volume string) string {
	_, isKnown := p.volumes["volume:"+volume]
	name := p.volumeOf("volume:"+volume, volume)
	declared := p.tree.Get("volumes").Get(volume)
	if isKnown || declared == nil {
		return name
	}
	o := &manifests.VolumeOptions{}
	key := "volumes." + volume
	if device := p.deviceOf(volume); device != "" {
		o.Existing = device
		p.Ask(importer.Question{Code: importer.HostPath, Key: "mount." + volume, Text: device + " of the host is mounted", Default: device, HasDefault: true}.From(declared.At, key))
	}
	if external := declared.Get("external"); external != nil && (external.Kind == syntax.MapNode || p.text(external, key) == "true") {
		o.Existing = volume
		for _, from := range []*syntax.Node{external.Get("name"), declared.Get("name")} {
			if from != nil {
				o.Existing = p.text(from, key)
			}
		}
		o.Existing = p.Ask(importer.Question{Code: importer.ExistingVolume, Key: "mount." + volume, Text: "the volume " + o.Existing + " has to exist", Default: o.Existing, HasDefault: true}.From(external.At, key))
		if o.Existing == "volume" {
			o.Existing = ""
		}
	}
	if labels := declared.Get("labels"); labels != nil && o.Existing == "" {
		p.volumeLabels(o, labels, key+".labels")
	}
	if o.Existing != "" || len(o.Labels) > 0 {
		if p.App.Volumes == nil {
			p.App.Volumes = map[string]*manifests.VolumeOptions{}
		}
		p.App.Volumes[name] = o
		p.Note("app.volumes."+name, declared.At)
	}
	return name
}

func (p *project) volumeLabels(o *manifests.VolumeOptions, n *syntax.Node, key string) {
	o.Labels = map[string]string{}
	for _, e := range asMap(n, "=").Entries {
		o.Labels[e.Key] = p.text(e.Value, key)
	}
}
