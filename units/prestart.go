package units

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"
)

// PrestartSuffix is the suffix of a recipe, which says what a part needs before it starts. Podman
// ignores such files. They are beside the Quadlet files so that they are written, removed and
// rolled back with them.
const PrestartSuffix = ".recipe"

// IsPrestart reports whether a file is a recipe, and not a Quadlet file.
func IsPrestart(file string) bool { return strings.HasSuffix(file, PrestartSuffix) }

// Prestart is what a part needs before it starts, complete without the manifest and without other
// apps. It holds no secret values.
type Prestart struct {
	// Data is the data of the templates.
	Data json.RawMessage
	// Files is the configuration files.
	Files []PrestartFile
	// Secrets is the full names of the secrets that the container mounts.
	Secrets []string
	// Composed is the secrets that archgen makes before the start, for variables of the container.
	Composed []ComposedSecret
	// Watch is files of other apps that the container mounts and reads when it starts.
	Watch []VolumeFile
	// Facts is what the unit names by variables of its environment, and Podman and Composed by
	// their marks: what only the machine knows.
	Facts []Fact
	// Follow is the containers whose addresses the part looks up only when it starts.
	Follow []string
	// Reload is the signal on which a running container reads the files with Reload again. It is
	// empty if there are none.
	Reload string
	// Steps is the prestart steps, in order.
	Steps []Step
	// Once is the commands that run once in the started container, in order.
	Once []Once
	// Volumes is the named volumes of the part whose owner is set while they are new.
	Volumes []NewVolumes
	// Seeds is the initial content of new volumes, sorted by volume and path.
	Seeds []Seed
	// Format is the formats of the app's data. It is zero if the manifest names none.
	Format DataFormat
	// Image is the part's image, and Podman the arguments of podman run with which a command finds
	// the same mounts and environment as the part's program.
	Image  string
	Podman []string
}

// IsConfigured reports whether something beside the unit file determines how the container starts:
// files, secrets, or what it watches.
func (r Prestart) IsConfigured() bool {
	return len(r.Files)+len(r.Secrets)+len(r.Composed)+len(r.Facts)+len(r.Watch)+len(r.Follow) > 0
}

// Fact is a value that only the machine knows, and only when the container starts.
type Fact struct {
	// Variable is the environment variable of the unit that has the value.
	Variable string `json:"variable"`
	// Name is memory (in MiB), cores, address (in the local network), subnet or file.
	Name string `json:"name"`
	// Network is the network of Podman that the subnet is of.
	Network string `json:"network,omitempty"`
	// File is the file whose first line is the value.
	File *VolumeFile `json:"file,omitempty"`
	// Default is the value where the machine has none.
	Default string `json:"default,omitempty"`
}

// FactsFile is the file with the variables of the facts, beside the configuration files of a
// container. systemd reads it before it starts the container.
const FactsFile = ".facts"

// Mark is what stands for the value in a text of the recipe. It is no text of a manifest.
func (f Fact) Mark() string { return "\uFDD1" + f.Variable + "\uFDD2" }

// ComposedSecret is a secret of Podman whose value is made of pieces: the value of an environment
// variable that contains secrets.
type ComposedSecret struct {
	// Name is the secret's name in Podman, Variable that of the environment variable.
	Name     string        `json:"name"`
	Variable string        `json:"variable"`
	Pieces   []SecretPiece `json:"pieces"`
}

// SecretPiece is a text, or the full name of a secret whose value stands there.
type SecretPiece struct {
	Text   string `json:"text,omitempty"`
	Secret string `json:"secret,omitempty"`
}

// NewVolumes is named volumes that belong to the user of one container: the first one that writes
// to them.
type NewVolumes struct {
	// Image and Podman create a container with that user.
	Image  string   `json:"image"`
	Podman []string `json:"podman,omitempty"`
	// IsNamed: the manifest names the user. If only the image names it and it is root, the program
	// may switch to another user, so the owner is Podman's choice.
	IsNamed bool        `json:"named,omitempty"`
	List    []NewVolume `json:"list"`
}

// NewVolume is a volume, and the labels that it is created with if it does not exist.
type NewVolume struct {
	Name   string   `json:"name"`
	Target string   `json:"target"`
	Labels []string `json:"labels,omitempty"`
	// IsOwn: only this part mounts the volume.
	IsOwn bool `json:"own,omitempty"`
}

// Seed is a file that a new volume gets once. It belongs to the container's user.
type Seed struct {
	// Volume is the name of the volume, and Path the path in it.
	Volume string `json:"volume"`
	Path   string `json:"path"`
	Mode   uint32 `json:"mode"`
	// Content is base64 in JSON: it may be any bytes.
	Content []byte `json:"content"`
}

// SeedOf is the initial content of a volume.
func (r Prestart) SeedOf(volume string) (list []Seed) {
	for _, s := range r.Seeds {
		if s.Volume == volume {
			list = append(list, s)
		}
	}
	return list
}

// ConfigDigests identifies the configuration of a part: Config covers rendered files and mounted
// secrets, Watched the files of other apps and the containers that the part follows. Reloadable
// covers the rendered files that a running container can read again, which Config does not; it is
// empty if there are none.
type ConfigDigests struct{ Config, Watched, Reloadable string }

// PrestartFile is a configuration file.
type PrestartFile struct {
	Name     string `json:"name"`
	Mode     uint32 `json:"mode"`
	Template string `json:"template"`
	// Source is the file that the template was read from.
	Source string `json:"source"`
	// Reload: a running container can read it again.
	Reload bool `json:"reload,omitempty"`
}

// IsReloadable reports whether a running container can read a file again.
func (r Prestart) IsReloadable(name string) bool {
	isNot := func(f PrestartFile) bool { return f.Name == name && !f.Reload }
	return r.Reload != "" && !slices.ContainsFunc(r.Files, isNot)
}

