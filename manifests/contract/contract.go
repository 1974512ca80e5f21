// Package contract owns the contracts of container images: the user that the program runs as,
// the files that it writes, the ports that it opens, the variables that it reads, its exit
// codes, and what it needs from the internet. A contract records each fact with its upstream
// source. Check compares a resolved app with the contracts of its images.
//
// It is pure: it reads no file and contacts no registry. A fact that a contract does not have
// is unknown, and no rule reports it.
package contract

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Contract is what is known of the program in one image.
type Contract struct {
	// Name is the file's, without its extension.
	Name string `yaml:"-"`
	// Image is the repository, and Tags are the versions that the facts hold for.
	Image string   `yaml:"image"`
	Tags  []string `yaml:"tags"`
	// Program is the name of the program, with its version.
	Program string `yaml:"program"`
	// Verified says how the facts were found; a fact can override it.
	Verified Verified `yaml:"verified"`
	// Evidence is what was run, or which source was read.
	Evidence string `yaml:"evidence"`
	// Unknown is what was looked for and not found.
	Unknown []string `yaml:"unknown"`
	// Tested is the program that the end-to-end tests run. If it is empty, they run a
	// stand-in made from the contract.
	Tested string `yaml:"tested"`

	User        *User        `yaml:"user"`
	Start       *Start       `yaml:"start"`
	Programs    *Programs    `yaml:"programs"`
	Directories []Directory  `yaml:"directories"`
	Writes      []Write      `yaml:"writes"`
	Listens     []Listen     `yaml:"listens"`
	Environment *Environment `yaml:"environment"`
	Signals     []Signal     `yaml:"signals"`
	Stop        *Stop        `yaml:"stop"`
	Exits       []Exit       `yaml:"exits"`
	Networks    *Networks    `yaml:"networks"`
	Internet    []Internet   `yaml:"internet"`
	Limits      []Limit      `yaml:"limits"`
	Login       *Login       `yaml:"login"`
	Needs       []Dependency `yaml:"needs"`
}

// Verified says how a fact was found.
type Verified string

// The ways in which a fact was found.
const (
	// Run: the program was run and did it.
	Run Verified = "run"
	// Read: upstream's source or documentation says it.
	Read Verified = "read"
	// Unknown: it could not be determined; the fact is what platforms that run the image
	// assume.
	Unknown Verified = "unknown"
)

// Fact is the source of a statement.
type Fact struct {
	// Source is a file of upstream's repository, with the line where that helps.
	Source   string   `yaml:"source"`
	Verified Verified `yaml:"verified"`
}

// User is the user of the image.
type User struct {
	UID  int `yaml:"uid"`
	GID  int `yaml:"gid"`
	Fact `yaml:",inline"`
}

// Start is what the image runs, and where.
type Start struct {
	Entrypoint []string `yaml:"entrypoint"`
	Command    []string `yaml:"command"`
	WorkingDir string   `yaml:"working_dir"`
	// Env is the variables that the image sets.
	Env map[string]string `yaml:"env"`
	// Signal is the image's STOPSIGNAL.
	Signal string `yaml:"signal"`
	Fact   `yaml:",inline"`
}

// Programs is the programs of the image that a manifest may start. Others may be
// there; a contract that lists one of these words lists all that manifests need.
type Programs struct {
	Names []string `yaml:"names"`
	Fact  `yaml:",inline"`
}

// Directory is a directory of the image that does not belong to root, or is a VOLUME.
type Directory struct {
	Path string `yaml:"path"`
	UID  int    `yaml:"uid"`
	GID  int    `yaml:"gid"`
	// Mode is in octal, 0755 where it is left out.
	Mode   int  `yaml:"mode"`
	Volume bool `yaml:"volume"`
	Fact   `yaml:",inline"`
}

// Write is a directory that the program writes to.
type Write struct {
	// Path may be relative to the working directory.
	Path string `yaml:"path"`
	// What is written there.
	What string `yaml:"what"`
	// MovedBy is the setting that names another directory.
	MovedBy Setting `yaml:"moved_by"`
	// File: the path, and what moves it, name a file in that directory.
	File bool `yaml:"file"`
	// Keep: it must outlive the container.
	Keep bool `yaml:"keep"`
	// Refused is what the program says, and its exit code, where it can't write.
	Refused *Refusal `yaml:"refused"`
	Fact    `yaml:",inline"`
}

// Refusal is how a program ends that lacks something.
type Refusal struct {
	Says string `yaml:"says"`
	Code int    `yaml:"code"`
}

