package container

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/archipelago-os/archipelago/manifests/importer/podmanrun"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// Facts is what Podman prints, as JSON.
type Facts struct {
	// Containers is podman container inspect of the named ones.
	Containers []byte
	// Others, Images and Networks is podman inspect of what Needs names.
	Others, Images, Networks []byte
	// All is podman ps --all --pod, which has the names of pods.
	All []byte
}

// Needs is what has to be known beside the containers.
type Needs struct {
	// Others is the containers whose network these share.
	Others []string
	// Images is the images that they were made from.
	Images []string
	// Networks is their networks that have a name.
	Networks []string
	// All: which other containers there are matters.
	All bool
}

// inspected is the part of podman container inspect that says how a container was made.
type inspected struct {
	ID                     string `json:"Id"`
	Name, Image, ImageName string
	Pod                    string
	IsInfra                bool
	Dependencies           []string
	Mounts                 []mounted
	Config                 config
	HostConfig             hostConfig
	NetworkSettings        struct {
		Networks map[string]struct{ Aliases []string }
	}
}

type mounted struct {
	Type, Name, Source, Destination, Mode, Propagation string
	Options                                            []string
	RW                                                 bool
	SubPath                                            string
}

type config struct {
	Hostname, User, WorkingDir, Timezone, Umask string
	Tty, OpenStdin                              bool
	Env, Cmd, CreateCommand                     []string
	Entrypoint                                  words
	Labels                                      map[string]string
	StopSignal                                  signal
	StopTimeout                                 int
	Healthcheck                                 *healthcheck
	Secrets                                     []struct {
		Name     string
		UID, GID int
		Mode     uint32
	}
}

type hostConfig struct {
	NetworkMode, PidMode, IpcMode, UTSMode           string
	CapAdd, CapDrop, SecurityOpt                     []string
	DNS, DNSOptions, DNSSearch, ExtraHosts, GroupAdd []string
	Init, ReadonlyRootfs, Privileged, OomKillDisable bool

	Memory, MemoryReservation, MemorySwap, MemorySwappiness int64
	NanoCPUs, CPUShares, CPUQuota, CPUPeriod                int64
	CPURealtimePeriod, CPURealtimeRuntime                   int64
	BlkioWeight, PidsLimit, ShmSize, OomScoreAdj            int64
	CPUSetCPUs, CPUSetMems                                  string

	Tmpfs         map[string]string
	PortBindings  map[string][]binding
	Devices       []device
	LogConfig     struct{ Type string }
	RestartPolicy struct {
		Name              string
		MaximumRetryCount int
	}
	IDMappings *struct{ UIDMap, GIDMap []string }
	Ulimits    []struct {
		Name       string
		Soft, Hard int64
	}
}

type binding struct {
	HostIP   string `json:"HostIp"`
	HostPort string
}

type device struct{ PathOnHost, PathInContainer, CgroupPermissions string }

// healthcheck is a health check; zero values are Podman's defaults.
type healthcheck struct {
	Test                           []string
	Interval, Timeout, StartPeriod time.Duration
	Retries                        int
}

// image is the part of podman image inspect that says what a container gets without being told.
type image struct {
	ID                    string `json:"Id"`
	RepoTags, RepoDigests []string
	Healthcheck           *healthcheck
	Config                struct {
		User, WorkingDir string
		Env, Cmd         []string
		Entrypoint       []string
		Labels           map[string]string
		StopSignal       signal
	}
}

// network is the part of podman network inspect that the app's networks can have, too.
type network struct {
	Name     string
	Driver   string
	Internal bool
}

// listed is a container of podman ps.
type listed struct {
	ID       string `json:"Id"`
	Names    []string
	Networks []string
	Pod      string
	PodName  string
	IsInfra  bool
}

// words is a command: a list, or before Podman 5 one text.
type words []string

// UnmarshalJSON reads a list or a text.
func (w *words) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*w = strings.Fields(text)
		return nil
	}
	return json.Unmarshal(data, (*[]string)(w))
}

// signal is the name of a signal; a number before Podman 5.
type signal string

// signals is the names of the numbers that programs ask for.
var signals = map[string]signal{
	"1": "SIGHUP", "2": "SIGINT", "3": "SIGQUIT", "6": "SIGABRT", "9": "SIGKILL", "10": "SIGUSR1", "12": "SIGUSR2", "15": "SIGTERM", "28": "SIGWINCH",
	"37": "SIGRTMIN+3",
}

// UnmarshalJSON reads a name or a number.
func (s *signal) UnmarshalJSON(data []byte) error {
	text := strings.ToUpper(strings.Trim(string(data), `"`))
	name, isNumber := signals[text]
	switch _, err := strconv.Atoi(text); {
	case text == "NULL":
	case isNumber:
		*s = name
	case err == nil, text == "", strings.HasPrefix(text, "SIG"):
		*s = signal(text)
	default:
		*s = signal("SIG" + text)
	}
	return nil
}

// unitLabel is the label with the unit of systemd that runs a container, ourLabel that of a
// container that archgen runs.
const (
	unitLabel = "PODMAN_SYSTEMD_UNIT"
	ourLabel  = "io.archipelago.app"
)

// noNetworks is what stands for the network of a container and is no network with a name.
var noNetworks = []string{"", "podman", "bridge", "default", "host", "none", "private", "pasta", "slirp4netns", "ns", "container"}

