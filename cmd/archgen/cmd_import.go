package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/imports"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/manifests/importer"
)

type importOptions struct {
	out, id, answersFile string
	set                  []string
	partial, force       bool
	asJSON               bool
}

func (c *cli) importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Write the manifest of an app that something else describes",
		Long: `import writes a manifest from a description that another program reads. It
reports what happens to each key of the source: kept, asked, approximated,
dropped or refused, with its position and what to do.`,
		Example: `  archgen import compose ./wiki
  archgen import quadlet ~/.config/containers/systemd
  archgen import run -- podman run -d -p 8080:80 nginx:1.27`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, verb := range importVerbs {
		cmd.AddCommand(c.importAppCommand(verb))
	}
	cmd.AddCommand(c.importQuadletCommand(), c.importRunCommand())
	return cmd
}

func (o *importOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.out, "out", ".", "write to `DIR`")
	f.StringVar(&o.id, "id", "", "`ID` of the app (default: the name in the source)")
	f.StringArrayVar(&o.set, "set", nil, "answer a question, as `KEY=VALUE`")
	f.StringVar(&o.answersFile, "answers", "", "read answers from `FILE`")
	f.BoolVar(&o.partial, "partial", false, "leave out what the manifest can't say")
	f.BoolVar(&o.force, "force", false, "replace a manifest that exists")
	f.BoolVar(&o.asJSON, "json", false, "print the report as JSON")
}

// importVerb is a verb that imports apps of files.
type importVerb struct {
	imports.Format
	use, short, long, example, what string
}

// ending is what all verbs do, for their help.
const ending = `
What the source does not say is a question. On a terminal, archgen asks it.
Elsewhere the question has a default that is safe, or the report names the
--set that answers it. A file for --answers is TOML or YAML with the same keys.

A password, token or key becomes a secret: the manifest has its name and never
its value. Set the value with archgen secret set before the app starts.

If DIR holds directories of apps, each of them is imported, without questions,
and a table says what happens to them. One that fails stops no other.

Exit status: 0 nothing is lost; 1 the app needs something that a manifest can't
say, and nothing was written; 3 something is approximated or dropped, or left
out because of --partial.`

var importVerbs = []importVerb{
	{
		imports.Compose, "compose FILE|DIR", "Import a Compose project",
		`import compose reads a Compose project and writes ID.yaml, with its
configuration files in ID.files. It reads files in the directory of the project
only, starts nothing and pulls nothing.
`, `  archgen import compose ./wiki
  archgen import compose --id wiki --set expose=network compose.yaml
  archgen import compose --answers wiki.toml --json ./wiki`,
		"Compose file, or directory that has one",
	},
	{
		imports.CasaOS, "casaos DIR", "Import an app or the store of CasaOS",
		`import casaos reads an app of CasaOS, which is a Compose file with x-casaos, and
writes ID.yaml as import compose does. What is below /DATA/AppData becomes named
volumes; other directories of /DATA stay directories of the host.
`, `  archgen import casaos ./CasaOS-AppStore/Apps/Syncthing
  archgen import casaos --out apps ./CasaOS-AppStore`,
		"directory of an app, or of a store",
	},
	{
		imports.Umbrel, "umbrel DIR", "Import an app or a store of Umbrel",
		`import umbrel reads an app of Umbrel and writes ID.yaml as import compose does.
The port of app_proxy becomes the user interface, without the login of Umbrel.
What other apps export becomes a capability that the app requires. exports.sh is
read for constants; no script runs.
`, `  archgen import umbrel ./umbrel-apps/forgejo
  archgen import umbrel --out apps ./umbrel-apps`,
		"directory of an app, or of a store",
	},
	{
		imports.Runtipi, "runtipi DIR", "Import an app or a store of runtipi",
		`import runtipi reads an app of runtipi and writes ID.yaml, as import compose
does. Fields of its form become secrets and questions.
`, `  archgen import runtipi ./runtipi-appstore/apps/immich
  archgen import runtipi --out apps ./runtipi-appstore`,
		"directory of an app, or of a store",
	},
}

func (c *cli) importAppCommand(v importVerb) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use: v.use, Short: v.short, Long: v.long + ending, Example: v.example,
		Args: usageArgs(oneOf(v.what)),
		RunE: func(_ *cobra.Command, args []string) error {
			apps, err := imports.Apps(v.Format, args[0])
			switch {
			case err != nil:
				return err
			case len(apps) > 0:
				return c.importStore(&o, v.Format, apps)
			}
			return c.importFrom(&o, func(answers imports.Answers, ask imports.Ask) (*importer.Result, error) {
				return imports.App(v.Format, args[0], o.id, o.out, answers, ask)
			})
		},
	}
	o.flags(cmd)
	return cmd
}

func (c *cli) importRunCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "run -- COMMAND…",
		Short: "Import a podman run or docker run command",
		Long: `import run reads the arguments of podman run or docker run and writes ID.yaml,
as import compose does. It does not run the command. The shell has replaced
variables in it already; relative paths are below the working directory.`,
		Example: `  archgen import run -- podman run -d --name web -p 8080:80 nginx:1.27`,
		Args:    some("give the command: archgen import run -- podman run …"),
		RunE: func(_ *cobra.Command, args []string) error {
			return c.importFrom(&o, func(answers imports.Answers, ask imports.Ask) (*importer.Result, error) {
				return imports.Run(args, o.id, answers, ask)
			})
		},
	}
	o.flags(cmd)
	cmd.Flags().SetInterspersed(false) // the flags of the command are its own
	return cmd
}

