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

The apps that archgen includes: a complete Bitcoin node. ` + "`archgen catalog`" + ` lists them.
` + "`archgen catalog show ID`" + ` prints this page for one app, and with ` + "`--manifest`" + ` its
manifest, whose comments give the reason for each value. ` + "`archgen install ID`" + ` installs an
app with its companions, and ` + "`archgen graph`" + ` draws the installed apps. [Rights](#rights)
lists what each app can do beyond its own containers; [rights.md](rights.md) explains the
rights.

    archgen install bitcoin-knots
    archgen install electrs mempool lnd

## Bitcoin network

` + "`network`" + ` in ` + "`archipelago.toml`" + ` is ` + "`mainnet`" + `, ` + "`testnet4`" + `, ` + "`signet`" + ` or ` + "`regtest`" + `, for all apps.
The ports of this page are the same on each. ` + "`archgen check`" + ` and ` + "`install`" + ` refuse an app
that does not support the network.

    network = "signet"

` + "`bitcoin-cli`" + ` and ` + "`lncli`" + ` are in the containers of the node and of LND:

    podman exec bitcoin-knots bitcoin-cli -getinfo
    podman exec -it lnd lncli --network signet getinfo

## Replacing an app

An app can replace another one that provides the same capability: consumers name the
capability, and are restarted with the new password. Knots and Core can use each other's
volumes, so the blocks are not downloaded again. In
` + "`~/.config/archipelago/apps/bitcoin-core.d/data.yaml`" + `:

    app:
      volumes:
        data: {existing: bitcoin-knots.data}
        wallet: {existing: bitcoin-knots.wallet}

    archgen install --replace bitcoin-knots bitcoin-core

The volumes and secrets of the replaced app remain. Electrs, Fulcrum and ElectrumX can
replace each other in the same way.

A newer version of an app may change the data so that an older one can't read it.

## RPC users of the node

The node has an RPC user for each app of the catalog that uses its RPC, with a separate
password, such as the secret ` + "`bitcoin-knots.rpc-electrs`" + `. Most users can query the chain and
send transactions, but can't stop the node or use its wallet; btcpay-server, fedimint and
fedimint-gateway have full access. An app that is not in the catalog is the user ` + "`guest`" + `,
with the same limits. The user ` + "`archipelago`" + ` has full access and is for the operator:

    archgen secret show bitcoin-knots.rpc-password

## Hidden services

If tor is installed, each page with a login has a hidden service: BTCPay Server, Fedimint
and its gateway. Tor creates the address when it starts:

    archgen install tor
    podman exec tor cat /data/onion-btcpay-server-80/hostname

The app itself is told it by ` + "`${onion.web}`" + `, and an app that requires a capability of it by
` + "`${capability.NAME.onion}`" + `: see [manifest.md](manifest.md#variables).

Everyone who knows the address sees the login. A page without a login has no hidden service;
an overlay such as ` + "`mempool.d/onion.yaml`" + ` adds one:

    app: {onion: [{port: web, virtual: 80}]}

Do not do that for lnd-ui: everyone who knows the address could spend the funds of LND.

## Access from the network

User interfaces, RPC and databases listen on loopback only. Ports for other nodes listen on
every address. An overlay opens another port, such as ` + "`electrs.d/open.yaml`" + ` for wallets in
the local network:

    app: {container: {ports: [{name: electrum, host: 50001, container: 50001, bind: 0.0.0.0}]}}

Do not open the page of LND: it has no login.

## Electrum servers

The pages of Fulcrum and ElectrumX use the server's admin port, which can stop the server
and needs no password. That port listens on a network that only the page shares and that
Podman does not route to others. Neither server limits connections or requests by address,
since all clients have the same one.

## Lightning

The page of LND creates a wallet with a separate password, the secret
` + "`lnd-ui.wallet-password`" + `, and unlocks it after each restart. Once the wallet exists, the
secret can't be rotated: the page does not start with another value, and
` + "`archgen secret rotate`" + ` restores the previous one. A wallet that was created with a version
of the catalog before that secret keeps the password from the source of the page,
` + "`moneyprintergobrrr`" + `, until ` + "`lncli changepassword`" + ` changes it; the page then no longer
unlocks it. Unlock a wallet that ` + "`lncli create`" + ` created by hand:

    podman exec -it lnd lncli unlock

The page stores the seed in the file ` + "`state.json`" + ` of its volume, which no backup contains.
It uploads nothing unless automatic backups are enabled in its settings; an installation of
an earlier version has them enabled.

## The database of BTCPay

Every backup needs a dump of the database. Write it to the volume ` + "`dump`" + `:

    podman exec btcpay-server.db sh -c 'pg_dumpall -U btcpay >/dump/btcpay.sql'

To restore, restore the volumes ` + "`web`" + `, ` + "`nbxplorer`" + ` and ` + "`dump`" + `, and install
` + "`btcpay-server`" + `: without a database, it reads the dump at its first start.

Write a dump before you update an installation with PostgreSQL 13. Without it the update
fails, and the previous version keeps running:

    podman exec btcpay-server.db sh -c 'pg_dumpall -U btcpay >/var/lib/postgresql/data/btcpay.sql'
    archgen install btcpay-server

The data of version 13 remains in the volume, beside the directory ` + "`17`" + ` of the new one. When
the shop works, delete the old data and the dump:

    podman exec btcpay-server.db sh -c 'cd /var/lib/postgresql/data && find . -mindepth 1 -maxdepth 1 ! -name 17 -exec rm -r {} +'

## The database of mempool

MariaDB upgrades the database of an earlier version at its first start. This can't be undone.
If it fails, mempool can rebuild the database from the chain:

    archgen stop mempool
    podman volume rm mempool.db
    archgen start mempool

## Files

SFTPGo replaces File Browser, whose authors discontinued it on 2026-09-01 without fixing
known vulnerabilities in its login. SFTPGo is maintained, has a login for each user, runs
unprivileged in an image without a shell, and stores files unchanged in a directory. The
first password is a secret:

    archgen secret show sftpgo.password

To keep the files, name the volume of File Browser in
` + "`~/.config/archipelago/apps/sftpgo.d/data.yaml`" + `:

    app: {volumes: {files: {existing: filebrowser.files}}}

    archgen install --replace filebrowser sftpgo

Create users and shares again. The volumes ` + "`filebrowser.database`" + ` and
` + "`filebrowser.config`" + ` are no longer used.

## Without the internet

All apps start without the internet except two. The API of mempool exits until it has
downloaded the list of mining pools once. The guardians of fedimint reach each other over
the internet. The node downloads blocks when it is online.
`

// catalogPage describes the apps of the catalog, and what each needs from the machine.
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
	tested, err := testedTable(apps)
	if err != nil {
		return nil, err
	}
	table(&b, tested)
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
		set, _ := manifests.Resolve([]*manifests.Manifest{m}, manifests.DefaultSettings())
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
