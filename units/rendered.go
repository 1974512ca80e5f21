package units

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// This file, ReadOwnership and ReadPrestart are the only readers of rendered files. Every pass
// reads every file, and a file on the disk may be damaged: go-systemd's reader, which starts a
// goroutine for each file and refuses a line of more than 2 KiB (v22.7.0), takes twenty times as
// long.

// Value is the first value of a key in a rendered file, empty if there is none.
func (f File) Value(key string) string {
	for _, value := range f.Values(key) {
		return value
	}
	return ""
}

// Values is all values of a key in a rendered file.
func (f File) Values(key string) []string {
	var list []string
	prefix := []byte(key + "=")
	for line := range bytes.Lines(f.Content) { // no copy of the content: a pass reads many keys of every file
		if value, ok := bytes.CutPrefix(bytes.TrimSpace(line), prefix); ok {
			list = append(list, strings.ReplaceAll(string(value), "%%", "%"))
		}
	}
	return list
}

// Image is the image that a container file names. It is empty if a unit of its own builds or pulls
// the image, and for any other file.
func (f File) Image() string {
	image := f.Value("Image")
	if !strings.HasSuffix(f.Name, ".container") || strings.HasSuffix(image, ".build") || strings.HasSuffix(image, ".image") {
		return ""
	}
	return image
}

// With is the app with the files of an earlier rendering, without any parts if there are no files.
// TracksAddressOf stays, because the files do not record it.
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

// In adds to a part what the rendered files of its app tell.
func (p Part) In(files Set, f File) Part {
	p.Lends = files.lends(p.Service)
	p.File, p.PartOf = f.Name, f.servicesOf(f.App, "PartOf")
	return p
}

// lends reports whether a file of the set shares the network of a service.
func (s Set) lends(service string) bool {
	return slices.ContainsFunc(s, func(f File) bool {
		return ServiceOf(f.Name) != "" && f.Value("Network") == "container:"+ContainerOf(service)
	})
}

// servicesOf is the services of an app in the values of a key of a rendered file.
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

// AsRendered is an app as far as its rendered files tell. They do not record which apps it needs
// and follows, nor how its secrets are created.
func AsRendered(id string, files Set) App {
	app := App{ID: id}.With(files)
	if len(app.Parts) > 0 {
		main, _ := files.Find(app.Parts[0].File)
		mark, _ := ReadOwnership(main.Content)
		app.ManifestDigest, app.Enabled = mark.ManifestDigest, main.Value("WantedBy") != ""
	}
	return app
}