// NeedsOf is what has to be asked of Podman beside its containers. It refuses a container that
// archgen runs.
func NeedsOf(containers []byte) (n Needs, err error) {
	list, err := decode[inspected]("container", containers)
	for _, c := range list {
		if app, isOurs := c.Config.Labels[ourLabel]; isOurs {
			return n, fmt.Errorf("archgen runs the container %s already: it is part of the app %s, which has a manifest", c.Name, app)
		}
		if c.IsInfra {
			return n, fmt.Errorf("the container %s holds the namespaces of a pod and runs nothing: name the other containers of the pod", c.Name)
		}
		if other, isShared := strings.CutPrefix(c.HostConfig.NetworkMode, "container:"); isShared && !slices.ContainsFunc(list, func(o inspected) bool { return o.ID == other }) {
			n.Others = append(n.Others, other)
		}
		if c.Image != "" {
			n.Images = append(n.Images, c.Image)
		}
		n.Networks = append(n.Networks, c.networks()...)
		n.All = n.All || c.Pod != ""
	}
	for _, names := range []*[]string{&n.Others, &n.Images, &n.Networks} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	n.All = n.All || len(n.Networks) > 0
	return n, err
}

// networks is the networks of a container that have a name.
func (c inspected) networks() (names []string) {
	for name := range c.NetworkSettings.Networks {
		if !slices.Contains(noNetworks, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Read reads what Podman prints.
func Read(f Facts) (*Set, error) {
	s := &Set{known: map[string]network{}}
	images, err := decode[image]("image", f.Images)
	if err != nil {
		return nil, err
	}
	if s.containers, err = containersOf(f.Containers, images); err != nil {
		return nil, err
	}
	if s.others, err = containersOf(f.Others, nil); err != nil {
		return nil, err
	}
	networks, err := decode[network]("network", f.Networks)
	for _, n := range networks {
		s.known[n.Name] = n
	}
	if err != nil {
		return nil, err
	}
	if s.all, err = decode[listed]("container", f.All); err != nil {
		return nil, err
	}
	if len(s.containers) == 0 {
		return nil, fmt.Errorf("Podman printed no container")
	}
	return s, nil
}

func decode[T any](what string, data []byte) (list []T, err error) {
	if len(data) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("reading what Podman prints of each %s: %w", what, err)
	}
	return list, nil
}

func containersOf(data []byte, images []image) (list []*container, err error) {
	raw, err := decode[json.RawMessage]("container", data)
	if err != nil {
		return nil, err
	}
	found, err := decode[inspected]("container", data)
	if err != nil {
		return nil, err
	}
	for i, in := range found {
		if slices.ContainsFunc(list, func(c *container) bool { return c.ID == in.ID }) {
			continue // it was named twice
		}
		c := &container{inspected: in, flags: podmanrun.Flags(in.Config.CreateCommand)}
		if c.record, err = recordOf("inspect-"+in.Name, raw[i], in.Config.Env); err != nil {
			return nil, err
		}
		if k := slices.IndexFunc(images, func(im image) bool { return im.ID == in.Image }); k >= 0 {
			c.image = images[k]
		}
		list = append(list, c)
	}
	return list, nil
}

// record is one object as podman inspect prints it, with the places of its values.
type record struct {
	// source is its name in the report.
	source string
	text   []byte
	tree   *syntax.Node
}

// recordOf places the values of an object in the lines in which podman inspect prints it alone.
func recordOf(source string, raw json.RawMessage, env []string) (record, error) {
	var b bytes.Buffer
	if err := json.Indent(&b, slices.Concat([]byte("["), raw, []byte("]")), "", "     "); err != nil {
		return record{}, err
	}
	r := &syntax.Reader{File: source + ".yaml"} // JSON is YAML
	tree := r.Read(readable(b.Bytes()))
	if tree == nil || r.Diags.HasErrors() || len(tree.Items) != 1 {
		return record{}, fmt.Errorf("reading what podman inspect prints: %s is too large, or no object", source)
	}
	return record{source: source, text: veiled(b.Bytes(), env), tree: tree.Items[0]}, nil
}

// readable escapes characters that JSON has and YAML has not.
func readable(text []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(text) {
		if r >= 0x7f && !unicode.IsPrint(r) {
			fmt.Fprintf(&b, `\U%08x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.Bytes()
}

// veiled hides the values of variables that JSON writes in another way than they are: a secret
// that looks different would not be recognized where it is masked.
func veiled(text []byte, env []string) []byte {
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		for _, escapesHTML := range []bool{true, false} {
			var b bytes.Buffer
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(escapesHTML)
			if err := e.Encode(v); err != nil {
				continue // a text can be encoded
			}
			// A `$` is written in another way in a Compose service.
			if written := bytes.TrimSpace(b.Bytes()); strings.Contains(value, "$") || !bytes.Contains(written, []byte(value)) {
				text = bytes.ReplaceAll(text, written, []byte(strconv.Quote(name+"=…")))
			}
		}
	}
	return text
}

// at is the place of a value by its path, or of the nearest around it.
func (r record) at(path string) syntax.Position {
	n, place := r.tree, r.tree.At
	for path != "" {
		next, at, rest := n.Step(path)
		if next == nil {
			break
		}
		n, place, path = next, at, rest
	}
	place.File = r.source
	return place
}

var isID = regexp.MustCompile(`^(?:sha256:)?[0-9a-f]{12,64}$`).MatchString
