package units

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"
)

// PrestartSuffix is that of a file which says what a part needs before it starts.
// Podman reads no such files: they lie beside the units so that they come, go and
// are taken back with them.
const PrestartSuffix = ".recipe"

// IsPrestart tells a recipe from what Podman makes a unit of.
func IsPrestart(file string) bool { return strings.HasSuffix(file, PrestartSuffix) }

// Prestart is what a part needs before it starts. It holds no secrets, and is all
// that is needed then: no manifest, and no other app's.
type Prestart struct {
	// Data is what the templates may name.
	Data json.RawMessage
	// Files is the configuration files.
	Files []PrestartFile
	// Secrets is the full names of the secrets that the container mounts.
	Secrets []string
	// Watch is files of other apps that the container has mounted and reads when
	// it starts.
	Watch []VolumeFile
	// Follow is the containers whose addresses the part looks up once, when it starts.
	Follow []string
	// Reload is the signal that makes a running container read the files marked with
	// Reload again, empty where there are none.
	Reload string
	// Steps is done before each start, in order.
	Steps []Step
	// Volumes is the named volumes of the part that are given to a user while they
	// are new.
	Volumes []NewVolumes
	// Image is the part's, and Podman what podman run needs beside it so that a
	// command finds what the part's program does.
	Image  string
	Podman []string
}

// IsConfigured reports whether the container is started with something that can be
// another at its next start: files, secrets, or what it watches.
func (r Prestart) IsConfigured() bool {
	return len(r.Files)+len(r.Secrets)+len(r.Watch)+len(r.Follow) > 0
}

// NewVolumes is named volumes that belong to the user of one container: the first
// that writes to them.
type NewVolumes struct {
	// Image and Podman make a container that has that user.
	Image  string   `json:"image"`
	Podman []string `json:"podman,omitempty"`
	// IsNamed: the manifest names the user. Where only the image does and the user is
	// root, the program may change to another, and Podman decides about the owner.
	IsNamed bool        `json:"named,omitempty"`
	List    []NewVolume `json:"list"`
}

// NewVolume is a volume, and what it has where it does not exist.
type NewVolume struct {
	Name   string   `json:"name"`
	Target string   `json:"target"`
	Labels []string `json:"labels,omitempty"`
}

// ConfigDigests tells two configurations of a part apart: Config is that of rendered
// files and mounted secrets, Watched that of files which other apps write, and of the
// containers that the part follows. Reloadable is that of rendered files which a running
// container can read again, empty without any; they are not in Config.
type ConfigDigests struct{ Config, Watched, Reloadable string }

// PrestartFile is a configuration file.
type PrestartFile struct {
	Name     string `json:"name"`
	Mode     uint32 `json:"mode"`
	Template string `json:"template"`
	// Source is where the template was read.
	Source string `json:"source"`
	// Reload: a running container can read it again.
	Reload bool `json:"reload,omitempty"`
}

// IsReloadable reports whether a running container can read a file again.
func (r Prestart) IsReloadable(name string) bool {
	isNot := func(f PrestartFile) bool { return f.Name == name && !f.Reload }
	return r.Reload != "" && !slices.ContainsFunc(r.Files, isNot)
}

// VolumeFile is a file or directory in a volume: Podman's name of it, or a
// directory of the host, and the path within.
type VolumeFile struct {
	Volume string `json:"volume"`
	Path   string `json:"path"`
}

// Step is one piece of work before a start.
type Step struct {
	EnsureDir *EnsureDir `json:"ensure_dir,omitempty"`
	// File is waited for, or the address that is connected to, or the service that
	// reaches a level: started, serving or synced.
	File    *VolumeFile `json:"file,omitempty"`
	Address string      `json:"address,omitempty"`
	Service string      `json:"service,omitempty"`
	Level   string      `json:"level,omitempty"`
	// Run is a command in the part's image, Migrate the version at which it runs once.
	Run     []string `json:"run,omitempty"`
	Migrate string   `json:"migrate,omitempty"`
	// Seconds is how long the step may take.
	Seconds int `json:"seconds"`
}

// EnsureDir is a directory that has to exist, by the ids within the container.
type EnsureDir struct {
	VolumeFile
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	Mode uint32 `json:"mode"`
}

const recipeSection = "Recipe"

// Text is the section of a recipe's file: a line of JSON for each thing.
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
	for _, w := range r.Watch {
		put("Watch", w)
	}
	for _, f := range r.Follow {
		put("Follow", f)
	}
	for _, s := range r.Steps {
		put("Step", s)
	}
	for _, v := range r.Volumes {
		put("NewVolumes", v)
	}
	if r.Image != "" {
		put("Image", r.Image)
		put("Podman", r.Podman)
	}
	text, readErr := io.ReadAll(unit.Serialize(options))
	return string(text), errors.Join(err, readErr)
}

// ReadPrestart reads the file of a recipe. What it does not know, it refuses: an
// app must not start without what an archgen that is older can't do.
func ReadPrestart(content []byte) (Prestart, error) {
	var r Prestart
	inside := false
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSuffix(line, "\n")
		key, value, isValue := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(line, "["):
			inside = line == "["+recipeSection+"]"
		case inside && isValue:
			if err := r.set(key, []byte(value)); err != nil {
				return r, fmt.Errorf("reading %s= of a recipe: %w; archgen apply writes it anew", key, err)
			}
		}
	}
	return r, nil
}

func (r *Prestart) set(key string, value []byte) error {
	switch key {
	case "Data":
		return json.Unmarshal(value, &r.Data)
	case "File":
		return appendJSON(&r.Files, value)
	case "Secret":
		return appendJSON(&r.Secrets, value)
	case "Watch":
		return appendJSON(&r.Watch, value)
	case "Follow":
		return appendJSON(&r.Follow, value)
	case "Step":
		return appendJSON(&r.Steps, value)
	case "NewVolumes":
		return appendJSON(&r.Volumes, value)
	case "Reload":
		return json.Unmarshal(value, &r.Reload)
	case "Image":
		return json.Unmarshal(value, &r.Image)
	case "Podman":
		return json.Unmarshal(value, &r.Podman)
	}
	return errors.New("this archgen does not know it")
}

func appendJSON[T any](list *[]T, value []byte) error {
	var item T
	err := json.Unmarshal(value, &item)
	*list = append(*list, item)
	return err
}