// Listen is a port that the program opens.
type Listen struct {
	// Port is the default, 0 where the program opens none unless it is told to.
	Port     int    `yaml:"port"`
	Protocol string `yaml:"protocol"`
	What     string `yaml:"what"`
	// MovedBy is the setting that names other ports.
	MovedBy Setting `yaml:"moved_by"`
	// Speaks is the protocol of the port, with its answers where it is HTTP.
	Speaks  string   `yaml:"speaks"`
	Answers []Answer `yaml:"answers"`
	Fact    `yaml:",inline"`
}

// Answer is what an HTTP port answers to a path. A path that ends in * is a prefix.
type Answer struct {
	Path   string `yaml:"path"`
	Status int    `yaml:"status"`
	Body   string `yaml:"body"`
	// Proxy forwards the request to the host and port of these settings.
	Proxy *Address `yaml:"proxy"`
}

// Address is the address of another program, as settings give it.
type Address struct {
	Host Setting `yaml:"host"`
	Port Setting `yaml:"port"`
}

// Environment is the variables that the program reads.
type Environment struct {
	// Closed: no other variable has an effect.
	Closed bool       `yaml:"closed"`
	Reads  []Variable `yaml:"reads"`
	Fact   `yaml:",inline"`
}

// Variable is a variable that the program reads.
type Variable struct {
	Name string `yaml:"name"`
	// Unset is what fails if it is not set, on the given networks or on all.
	Unset    string   `yaml:"unset"`
	Networks []string `yaml:"networks"`
	Fact     `yaml:",inline"`
}

// Signal is what the program does on a signal.
type Signal struct {
	Signal string `yaml:"signal"`
	Does   string `yaml:"does"`
	// Loses is what is lost where this signal ends the program.
	Loses string `yaml:"loses"`
	Fact  `yaml:",inline"`
}

// Stop is how long the program needs to end.
type Stop struct {
	// Needs is the least time that a manifest has to give.
	Needs time.Duration `yaml:"needs"`
	// Takes is what a usual stop takes: the stand-in takes as long.
	Takes time.Duration `yaml:"takes"`
	Fact  `yaml:",inline"`
}

// Exit is an exit code with a meaning.
type Exit struct {
	Code int    `yaml:"code"`
	When string `yaml:"when"`
	// Clean: the program ends with it when it was asked to, and all is well.
	Clean bool `yaml:"clean"`
	Fact  `yaml:",inline"`
}

// Networks is the Bitcoin networks that the program knows.
type Networks struct {
	// Known is what the program calls each, by the word of archipelago.toml.
	Known map[string]string `yaml:"known"`
	// SetBy is the setting that chooses one.
	SetBy   Setting  `yaml:"set_by"`
	Refused *Refusal `yaml:"refused"`
	Fact    `yaml:",inline"`
}

// Internet is something that the program asks of the internet.
type Internet struct {
	// When is start, first-start or running.
	When string `yaml:"when"`
	Host string `yaml:"host"`
	For  string `yaml:"for"`
	// Without is what happens where the host can't be reached; Ends says that the
	// program ends, with what it says.
	Without string   `yaml:"without"`
	Ends    *Refusal `yaml:"ends"`
	// AvoidedBy is the setting with which the program does not ask.
	AvoidedBy Setting `yaml:"avoided_by"`
	// Through is the SOCKS proxy that it uses if one is configured.
	Through *Address `yaml:"through"`
	// Resolves: the name has to resolve, and nothing more.
	Resolves bool `yaml:"resolves"`
	Fact     `yaml:",inline"`
}

// Limit is a bound that every client of a published port shares, since a rootless
// container sees one address for all of them.
type Limit struct {
	What    string `yaml:"what"`
	Default int    `yaml:"default"`
	// Lifted is the value that takes the limit away.
	Lifted string  `yaml:"lifted"`
	SetBy  Setting `yaml:"set_by"`
	Fact   `yaml:",inline"`
}

// Login is how the program tells who may use it.
type Login struct {
	// Kind is password, cookie or none.
	Kind string `yaml:"kind"`
	// Exposes is what a user without a login can do, empty if that is harmless.
	Exposes string `yaml:"exposes"`
	Fact    `yaml:",inline"`
}

// Dependency is another program that this one logs in to when it starts.
type Dependency struct {
	// Kind is bitcoin-rpc, mariadb, postgres or electrum.
	Kind     string  `yaml:"kind"`
	URL      Setting `yaml:"url"`
	Host     Setting `yaml:"host"`
	Port     Setting `yaml:"port"`
	User     Setting `yaml:"user"`
	Password Setting `yaml:"password"`
	Refused  Refusal `yaml:"refused"`
	// Unreachable is retry or exit.
	Unreachable string `yaml:"unreachable"`
	Fact        `yaml:",inline"`
}

// Setting is the names of one value, by how the program is told it.
type Setting struct {
	Env      []string `yaml:"env"`
	Argument []string `yaml:"argument"`
	// File is keys of its configuration file. In JSON, a dot leads into an object.
	File []string `yaml:"file"`
}

