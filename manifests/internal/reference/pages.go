package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
)

const manifestIntro = `# The manifest

<!-- Generated from manifests/schema.go by make generate. -->

One file describes one app, in YAML (` + "`ID.yaml`" + `) or TOML (` + "`ID.toml`" + `) with the same
names. The smallest manifest:

` + "```yaml" + `
app: {id: x, name: x, version: 1.0.0, container: {image: docker.io/library/x:1}}
` + "```" + `

Values are text as written: ` + "`1.10`" + ` stays ` + "`1.10`" + `. Anchors and aliases are not accepted.

## Overlays

Files in ` + "`ID.d/`" + ` beside the manifest, ` + "`*.yaml`" + ` or ` + "`*.toml`" + `, are merged over it in the order
of their names. Maps are merged by key; other values are replaced. Lists are replaced,
too, unless the overlay writes the key with a plus: ` + "`ports+: […]`" + ` appends. ` + "`key: null`" + `
removes a value.

## Initial content of volumes

A seed is the content that a named volume begins with: default settings, a theme, an empty
database, or a file that the app changes later. Its files are in ` + "`ID.files/`" + ` beside the manifest,
where templates are, and can be binary:

` + "```yaml" + `
app:
  id: web
  volumes:
    data:
      seed:
        .: defaults              # all that is in web.files/defaults/
        conf/web.conf: web.conf  # one file; it takes precedence over defaults/conf/web.conf
` + "```" + `

archgen copies a seed once, when it makes the volume, and byte for byte: no template is rendered and no
variable replaced. From then on the files belong to the app: a volume that holds anything is never
touched, also by another version of the manifest with another seed, and one that the app has emptied
stays empty. ` + "`archgen remove --purge`" + ` or ` + "`podman volume rm`" + ` deletes it, and the next start makes it again with the
seed of that time. For a file that has to follow the manifest, use ` + "`files`" + `.

- The seed is put over what the image has at the mount point, and replaces only the files that it
  names: a program expects the rest of that content.
- The files belong to the container's user, like the rest of a new volume, and have the mode 0644, or
  0755 if they are executable. New directories have 0755. If the manifest sets no ` + "`user`" + ` and the
  image starts as root, a file belongs to the owner of its directory.
- A file or folder in ` + "`ID.d/files/`" + ` takes precedence over the one of that name in ` + "`ID.files/`" + `, as a
  whole. To add or replace one file on this machine, add its path to ` + "`seed`" + ` in an overlay.
- Links are refused, and empty folders left out. The seeds of an app may have 4 MiB in 1,000 files together. A
  volume with ` + "`device`" + `, a mount with ` + "`chown`" + ` and a part with ` + "`userns: auto`" + ` are refused. With
  ` + "`existing`" + `, which adoption writes, a seed has no effect.
- The start fails if the seed can't be put into the volume, for example because a container that is not
  of the app uses the empty volume: the program would make its own defaults, and the seed would never
  be used.

The units hold the seed (` + "`archipelago-ID.recipe`" + `), also those in an image of an operating system. So the
bytes are those that were checked, no container can change them, and a rollback restores them. A seed is no
place for a secret: other users may read it.

`

// manifestPage writes the reference of all keys.
func manifestPage(types []structType) []byte {
	var b bytes.Buffer
	b.WriteString(manifestIntro)
	b.WriteString("## Variables\n\nThe values of `env`, `command`, `entrypoint`, `hostname`, `aliases` and the `exec` of a probe,\nand the names of `hosts`, can contain `${NAME}` or `${NAME:-default}`. No other key replaces\nvariables: archgen refuses a variable of this list there, and warns about any other `${…}`.\n`$${` is a literal `${` everywhere. A value of a capability with `optional: true` needs a default,\nwhich holds while no app provides it: `${capability.tor.host:-none}`.\n\nThe variables of `machine` and `volume` and the subnets are known only when a container starts. archgen determines\nthem before each start, so the units are the same on every machine. They are replaced in `env`,\n`command`, `entrypoint` and the `exec` of a probe. Their default holds while the machine has no such\nvalue: `${machine.address:-127.0.0.1}`. If a value changes, such as the address by DHCP, healthd or the\nnext `archgen apply` restarts the containers that name it, and no others. A machine that loses its\nnetwork counts as unchanged until it has an address again. The file of a `volume` must exist before\nthe start, or the variable needs a default. Its first line can have letters, digits and\n`. _ - + = : , @ /`. Every user of the machine can read it where it is an argument: it is no place for a\nsecret. A change of the file restarts the container only if the user who runs Podman can read the file\nwithout the container's user namespace.\n\n| variable | meaning |\n|---|---|\n")
	for _, v := range manifests.Variables {
		fmt.Fprintf(&b, "| `${%s}` | %s |\n", v.Name, v.Meaning)
	}
	b.WriteString("\n## Keys\n")
	for _, t := range types {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| key | value | meaning |\n|---|---|---|\n", title(t), cell(prose(t)))
		for _, f := range t.fields {
			fmt.Fprintf(&b, "| `%s`%s | %s | %s |\n", f.key, required(f), cell(valueText(f)), cell(f.doc))
		}
	}
	return b.Bytes()
}

// title is what a struct is called where readers see it.
func title(t structType) string {
	switch t.name {
	case "Document":
		return "The file"
	case "Settings":
		return "Settings of the node (archipelago.toml)"
	}
	return t.name
}

// prose is a struct's comment without the Go name that it begins with.
func prose(t structType) string {
	text := strings.ReplaceAll(t.doc, "\n", " ")
	rest, ok := strings.CutPrefix(text, t.name+" ")
	if !ok {
		return text
	}
	return strings.ToUpper(rest[:1]) + rest[1:]
}

func required(f field) string {
	if f.tag.Get("need") == "required" {
		return " (required)"
	}
	return ""
}

// valueText says what a key takes.
func valueText(f field) string {
	inner, kind := element(f.typ)
	text := innerText(inner, f)
	switch kind {
	case "list":
		text = "list of " + text
	case "map":
		text = "map of name to " + text
	}
	lowest, highest := f.tag.Get("min"), f.tag.Get("max")
	switch {
	case lowest != "" && highest != "":
		text += ", " + lowest + " to " + highest
	case lowest != "":
		text += ", at least " + lowest
	case highest != "":
		text += ", at most " + highest
	}
	if d := f.tag.Get("default"); d != "" {
		text += "; default: " + d
	}
	return text
}

func innerText(typ string, f field) string {
	if more, kind := element(typ); kind == "map" {
		inner, _ := element(more)
		return "map of name to list of " + scalars[inner]
	}
	if words := f.tag.Get("enum"); words != "" {
		return "`" + strings.ReplaceAll(words, "|", "`, `") + "`"
	}
	if text, ok := scalars[typ]; ok {
		if text == "text" && f.tag.Get("pattern") != "" {
			return manifests.PatternText(f.tag.Get("pattern"))
		}
		return text
	}
	return "[" + typ + "](#" + strings.ToLower(typ) + ")"
}

// cell makes text fit into a table.
func cell(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\n", " "), "|", "\\|")
}

// diagnosticsPage writes the reference of all codes.
func diagnosticsPage() []byte {
	var b bytes.Buffer
	b.WriteString("# Diagnostics\n\n<!-- Generated from manifests/diag/codes.go by make generate. -->\n\nEvery finding of `archgen` carries a code that never changes its meaning.\n\n| code | meaning | what to do |\n|---|---|---|\n")
	for _, e := range diag.Codes {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.Code, cell(e.Meaning), cell(e.Mend))
	}
	return b.Bytes()
}
