package main

import (
	"bytes"
	"fmt"

	"github.com/archipelago-os/archipelago/manifests/rights"
)

const rightsIntro = `# Rights

<!-- Generated from manifests/rights by make generate. -->

A right is something that an app can do beyond its own containers. The manifest asks for
it with a key, such as a host path or a published port. Beyond the safe set, an app has only
the rights that the operator grants. archgen refuses an app that asks for another one; if it
is installed, its previous version keeps running. These commands list the rights of an app:

| command | rights |
|---|---|
| ` + "`archgen catalog show ID`" + ` | of an app of the catalog, before it is installed |
| ` + "`archgen rights FILE`" + ` | of a manifest, with the line and column that ask for each right |
| ` + "`archgen install`" + ` | of a new app, or those that a new manifest adds, before it starts anything; without the safe set |
| ` + "`archgen rights`, `archgen status ID`" + ` | of installed apps, with their overlays |
| ` + "`archgen check --strict`" + ` | fails for a right that is high or critical |

## Grants

An app has a right beyond the safe set for one of these reasons:

| | |
|---|---|
| a grant | ` + "`ID.d/grants.toml`" + ` beside the manifest: ` + "`allow = [\"use:bitcoin-rpc\", \"listen\"]`" + `. A right is granted by its ID, or by its kind. ` + "`archgen install`" + ` writes the file from the answer to its question or from ` + "`--allow`" + `, ` + "`archgen grant`" + ` and ` + "`archgen revoke`" + ` change it, and so can a text editor or an image build (` + "`archgen grant --root`" + `). As with other overlays, the first directory that has the file counts. |
| the settings | ` + "`allow`" + ` in ` + "`archipelago.toml`" + `, for all apps. |
| an overlay | What an overlay asks for needs no grant: only the operator writes one. |
| the catalog of archgen | An app whose manifest and templates are those of archgen's own catalog, unchanged, has what it asks for; the first pass writes the grants. An app of another catalog needs grants like any manifest; ` + "`archgen install`" + ` writes those that ` + "`allow`" + ` in the file of the catalog lists. |
| before there were grants | An app that was rendered by a version without grants keeps what it has; the first pass writes the grants. |

A manifest can't grant itself anything: it has no key ` + "`allow`" + `, and ` + "`archgen install`" + ` copies
the manifest and its templates, never the content of ` + "`ID.d`" + `.

A new manifest that asks for more waits: the running version keeps running until the right is
granted. Revoking a right of a running app stops the app and removes its units; its data
remains. ` + "`archgen remove`" + ` removes the grants with the app.
` + "`archgen render FILE`" + ` and ` + "`archgen check FILE`" + ` of a manifest that is not installed need grants
only where unit files are written.

## Severity

| severity | the app can |
|---|---|
| ` + "`low`" + ` | be noticed by other apps, none of which has to trust it. These rights are the safe set. |
| ` + "`medium`" + ` | reach the network or an app that offers itself, be reached from outside, or weaken a limit. |
| ` + "`high`" + ` | read or change what belongs to the host or to another app, or run with less confinement. |
| ` + "`critical`" + ` | take over the account that runs the apps (root, with ` + "`--system`" + `), or another app. |

` + "`check --strict`" + ` does not report rights that are low or medium: a node has to listen on every
address for other nodes, and a wallet has to use the node. A database that listens beyond
loopback has a separate code, ` + "`published-database`" + `.

## Kinds

The ID of a right is its kind, or ` + "`KIND:SUBJECT`" + `. IDs are stable: they do not depend on
the part or the line that asks for the right.

| right | what the app can do |
|---|---|
`

// rightsPage writes the reference of all kinds of rights.
func rightsPage() []byte {
	var b bytes.Buffer
	b.WriteString(rightsIntro)
	for _, k := range rights.Kinds {
		id := string(k.Kind)
		if k.Subject != "" {
			id += ":" + k.Subject
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", id, cell(k.Meaning))
	}
	return b.Bytes()
}
