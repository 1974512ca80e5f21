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
one with its companions, and ` + "`archgen graph`" + ` draws what is installed. [Rights](#rights)
lists what each app can do beyond its own containers, [rights.md](rights.md) what the words
mean.

    archgen install bitcoin-knots
    archgen install electrs mempool lnd

## One network for all

` + "`network`" + ` in ` + "`archipelago.toml`" + ` is ` + "`mainnet`" + `, ` + "`testnet4`" + `, ` + "`signet`" + ` or ` + "`regtest`" + `, for every app
at once. The ports of this page are the same on each. An app that does not know the
network is refused by ` + "`archgen check`" + ` and ` + "`install`" + `.

    network = "signet"

` + "`bitcoin-cli`" + ` and ` + "`lncli`" + ` are in the containers of the node and of LND:

    podman exec bitcoin-knots bitcoin-cli -getinfo
    podman exec -it lnd lncli --network signet getinfo

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

## Who may do what with the node

The node has an RPC user for each app of the catalog that asks it, with a password of its
own, such as the secret ` + "`bitcoin-knots.rpc-electrs`" + `. Most may ask for the chain and send
transactions, and can't stop the node nor use its wallet; btcpay-server, fedimint and
fedimint-gateway may do everything. An app that is not of the catalog is the user ` + "`guest`" + `,
with the same limits. ` + "`archipelago`" + ` may do everything and is for people:

    archgen secret show bitcoin-knots.rpc-password

## Hidden services

Where tor is installed, the pages that have a login have a hidden service each: BTCPay
Server, Fedimint and its gateway. Tor makes its address when it starts:

    archgen install tor
    podman exec tor cat /data/onion-btcpay-server-80/hostname

Everyone who knows the address sees the login. A page without one has no hidden service;
an overlay gives it one, such as ` + "`mempool.d/onion.yaml`" + `:

    app: {onion: [{port: web, virtual: 80}]}

Do not do that for lnd-ui: everyone who knows the address could spend the money of LND.

## Reached from outside

User interfaces, RPC and databases listen on this machine alone; what other nodes have to
reach listens on every address. An overlay opens more, such as
` + "`electrs.d/open.yaml`" + ` for wallets in the network:

    app: {container: {ports: [{name: electrum, host: 50001, container: 50001, bind: 0.0.0.0}]}}

Don't open the page of LND: it has no login.

## Electrum servers

The page of Fulcrum and that of ElectrumX ask the server's admin port, which can stop the
server and asks for no password. That port listens on a network that only the page shares
and that Podman does not route to others. Neither server counts connections or requests
by address: all clients arrive with one.

## Lightning

The page of LND makes a wallet with a password of its own, the secret
` + "`lnd-ui.wallet-password`" + `, and unlocks it after each restart. Once the wallet is made, the
secret can't be rotated: the page does not start with another value, and
` + "`archgen secret rotate`" + ` puts the earlier one back. A wallet that was made with a version of
the catalog before that secret keeps the password that is in the source of the page,
` + "`moneyprintergobrrr`" + `, until ` + "`lncli changepassword`" + ` gives it another; the page then no longer
unlocks it. A wallet that ` + "`lncli create`" + ` made is unlocked by hand:

    podman exec -it lnd lncli unlock

The page keeps the seed in the file ` + "`state.json`" + ` of its volume, which no backup has. It
uploads nothing, unless automatic backups are turned on in its pages; an installation of
an earlier version has them on.

## The database of BTCPay

A dump of the database belongs into every backup. It goes into the volume ` + "`dump`" + `:

    podman exec btcpay-server.db sh -c 'pg_dumpall -U btcpay >/dump/btcpay.sql'

To restore, put the volumes ` + "`web`" + `, ` + "`nbxplorer`" + ` and ` + "`dump`" + ` back, and install
` + "`btcpay-server`" + `: where there is no database, the dump is read at the first start.

An installation with PostgreSQL 13 writes a dump before it is updated. Without it the
update fails, and the earlier version goes on running:

    podman exec btcpay-server.db sh -c 'pg_dumpall -U btcpay >/var/lib/postgresql/data/btcpay.sql'
    archgen install btcpay-server

The data of version 13 stays in the volume, beside the directory ` + "`17`" + ` of the new one. Once
the shop works, delete it and the dump:

    podman exec btcpay-server.db sh -c 'cd /var/lib/postgresql/data && find . -mindepth 1 -maxdepth 1 ! -name 17 -exec rm -r {} +'

## The database of mempool

MariaDB brings the database of an earlier version to its own at the first start. There is
no way back. If that fails, the database can be made again from the chain:

    archgen stop mempool
    podman volume rm mempool.db
    archgen start mempool

## Files

SFTPGo takes the place of File Browser, whose authors ended it on 2026-09-01 without
fixing known faults in its logins. SFTPGo was chosen because it is maintained, has a login
for each user, runs without rights of its own in an image without a shell, and keeps files
as they are in a directory. The first password comes from a secret:

    archgen secret show sftpgo.password

To go over with the files, name the volume of File Browser in
` + "`~/.config/archipelago/apps/sftpgo.d/data.yaml`" + `:

    app: {volumes: {files: {existing: filebrowser.files}}}

    archgen install --replace filebrowser sftpgo

Users and shares have to be made again. The volumes ` + "`filebrowser.database`" + ` and
` + "`filebrowser.config`" + ` are not used any more.

## Without the internet

Everything starts without the internet except mempool, whose API ends until it has read
the list of mining pools once, and fedimint, where guardians reach each other over the
internet. The node downloads blocks when it is online.
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
