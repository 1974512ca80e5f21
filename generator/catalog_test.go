package generator_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

const catalogDir = "../manifests/catalog"

// catalogPart is what operators paid for with lost data, for one container of the
// catalog.
type catalogPart struct {
	// stop is the least time that it gets to end, and says who found it out. The
	// numbers are those that platforms ship or upstream asks for.
	stop time.Duration
	says string
	// probe is the kind of the check whether it serves.
	probe string
	// volumes is the image's VOLUMEs: what is written there and not mapped is lost
	// at each stop.
	volumes []string
}

var catalogParts = map[string]catalogPart{
	"bitcoin-core":            {30 * time.Minute, "nix-bitcoin; raspibolt 1035: 5 minutes were too short", "jsonrpc", []string{"/data/.bitcoin"}},
	"bitcoin-knots":           {30 * time.Minute, "nix-bitcoin; raspibolt 1035: 5 minutes were too short", "jsonrpc", []string{"/data", "/walletdata"}},
	"bitcoin-ui":              {30 * time.Second, "nothing to lose", "http", nil},
	"btcpay-server":           {time.Minute, "Umbrel, StartOS", "http", []string{"/datadir"}},
	"btcpay-server.nbxplorer": {time.Minute, "Umbrel, StartOS", "http", []string{"/datadir"}},
	"btcpay-server.db":        {2 * time.Minute, "docker-library/postgres 1207", "exec", []string{"/var/lib/postgresql/data"}},
	"electrs":                 {5 * time.Minute, "mynode; electrs doc/config.md asks for 1", "electrum", nil},
	"electrs-ui":              {30 * time.Second, "nothing to lose", "http", nil},
	"electrumx":               {30 * time.Minute, "electrumx contrib/systemd/electrumx.service", "electrum", []string{"/data"}},
	"electrumx-ui":            {30 * time.Second, "nothing to lose", "http", nil},
	"fedimint":                {2 * time.Minute, "not documented; a database", "http", []string{"/data"}},
	"fedimint-gateway":        {2 * time.Minute, "not documented; a database", "http", nil},
	"fulcrum":                 {5 * time.Minute, "Umbrel, raspiblitz; Fulcrum 41", "electrum", []string{"/data"}},
	"fulcrum-ui":              {30 * time.Second, "nothing to lose", "http", nil},
	"i2pd":                    {30 * time.Second, "nothing to lose", "http", []string{"/home/i2pd/data"}},
	"lnd":                     {time.Hour, "lnd contrib/init/lnd.service", "https", []string{"/root/.lnd"}},
	"lnd-ui":                  {30 * time.Second, "nothing to lose", "http", nil},
	"mempool":                 {30 * time.Second, "nothing to lose", "http", nil},
	"mempool.api":             {time.Minute, "mempool docker/docker-compose.yml", "http", nil},
	"mempool.db":              {2 * time.Minute, "DietPi 4899: a crash stops the next upgrade", "exec", []string{"/var/lib/mysql"}},
	"sftpgo":                  {30 * time.Second, "no special time", "http", nil},
	"tor.relay":               {30 * time.Second, "nothing to lose", "exec", nil},
	"tor":                     {30 * time.Second, "nothing to lose", "http", nil},
}

// catalogWaivers is what `check --strict` finds in the catalog, and why it stays.
var catalogWaivers = map[string]string{
	"bitcoin-knots: floating-image": "no digest is recorded for the image of the plain daemon",
	"electrumx: floating-image":     "no digest is recorded for the first version that knows every network",
	"sftpgo: floating-image":        "no digest is recorded for the variant without a shell",
	"tor: floating-image":           "no digest is recorded for the first version that reaches the network again, nor for nginx",
}

// catalogSets is the apps that are left out, so that the rest can be in one set:
// of each capability one provider.
var catalogSets = map[string][]string{
	"knots, electrs":   {"bitcoin-core", "electrumx", "electrumx-ui", "fulcrum", "fulcrum-ui"},
	"core, fulcrum":    {"bitcoin-knots", "electrs", "electrs-ui", "electrumx", "electrumx-ui"},
	"knots, electrumx": {"bitcoin-core", "electrs", "electrs-ui", "fulcrum", "fulcrum-ui"},
}

// TestCatalogKnows holds each container of the catalog to the table.
func TestCatalogKnows(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range catalogManifests(t) {
		set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
		for _, p := range set.Apps[0].Parts {
			name := m.Document.App.ID
			if p.Name != "main" {
				name += "." + p.Name
			}
			want, ok := catalogParts[name]
			if !ok {
				t.Errorf("%s is not in the table", name)
				continue
			}
			seen[name] = true
			if got := time.Duration(p.Stop.Timeout); got < want.stop {
				t.Errorf("%s gets %v to end, and needs %v (%s)", name, got, want.stop, want.says)
			}
			if got := kindOfProbe(p.Health.Serving); got != want.probe {
				t.Errorf("%s is asked by %q, not by %s", name, got, want.probe)
			}
			for _, v := range want.volumes {
				if !slices.ContainsFunc(p.Volumes, func(m manifests.Volume) bool { return m.Target == v }) {
					t.Errorf("%s: %s of the image is not mapped", name, v)
				}
			}
			for _, s := range p.Secrets {
				if s.Env != "" && s.Waiver == "" {
					t.Errorf("%s: the secret %s is in the environment, and nothing says why", name, s.Name)
				}
			}
		}
	}
	for name := range catalogParts {
		if !seen[name] {
			t.Errorf("the catalog has no %s", name)
		}
	}
}