func (c *cli) importQuadletCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "quadlet FILE|DIR",
		Short: "Import Quadlet files",
		Long: `import quadlet reads the Quadlet files of a directory, with their drop-ins, and
writes the manifest of each app. Containers that have a volume or network in
common, or order each other, are parts of one app; --id makes one app of all. A
file is imported alone, with the volumes, networks and images that it names.

A volume that Podman has is taken over. Specifiers such as %h stand for what
they are for the user that runs archgen.`,
		Example: `  archgen import quadlet ~/.config/containers/systemd
  archgen import quadlet --id wiki ./units
  archgen import quadlet --set mount.data=volume web.container`,
		Args: usageArgs(oneOf("Quadlet file, or directory that has some")),
		RunE: func(_ *cobra.Command, args []string) error {
			return c.importApps(&o, func(answers imports.Answers, ask imports.Ask) ([]*importer.Result, error) {
				return imports.Quadlet(args[0], o.id, o.out, imports.Specifiers(c.getenv), answers, ask)
			})
		},
	}
	o.flags(cmd)
	return cmd
}

// answers is what the command line and its file answer.
func (o *importOptions) answers() (a imports.Answers, err error) {
	for _, text := range o.set {
		if key, _, found := strings.Cut(text, "="); !found || key == "" {
			return a, usageError{fmt.Errorf("--set %s: write KEY=VALUE", text)}
		}
	}
	return imports.ReadAnswers(o.answersFile, o.set)
}

// importFrom imports one app.
func (c *cli) importFrom(o *importOptions, read func(imports.Answers, imports.Ask) (*importer.Result, error)) error {
	return c.importApps(o, func(answers imports.Answers, ask imports.Ask) ([]*importer.Result, error) {
		r, err := read(answers, ask)
		return []*importer.Result{r}, err
	})
}

// importApps imports with the answers of the command line, of the file and of a person.
func (c *cli) importApps(o *importOptions, read func(imports.Answers, imports.Ask) ([]*importer.Result, error)) error {
	answers, err := o.answers()
	if err != nil {
		return err
	}
	apps, err := read(answers, func(q importer.Question) (string, bool) { return c.asked(o, q) })
	if err != nil {
		return err
	}
	if key := answers.Unasked(apps...); key != "" {
		return usageError{fmt.Errorf("--set %s answers no question of this source; the report names the keys", key)}
	}
	return c.concludeImports(o, apps)
}

// concludeImports concludes each app. An app that can't be written does not keep others from it.
func (c *cli) concludeImports(o *importOptions, apps []*importer.Result) error {
	var failed, lost error
	documents := make([]document, 0, len(apps))
	for _, r := range apps {
		d, err := c.concludeImport(o, r)
		documents = append(documents, d)
		switch {
		case is[lossy](err):
			lost = err
		case err != nil:
			failed = errors.Join(failed, err)
		}
	}
	if o.asJSON {
		var whole any = documents[0]
		if len(apps) > 1 {
			whole = document{"apps": documents}
		}
		failed = errors.Join(failed, c.printJSON(whole))
	}
	return cmp.Or(failed, lost)
}

// asked asks a question if there is a terminal to ask at.
func (c *cli) asked(o *importOptions, q importer.Question) (answer string, ok bool) {
	if _, isTerminal := ui.Terminal(c.stdin); !isTerminal || o.asJSON {
		return "", false
	}
	for {
		answer, err := ui.Line(c.stdin, c.stderr, q.Prompt())
		if err != nil {
			return "", false
		}
		if answer = cmp.Or(answer, q.Default); q.Accepts(answer) {
			return answer, true
		}
	}
}

// lossy is an import that lost something.
type lossy struct{ error }

func (l lossy) Unwrap() error { return l.error }

// concludeImport prints the report, writes the files, and checks what it wrote.
func (c *cli) concludeImport(o *importOptions, r *importer.Result) (document, error) {
	doesWrite := o.writes(r)
	var written []string
	var err error
	if doesWrite {
		written, err = imports.Write(r, o.out, o.force)
	}
	d := imported(r, written)
	if !o.asJSON {
		err = errors.Join(err, r.Print(c.stderr, ui.HasColor(c.stderr, c.getenv)))
		for _, name := range written {
			fmt.Fprintf(c.stdout, "%s written\n", name)
		}
	}
	switch {
	case err != nil:
		return d, err
	case len(r.Files) == 0:
		return d, errReported
	case !doesWrite:
		return d, fmt.Errorf("%s: nothing was written; --partial writes what the manifest can say", r.ID)
	}
	if err := c.checkImported(filepath.Join(o.out, r.Files[0].Path), o.asJSON); err != nil {
		return d, err
	}
	if r.IsLossy() {
		return d, lossy{errReported}
	}
	return d, nil
}

// writes reports whether the files of an import are written.
func (o *importOptions) writes(r *importer.Result) bool {
	return len(r.Files) > 0 && (r.Worst() != importer.Refused || o.partial)
}

// imported is an imported app for programs.
func imported(r *importer.Result, written []string) document {
	return document{
		"id": r.ID, "version": r.Version, "written": list(written), "findings": list(r.Findings), "questions": list(r.Questions), "counts": r.Counts(),
	}
}

// checkImported does what archgen check does with the manifest that was written. It has
// something to say if the manifest needs a newer Podman than the one here.
func (c *cli) checkImported(path string, asJSON bool) error {
	if !isPath(path) {
		path = "./" + path
	}
	k, err := c.load(&source{}, []string{path})
	if err == nil {
		k.Diags = slices.DeleteFunc(k.Diags, importer.IsOfOthers) // the others need not be here
	}
	switch {
	case err != nil:
		return err
	case !asJSON:
		return c.report(k, false)
	case k.Diags.HasErrors():
		return fmt.Errorf("the manifest does not pass the checks for the Podman of this machine: archgen check %s", path)
	}
	return nil
}
