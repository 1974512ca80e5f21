package main

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/datasheet"
)

const catalogIntro = `# The catalog

<!-- Generated from manifests/catalog by make generate. -->

The apps that archgen brings: a whole Bitcoin node. ` + "`archgen catalog`" + ` lists them,
` + "`archgen catalog show ID`" + ` prints what this page has of one, and with ` + "`--manifest`" + ` its
manifest, whose comments say why each value is what it is. ` + "`archgen install ID`" + ` installs
one with its companions, and ` + "`archgen graph`" + ` draws what is installed.

    archgen install bitcoin-knots
    archgen install electrs mempool lnd

## One network for all

` + "`network`" + ` in ` + "`archipelago.toml`" + ` is ` + "`mainnet`" + `, ` + "`testnet4`" + `, ` + "`signet`" + ` or ` + "`regtest`" + `, for every app
at once. The ports of this page are the same on each.

    network = "signet"

## One app in place of another

Apps that provide the same capability take each other's place: consumers name the
capability, and are restarted with the new password. The blocks need not be
downloaded again, since the volumes of Knots and Core fit each other. In
` + "`~/.config/archipelago/apps/bitcoin-core.d/data.yaml`" + `:

    app:
      volumes:
        data: {existing: bitcoin-knots.data}
        wallet: {existing: bitcoin-knots.wallet}

    archgen install --replace bitcoin-knots bitcoin-core

The volumes and secrets of what is replaced stay. The same is done with electrs, Fulcrum
and ElectrumX.

A newer version of the same may change the data so that an older one can't read it.

## Hidden services

Where tor is installed, the pages of the others have a hidden service each. Tor makes its
address when it starts:

    archgen install tor
    podman exec tor cat /data/onion-mempool-80/hostname

Who knows the address sees the page, so give it to nobody whom it does not concern.

## Reached from outside

User interfaces, RPC and databases listen on this machine alone; what other nodes have to
reach listens on every address. An overlay opens more, such as
` + "`electrs.d/open.yaml`" + ` for wallets in the network:

    app: {container: {ports: [{name: electrum, host: 50001, container: 50001, bind: 0.0.0.0}]}}
`

// catalogPage writes what the catalog's apps are, and what each wants of the
// machine, with every default filled in.
func catalogPage() ([]byte, error) {
	apps, err := catalogApps()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(catalogIntro)
	for _, t := range datasheet.Of(apps, func(name string) string { return "`" + name + "`" }) {
		if len(t.Rows) > 0 {
			table(&b, t)
		}
	}
	return b.Bytes(), nil
}

func catalogApps() ([]*manifests.Resolved, error) {
	files, err := catalog.Files()
	if err != nil {
		return nil, err
	}
	apps := make([]*manifests.Resolved, 0, len(files))
	for _, f := range files {
		m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: filepath.Join("manifests/catalog", f.Name), Data: f.Data}})
		if diags.HasErrors() {
			return nil, fmt.Errorf("the catalog has a mistake: %v", diags[0])
		}
		// What it requires of others is not there, and is not asked for.
		set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.Settings{})
		apps = append(apps, set.Apps...)
	}
	slices.SortFunc(apps, func(a, b *manifests.Resolved) int { return cmp.Compare(a.ID(), b.ID()) })
	return apps, nil
}

func table(b *bytes.Buffer, t datasheet.Table) {
	fmt.Fprintf(b, "\n## %s\n\n", t.Title)
	if t.Text != "" {
		fmt.Fprintf(b, "%s\n\n", t.Text)
	}
	row(b, t.Heads)
	fmt.Fprintf(b, "|%s\n", strings.Repeat("---|", len(t.Heads)))
	for _, cells := range t.Rows {
		row(b, cells)
	}
}

func row(b *bytes.Buffer, cells []string) {
	safe := make([]string, 0, len(cells))
	for _, text := range cells {
		safe = append(safe, cell(text))
	}
	fmt.Fprintf(b, "| %s |\n", strings.Join(safe, " | "))
}
