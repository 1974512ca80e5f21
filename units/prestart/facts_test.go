package prestart_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/generator/configfile"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/prestart"
)

// about is a recipe that names facts in the unit, in a composed secret and in the arguments of a
// step.
func about(facts ...units.Fact) units.Prestart { return units.Prestart{Facts: facts} }

var (
	memory  = units.Fact{Variable: "ARCHIPELAGO_MACHINE_MEMORY", Name: "memory"}
	cores   = units.Fact{Variable: "ARCHIPELAGO_MACHINE_CORES", Name: "cores"}
	address = units.Fact{Variable: "ARCHIPELAGO_MACHINE_ADDRESS", Name: "address"}
	local   = units.Fact{Variable: "ARCHIPELAGO_MACHINE_ADDRESS_1", Name: "address", Default: "127.0.0.1"}
	subnet  = units.Fact{Variable: "ARCHIPELAGO_NETWORK_SUBNET", Name: "subnet", Network: "private.ui"}
)

// onNetwork gives the machine an address, and its networks subnets.
func (p *place) onNetwork(address string, subnets map[string]string) {
	p.Machine = func() configfile.Machine { return configfile.Machine{Memory: 1024, Cores: 2, Address: address} }
	p.Subnet = func(network string) string { return subnets[network] }
}

// TestFacts: a start writes what the unit names of the machine.
func TestFacts(t *testing.T) {
	p := newPlace(t)
	r := about(memory, cores, address, local, subnet)
	p.onNetwork("", map[string]string{"private.ui": "10.89.3.0/24"})
	p.write(r)
	want := "ARCHIPELAGO_MACHINE_MEMORY=1024\nARCHIPELAGO_MACHINE_CORES=2\nARCHIPELAGO_MACHINE_ADDRESS=\nARCHIPELAGO_MACHINE_ADDRESS_1=127.0.0.1\nARCHIPELAGO_NETWORK_SUBNET=10.89.3.0/24\n"
	if got, info := p.read(units.FactsFile); got != want || info.Mode() != 0o600 {
		t.Errorf("%q with mode %v", got, info.Mode())
	}
	if p.differs(r) {
		t.Error("what was just written differs")
	}
	// Without facts the file goes.
	p.write(recipe("x"))
	if names, _ := filepath.Glob(filepath.Join(p.Dir("ui"), units.FactsFile)); len(names) > 0 {
		t.Error("the file of a recipe without facts stays")
	}
}

// TestFactChanges: another address makes only a recipe that names it differ. A machine that has
// lost its network counts as unchanged, for templates too.
func TestFactChanges(t *testing.T) {
	file := recipe("listen {{.machine.address}}")
	for _, c := range []struct {
		name    string
		recipe  units.Prestart
		differs bool
	}{
		{"the address", about(address), true},
		{"the address, or a default", about(local), true},
		{"a template", file, true},
		{"the memory", about(memory), false},
		{"the subnet", about(subnet), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlace(t)
			subnets := map[string]string{"private.ui": "10.89.3.0/24"}
			p.onNetwork("192.168.1.2", subnets)
			p.write(c.recipe)
			p.onNetwork("", subnets)
			if p.differs(c.recipe) {
				t.Error("a machine without a network differs")
			}
			p.onNetwork("192.168.1.3", subnets)
			if p.differs(c.recipe) != c.differs {
				t.Errorf("another address differs: %v", !c.differs)
			}
			p.write(c.recipe)
			if p.differs(c.recipe) {
				t.Error("the new address differs after the start")
			}
		})
	}
	p := newPlace(t)
	p.onNetwork("", map[string]string{"private.ui": "10.89.3.0/24"})
	p.write(about(subnet, address))
	p.onNetwork("192.168.1.2", map[string]string{"private.ui": "10.89.3.0/24"})
	if !p.differs(about(subnet, address)) {
		t.Error("the first address of a machine that started without a network does not differ")
	}
	p.onNetwork("", map[string]string{"private.ui": "10.89.4.0/24"})
	if !p.differs(about(subnet)) {
		t.Error("another subnet does not differ")
	}
}

