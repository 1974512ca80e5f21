package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog"
)

const catalogIntro = `# The catalog

<!-- Generated from manifests/catalog by make generate. -->

The apps that archgen brings: a whole Bitcoin node. ` + "`archgen catalog`" + ` lists them,
` + "`archgen catalog show ID`" + ` prints a manifest, whose comments say why each value is what
it is, ` + "`archgen install ID`" + ` installs one with its companions, and ` + "`archgen graph`" + ` draws
what is installed.

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
	table(&b, "Apps", "What is optional stands in brackets.", []string{"app", "version", "what it is", "provides", "requires", "companions"})
	for _, a := range apps {
		app := &a.Document.App
		row(&b, mono(app.ID), app.Version, app.Description, monos(provided(app)), requirements(app), monos(app.Companions))
	}
	table(&b, "Ports", "", []string{"app", "port", "of the host", "from where", "in the container"})
	each(apps, func(name string, p manifests.Part) {
		for _, port := range p.Ports {
			host, from := "", "other containers"
			if port.Host != 0 {
				host, from = fmt.Sprintf("%d/%s", port.Host, port.Protocol), "this machine"
			}
			if port.Host != 0 && port.Bind != "127.0.0.1" {
				from = "everywhere"
			}
			row(&b, mono(name), port.Name, host, from, strconv.Itoa(port.Container))
		}
	})
	table(&b, "Data", "Volumes are `ID.NAME` to Podman. All stay when an app is removed, unless with `--purge`.", []string{"app", "volume", "in the container", "not in a backup"})
	each(apps, func(name string, p manifests.Part) {
		for _, v := range p.Volumes {
			if v.Name != "" {
				row(&b, mono(name), volumeName(v), v.Target, monos(excluded(apps, name, v)))
			}
		}
	})
	table(&b, "Times and checks", "A start that is not done in its time has failed, but for an app that says it is loading. An end that is not done in its time is cut off.", []string{"app", "start", "stop", "serves when", "has caught up when"})
	each(apps, func(name string, p manifests.Part) {
		row(&b, mono(name), p.Start.Timeout.String(), p.Stop.Timeout.String(), question(p.Health.Serving), question(p.Health.Synced))
	})
	table(&b, "Images", "", []string{"app", "image", "digest"})
	each(apps, func(name string, p manifests.Part) {
		image, digest, _ := strings.Cut(p.Image, "@")
		row(&b, mono(name), mono(image), cmp.Or(shortDigest(digest), "none is recorded"))
	})
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

func each(apps []*manifests.Resolved, do func(name string, p manifests.Part)) {
	for _, a := range apps {
		for _, p := range a.Parts {
			name := a.ID()
			if p.Name != "main" {
				name += "." + p.Name
			}
			do(name, p)
		}
	}
}

func table(b *bytes.Buffer, title, text string, heads []string) {
	fmt.Fprintf(b, "\n## %s\n\n", title)
	if text != "" {
		fmt.Fprintf(b, "%s\n\n", text)
	}
	row(b, heads...)
	fmt.Fprintf(b, "|%s\n", strings.Repeat("---|", len(heads)))
}

func row(b *bytes.Buffer, cells ...string) {
	for i := range cells {
		cells[i] = cell(cells[i])
	}
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

func mono(s string) string { return "`" + s + "`" }

func monos(list []string) string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, mono(s))
	}
	return strings.Join(out, ", ")
}

func provided(app *manifests.App) []string {
	list := make([]string, 0, len(app.Provides))
	for _, p := range app.Provides {
		list = append(list, p.Capability)
	}
	return list
}

func requirements(app *manifests.App) string {
	list := make([]string, 0, len(app.Requires))
	for _, r := range app.Requires {
		text := mono(r.Capability)
		if r.Optional {
			text = "(" + text + ")"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

func volumeName(v manifests.Volume) string {
	if v.App != "" {
		return mono(v.App+"."+v.Name) + ", to read"
	}
	return mono(v.Name)
}

// excluded is what backups leave out of a volume of the app itself.
func excluded(apps []*manifests.Resolved, name string, v manifests.Volume) []string {
	id, _, _ := strings.Cut(name, ".")
	i := slices.IndexFunc(apps, func(a *manifests.Resolved) bool { return a.ID() == id })
	if v.App != "" || i < 0 {
		return nil
	}
	var list []string
	for _, e := range apps[i].Document.App.Data.Backup.Exclude {
		if of, _, _ := strings.Cut(e, "/"); of == v.Name {
			list = append(list, e)
		}
	}
	return list
}

// question is what a probe asks, in a few words.
func question(p *manifests.Probe) string {
	switch {
	case p == nil:
		return ""
	case p.HTTP != nil:
		return page("http", p.HTTP)
	case p.HTTPS != nil:
		return page("https", p.HTTPS)
	case p.JSONRPC != nil:
		words := []string{mono(p.JSONRPC.Method), "answers"}
		for _, k := range slices.Sorted(maps.Keys(p.JSONRPC.Expect)) {
			words = append(words, "with", mono(k+": "+p.JSONRPC.Expect[k]))
		}
		return strings.Join(words, " ")
	case p.Electrum != nil:
		return mono("server.version") + " answers"
	case len(p.Exec) > 0:
		return mono(p.Exec[0]) + " in the container succeeds"
	}
	return "its port is open"
}

func page(scheme string, h *manifests.HTTPProbe) string {
	text := scheme + " " + mono(cmp.Or(h.Path, "/")) + " answers"
	if h.Contains != "" {
		text += " with " + mono(h.Contains)
	}
	if len(h.Status) > 0 {
		text += " " + strings.Trim(strings.ReplaceAll(fmt.Sprint(h.Status), " ", ", "), "[]")
	}
	return text
}

func shortDigest(digest string) string {
	const shown = len("sha256:") + 12
	if len(digest) < shown {
		return ""
	}
	return mono(digest[:shown] + "…")
}