// VolumeFile is a file or directory in a volume. The volume is Podman's name of it, or a directory
// of the host.
type VolumeFile struct {
	Volume string `json:"volume"`
	Path   string `json:"path"`
}

// Step is one prestart step.
type Step struct {
	EnsureDir *EnsureDir `json:"ensure_dir,omitempty"`
	// The step waits for File, for a connection to Address, or for Service to reach Level:
	// started, serving or synced.
	File    *VolumeFile `json:"file,omitempty"`
	Address string      `json:"address,omitempty"`
	Service string      `json:"service,omitempty"`
	Level   string      `json:"level,omitempty"`
	// Run is a command in the part's image. With Migrate, it runs once for that version.
	Run     []string `json:"run,omitempty"`
	Migrate string   `json:"migrate,omitempty"`
	// Seconds is the timeout of the step.
	Seconds int `json:"seconds"`
}

// Once is a command that runs once in the started container.
type Once struct {
	// Name is that under which it is recorded.
	Name string   `json:"name"`
	Run  []string `json:"run"`
	// Seconds is the timeout of the command.
	Seconds int `json:"seconds"`
}

// EnsureDir is a directory that the step creates, with ids as in the container.
type EnsureDir struct {
	VolumeFile
	// IsKept: what exists keeps its owner and mode, and may be a file. A new directory with the
	// ids -1 gets the owner of the directory that it is in.
	IsKept bool   `json:"kept,omitempty"`
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
	Mode   uint32 `json:"mode"`
}

const recipeSection = "Recipe"

// Text is the section of a recipe: one line of JSON for each value.
func (r Prestart) Text() (string, error) {
	var options []*unit.UnitOption
	var err error
	put := func(key string, v any) {
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		err = errors.Join(err, e.Encode(v))
		options = append(options, unit.NewUnitOption(recipeSection, key, strings.TrimSuffix(text.String(), "\n")))
	}
	if r.Data != nil {
		put("Data", r.Data)
	}
	for _, f := range r.Files {
		put("File", f)
	}
	if r.Reload != "" {
		put("Reload", r.Reload)
	}
	for _, s := range r.Secrets {
		put("Secret", s)
	}
	for _, c := range r.Composed {
		put("Composed", c)
	}
	for _, f := range r.Facts {
		put("Fact", f)
	}
	for _, w := range r.Watch {
		put("Watch", w)
	}
	for _, f := range r.Follow {
		put("Follow", f)
	}
	for _, s := range r.Steps {
		put("Step", s)
	}
	for _, o := range r.Once {
		put("Once", o)
	}
	for _, v := range r.Volumes {
		put("NewVolumes", v)
	}
	for _, s := range r.Seeds {
		put("Seed", s)
	}
	if r.Format != (DataFormat{}) {
		put("DataFormat", r.Format)
	}
	if r.Image != "" {
		put("Image", r.Image)
		put("Podman", r.Podman)
	}
	text, readErr := io.ReadAll(unit.Serialize(options))
	return string(text), errors.Join(err, readErr)
}

// ReadPrestart reads a recipe. It refuses unknown keys: an app must not start without a prestart
// step that this version of archgen does not support.
func ReadPrestart(content []byte) (Prestart, error) {
	var r Prestart
	for key, value := range recipeValues(content) {
		if err := r.set(string(key), value); err != nil {
			return r, fmt.Errorf("reading %s= of a recipe: %w; archgen apply rewrites it", key, err)
		}
	}
	return r, nil
}

// inert is the keys of a recipe that don't make a container configured.
var inert = map[string]bool{"Data": true, "Step": true, "Once": true, "NewVolumes": true, "Seed": true, "DataFormat": true, "Reload": true, "Image": true, "Podman": true}

// MayBeConfigured reports whether IsConfigured may be true of a recipe. It reads no value: a pass asks
// it about each app.
func MayBeConfigured(content []byte) bool {
	for key := range recipeValues(content) {
		if !inert[string(key)] {
			return true
		}
	}
	return false
}

// recipeValues yields the keys and values of the section of a recipe.
func recipeValues(content []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		inside := false
		for line := range bytes.Lines(content) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			key, value, isValue := bytes.Cut(line, []byte("="))
			switch {
			case bytes.HasPrefix(line, []byte("[")):
				inside = string(line) == "["+recipeSection+"]"
			case inside && isValue && !yield(key, value):
				return
			}
		}
	}
}

func (r *Prestart) set(key string, value []byte) error {
	switch key {
	case "Data":
		return json.Unmarshal(value, &r.Data)
	case "File":
		return appendJSON(&r.Files, value)
	case "Secret":
		return appendJSON(&r.Secrets, value)
	case "Composed":
		return appendJSON(&r.Composed, value)
	case "Fact":
		return appendJSON(&r.Facts, value)
	case "Watch":
		return appendJSON(&r.Watch, value)
	case "Follow":
		return appendJSON(&r.Follow, value)
	case "Step":
		return appendJSON(&r.Steps, value)
	case "Once":
		return appendJSON(&r.Once, value)
	case "NewVolumes":
		return appendJSON(&r.Volumes, value)
	case "Seed":
		return appendJSON(&r.Seeds, value)
	case "DataFormat":
		return json.Unmarshal(value, &r.Format)
	case "Reload":
		return json.Unmarshal(value, &r.Reload)
	case "Image":
		return json.Unmarshal(value, &r.Image)
	case "Podman":
		return json.Unmarshal(value, &r.Podman)
	}
	return errors.New("this version of archgen does not support it")
}

func appendJSON[T any](list *[]T, value []byte) error {
	var item T
	err := json.Unmarshal(value, &item)
	*list = append(*list, item)
	return err
}