// TestUnknownFact: a subnet that is not known fails the start, and restarts nothing.
func TestUnknownFact(t *testing.T) {
	p := newPlace(t)
	p.onNetwork("", nil)
	const want = "Podman has no network private.ui with a subnet"
	if err := p.Write(t.Context(), "ui", about(subnet)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the start: %v", err)
	}
	if _, _, err := p.Compare("ui", about(subnet)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the comparison: %v", err)
	}
	later := units.Fact{Variable: "ARCHIPELAGO_X", Name: "altitude"}
	if err := p.Write(t.Context(), "ui", about(later)); err == nil || !strings.Contains(err.Error(), "altitude; update it") {
		t.Errorf("a kind of a later version: %v", err)
	}
}

// TestComposedFact: a secret of several pieces has the value of a fact.
func TestComposedFact(t *testing.T) {
	p := newPlace(t)
	p.onNetwork("", nil)
	r := units.Prestart{Facts: []units.Fact{address, local}, Composed: []units.ComposedSecret{{
		Name: "ui.env-url-1", Variable: "URL", Pieces: []units.SecretPiece{{Secret: "ui.token"}, {Text: "@" + local.Mark() + "/" + address.Mark()}},
	}}}
	p.write(r)
	if got := p.secrets["ui.env-url-1"]; got != "canary@127.0.0.1/" {
		t.Errorf("%q", got)
	}
	p.onNetwork("192.168.1.2", nil)
	if !p.differs(r) {
		t.Error("another address does not differ")
	}
	p.write(r)
	if got := p.secrets["ui.env-url-1"]; got != "canary@192.168.1.2/192.168.1.2" {
		t.Errorf("%q", got)
	}
}

// TestFileFact: the first line of a file in a volume is a value. Without the file the default holds,
// and once a container was started with a line, a file that is gone counts as unchanged.
func TestFileFact(t *testing.T) {
	p := newPlace(t)
	dir := prestart.VolumeDir(p.Volumes, "ui.tor")
	if err := os.MkdirAll(filepath.Join(dir, "web"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "web/hostname")
	put := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	onion := units.Fact{Variable: "ARCHIPELAGO_X", Name: "file", File: &units.VolumeFile{Volume: "ui.tor", Path: "web/hostname"}, Default: "none.onion"}
	wrote := func(want string) {
		t.Helper()
		p.write(about(onion))
		if got, _ := p.read(units.FactsFile); got != "ARCHIPELAGO_X="+want+"\n" {
			t.Errorf("%q, want %s", got, want)
		}
		if p.differs(about(onion)) {
			t.Error("what was just written differs")
		}
	}
	wrote("none.onion")
	put(" abc.onion \nmore")
	if !p.differs(about(onion)) {
		t.Error("the first line of a new file does not differ")
	}
	wrote("abc.onion")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if p.differs(about(onion)) {
		t.Error("a file that is gone differs")
	}
	put("")
	wrote("none.onion")

	put("$HOME")
	if err := p.Write(t.Context(), "ui", about(onion)); err == nil || !strings.Contains(err.Error(), "the first line of ui.tor/web/hostname must have letters, digits and") {
		t.Errorf("a line that systemd would read as another one: %v", err)
	}
	put("\n")
	onion.Default = ""
	if err := p.Write(t.Context(), "ui", about(onion)); err == nil || !strings.Contains(err.Error(), "the file ui.tor/web/hostname is missing or empty") {
		t.Errorf("an empty file without a default: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", file); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(t.Context(), "ui", about(onion)); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("a link that leads out of the volume: %v", err)
	}
}

// TestReadVolume: Podman's user namespace reads a file that the caller may not. It follows no link
// out of the volume, and a file that is missing is empty.
func TestReadVolume(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hostname"), []byte("abc.onion\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"hostname": "abc.onion\n", "missing": "", "out": "error"} {
		var out strings.Builder
		if err := prestart.Volume(t.Context(), []string{"read", dir, path}, nil, &out); err != nil {
			out.WriteString("error")
		}
		if out.String() != want {
			t.Errorf("%s: %q, want %q", path, out.String(), want)
		}
	}
}