// Empty reports that nothing sets the value.
func (s Setting) Empty() bool { return len(s.Env)+len(s.Argument)+len(s.File) == 0 }

func (s Setting) String() string {
	return strings.Join(slices.Concat(s.Env, s.Argument, s.File), ", ")
}

// Decode reads one contract. A key that no contract has is an error, and so is a
// statement without a source.
func Decode(name string, data []byte) (*Contract, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	var c Contract
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := d.Decode(&Contract{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: one file holds one contract", name)
	}
	base := path.Base(name)
	c.Name = strings.TrimSuffix(base, path.Ext(base))
	if err := c.valid(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &c, nil
}

// valid reports the first thing that makes a contract useless as evidence.
func (c *Contract) valid() error {
	switch {
	case c.Image == "" || strings.ContainsAny(c.Image, "@") || strings.Contains(path.Base(c.Image), ":"):
		return errors.New("image: give the repository, without a tag or digest")
	case len(c.Tags) == 0:
		return errors.New("tags: name the versions that the facts hold for")
	case c.Program == "", c.Evidence == "":
		return errors.New("program and evidence: say what it is, and what was run or read")
	case !known(c.Verified):
		return fmt.Errorf("verified: %q is none of run, read, unknown", c.Verified)
	}
	for _, f := range c.Facts() {
		switch {
		case f.Verified != "" && !known(f.Verified):
			return fmt.Errorf("%s: verified: %q is none of run, read, unknown", f.About, f.Verified)
		case f.Source == "" && f.Verified != Unknown:
			return fmt.Errorf("%s: source is missing; say where upstream says it, or that it is unknown", f.About)
		}
	}
	return c.words()
}

// words checks the values that are words.
func (c *Contract) words() error {
	for _, l := range c.Listens {
		if l.Protocol != "" && l.Protocol != "udp" {
			return fmt.Errorf("listens: the protocol is udp or left out, not %q", l.Protocol)
		}
	}
	for _, i := range c.Internet {
		if !slices.Contains([]string{"start", "first-start", "running"}, i.When) {
			return fmt.Errorf("internet: when is start, first-start or running, not %q", i.When)
		}
	}
	for _, n := range c.Needs {
		if n.Unreachable != "retry" && n.Unreachable != "exit" {
			return fmt.Errorf("needs: unreachable is retry or exit, not %q", n.Unreachable)
		}
	}
	return nil
}

func known(v Verified) bool { return v == Run || v == Read || v == Unknown }

// Statement is a fact and what it is about.
type Statement struct {
	About string
	Fact
}

// Facts lists every statement of a contract, with how it was verified.
func (c *Contract) Facts() []Statement {
	var list []Statement
	add := func(about string, f Fact) {
		if f.Verified == "" {
			f.Verified = c.Verified
		}
		list = append(list, Statement{about, f})
	}
	if c.User != nil {
		add("user", c.User.Fact)
	}
	if c.Start != nil {
		add("start", c.Start.Fact)
	}
	if c.Programs != nil {
		add("programs", c.Programs.Fact)
	}
	for _, d := range c.Directories {
		add("directory "+d.Path, d.Fact)
	}
	for _, w := range c.Writes {
		add("writes "+w.Path, w.Fact)
	}
	for _, l := range c.Listens {
		add("port of "+l.What, l.Fact)
	}
	if c.Environment != nil {
		add("environment", c.Environment.Fact)
	}
	for _, s := range c.Signals {
		add("signal "+s.Signal, s.Fact)
	}
	if c.Stop != nil {
		add("stop", c.Stop.Fact)
	}
	for _, e := range c.Exits {
		add(fmt.Sprintf("exit code %d", e.Code), e.Fact)
	}
	if c.Networks != nil {
		add("networks", c.Networks.Fact)
	}
	for _, i := range c.Internet {
		add("internet "+i.Host, i.Fact)
	}
	for _, l := range c.Limits {
		add("limit of "+l.What, l.Fact)
	}
	if c.Login != nil {
		add("login", c.Login.Fact)
	}
	for _, n := range c.Needs {
		add("needs "+n.Kind, n.Fact)
	}
	return list
}

// Set is contracts by the images that they are about.
type Set []*Contract

// Of returns the contract of an image reference, nil where there is none.
func (s Set) Of(image string) *Contract {
	repository, tag := split(image)
	for _, c := range s {
		if c.Image == repository && slices.Contains(c.Tags, tag) {
			return c
		}
	}
	return nil
}

// split takes an image reference apart, without its digest.
func split(image string) (repository, tag string) {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i], image[i+1:]
	}
	return image, "latest"
}