// TestCatalogIsPinned: an image has a digest, or is among the waivers.
func TestCatalogIsPinned(t *testing.T) {
	seen := map[string]bool{}
	for name, without := range catalogSets {
		root := catalogSet(t, without, "mainnet")
		_, diags := compile(t, root, "5.4 user", true)
		for _, d := range diags {
			id := strings.TrimSuffix(filepath.Base(d.File), ".yaml")
			finding := id + ": " + string(d.Code)
			seen[finding] = true
			if d.Severity == diag.Error || catalogWaivers[finding] == "" {
				t.Errorf("%s: %v", name, d)
			}
		}
	}
	for finding := range catalogWaivers {
		if !seen[finding] {
			t.Errorf("the waiver %q is not needed any more", finding)
		}
	}
}

// TestCatalogRenders for each Podman, scope and network without a complaint, also
// of Podman's own converter.
func TestCatalogRenders(t *testing.T) {
	for name, without := range catalogSets {
		for _, network := range []string{"mainnet", "testnet4", "signet", "regtest"} {
			root := catalogSet(t, without, network)
			for _, target := range []string{"4.9 user", "4.9 system", "5.4 user", "5.4 system", "5.8 user", "5.8 system"} {
				files, diags := compile(t, root, target, false)
				if len(diags) > 0 || len(files) == 0 {
					t.Errorf("%s, %s, Podman %s: %v", name, network, target, diags)
				}
			}
		}
	}
}

// TestCatalogExcludes: the apps that can't run beside each other say so.
func TestCatalogExcludes(t *testing.T) {
	_, diags := compile(t, catalogSet(t, nil, "mainnet"), "5.4 user", false)
	codes := make([]string, 0, len(diags))
	for _, d := range diags {
		codes = append(codes, string(d.Code))
	}
	slices.Sort(codes)
	if got := slices.Compact(codes); !slices.Equal(got, []string{"conflict", "port-clash"}) {
		t.Errorf("got %v", got)
	}
}

// TestCatalogOnions: Tor's configuration lists each page of the catalog under an address from
// which the relay forwards to the app. Adding or removing a page changes neither the address
// of another one nor the unit files of Tor.
func TestCatalogOnions(t *testing.T) {
	of := func(without ...string) units.Set {
		files, diags := compile(t, catalogSet(t, append(without, catalogSets["knots, electrs"]...), "mainnet"), "5.4 user", false)
		if len(diags) > 0 {
			t.Fatal(diags)
		}
		return files
	}
	all, less := of(), of("fedimint", "fedimint-gateway")
	for _, name := range []string{"archipelago-tor.recipe", "archipelago-tor.relay.recipe"} {
		before, _ := all.Find(name)
		after, _ := less.Find(name)
		const btcpay = `{"app":"btcpay-server","host":"btcpay-server","port":3003,"virtual":80,"address":"127.81.112.76:21750"}`
		for _, f := range []units.File{before, after} {
			if !strings.Contains(string(f.Content), btcpay) {
				t.Errorf("no %s in\n%s", btcpay, f.Content)
			}
		}
		if !strings.Contains(string(before.Content), `{"app":"fedimint","host":"fedimint","port":`) || before.Digest == after.Digest {
			t.Errorf("fedimint makes no difference in\n%s", before.Content)
		}
	}
	for _, name := range []string{"app@tor.container", "app@tor.relay.container"} {
		before, _ := all.Find(name)
		after, ok := less.Find(name)
		if !ok || string(before.Content) != string(after.Content) {
			t.Errorf("%s is another file:\n%s", name, after.Content)
		}
	}
}

// catalogSet is a root with the catalog as installed apps, less some.
func catalogSet(t *testing.T, without []string, network string) string {
	t.Helper()
	root := t.TempDir()
	write(t, filepath.Join(root, filepath.Dir(appsDir), settingsName), fmt.Appendf(nil, "network = %q\n", network))
	err := fs.WalkDir(os.DirFS(catalogDir), ".", func(name string, d fs.DirEntry, err error) error {
		id, _, _ := strings.Cut(name, ".")
		if err != nil || d.IsDir() || filepath.Ext(name) == ".go" || slices.Contains(without, id) {
			return err
		}
		data, err := os.ReadFile(filepath.Join(catalogDir, name))
		write(t, filepath.Join(root, appsDir, name), data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func catalogManifests(t *testing.T) []*manifests.Manifest {
	t.Helper()
	var loaded manifests.Loaded
	if diags := loaded.LoadDirs([]string{catalogDir}); diags.HasErrors() {
		t.Fatal(diags)
	}
	return loaded.Manifests
}

// kindOfProbe is how a probe asks, as the manifest calls it.
func kindOfProbe(p *manifests.Probe) string {
	switch q := p.Question(); {
	case q != nil:
		return q.Kind
	case p != nil:
		return "exec"
	}
	return ""
}

// TestCatalogIsConfined: every container of the catalog has a read-only root, a user and a
// digest, or a comment that says why not.
func TestCatalogIsConfined(t *testing.T) {
	t.Parallel()
	files, err := catalog.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: f.Name, Data: f.Data}})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
		lines := strings.Split(string(f.Data), "\n")
		for _, p := range set.Apps[0].Parts {
			_, line, _ := m.Position(p.Path + ".image")
			about := strings.Join(lines[max(line-7, 0):min(line+3, len(lines))], "\n")
			for what, is := range map[string]bool{
				"Not read_only": p.ReadOnly, "No user": p.User != "", "No digest": strings.Contains(p.Image, "@sha256:"),
			} {
				about := strings.Join(strings.Fields(strings.ReplaceAll(about, "#", "")), " ")
				isSaid := strings.Contains(about, what) || what == "No user" && strings.Contains(string(f.Data), "The image runs as root")
				if !is && !isSaid {
					t.Errorf("%s: %s: no comment beside the image says %q", f.Name, p.Path, what)
				}
			}
		}
	}
}
