package units

import (
	"cmp"
	"slices"
	"strings"
)

// What the text of a rendered file tells is read here and in ReadOwnership and ReadPrestart,
// and nowhere else. Every pass reads every file, and a file on the disk may be damaged:
// go-systemd's reader, which starts a goroutine a file and refuses a line of more than
// 2 KiB (v22.7.0), takes twenty times as long.

// Value is the first value of a key in a file that was rendered, empty where it has none.
func (f File) Value(key string) string {
	for _, value := range f.Values(key) {
		return value
	}
	return ""
}

// Values is all values of a key in a file that was rendered.
func (f File) Values(key string) []string {
	var list []string
	for line := range strings.Lines(string(f.Content)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			list = append(list, strings.ReplaceAll(value, "%%", "%"))
		}
	}
	return list
}

// Image is the image that a container file names, empty where Podman makes or pulls
// it by a unit of its own, and for another file.
func (f File) Image() string {
	image := f.Value("Image")
	if !strings.HasSuffix(f.Name, ".container") || strings.HasSuffix(image, ".build") || strings.HasSuffix(image, ".image") {
		return ""
	}
	return image
}

// With is the app with other files: those of an earlier rendering. Without any it has
// no parts. Which addresses a part looks up is not in its files, and stays.
func (a App) With(files Set) App {
	tracks := map[string][]string{}
	for _, p := range a.Parts {
		tracks[p.Service] = p.TracksAddressOf
	}
	a.Files, a.Parts = files, nil
	for _, f := range files {
		if service := ServiceOf(f.Name); service != "" {
			a.Parts = append(a.Parts, Part{Service: service, Digest: f.Digest, After: f.servicesOf(a.ID, "After"), TracksAddressOf: tracks[service]}.In(files, f))
		}
	}
	// The main service has the shortest name.
	slices.SortFunc(a.Parts, func(p, q Part) int {
		return cmp.Or(cmp.Compare(len(p.Service), len(q.Service)), cmp.Compare(p.Service, q.Service))
	})
	return a
}

// In is the part with what only the rendered files of its app tell.
func (p Part) In(files Set, f File) Part {
	p.Lends = files.lends(p.Service)
	p.File, p.PartOf = f.Name, f.servicesOf(f.App, "PartOf")
	return p
}

// lends reports whether one of some rendered files shares the network of a service.
func (s Set) lends(service string) bool {
	return slices.ContainsFunc(s, func(f File) bool {
		return ServiceOf(f.Name) != "" && f.Value("Network") == "container:"+ContainerOf(service)
	})
}

// servicesOf is the services of an app that a key of a rendered file names.
func (f File) servicesOf(app, key string) []string {
	var list []string
	for _, names := range f.Values(key) {
		for name := range strings.FieldsSeq(names) {
			if AppOf(name) == app {
				list = append(list, name)
			}
		}
	}
	return list
}

// AsRendered is an app as far as its rendered files tell: not what it needs and follows,
// nor how its secrets are made.
func AsRendered(id string, files Set) App {
	app := App{ID: id}.With(files)
	if len(app.Parts) > 0 {
		main, _ := files.Find(app.Parts[0].File)
		mark, _ := ReadOwnership(main.Content)
		app.ManifestDigest, app.Enabled = mark.ManifestDigest, main.Value("WantedBy") != ""
	}
	return app
}
