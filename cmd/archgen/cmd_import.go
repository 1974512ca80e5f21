package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/imports"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
)

type importOptions struct {
	imports.Session
	answersFile string
	set         []string
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
  archgen import container web
  archgen import run -- podman run -d -p 8080:80 nginx:1.27`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, verb := range imports.Verbs {
		cmd.AddCommand(c.importVerbCommand(verb))
	}
	return cmd
}

func (o *importOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.Out, "out", ".", "write to `DIR`")
	f.StringVar(&o.ID, "id", "", "`ID` of the app (default: the name in the source)")
	f.StringArrayVar(&o.set, "set", nil, "answer a question, as `KEY=VALUE`")
	f.StringVar(&o.answersFile, "answers", "", "read answers from `FILE`")
	f.BoolVar(&o.Partial, "partial", false, "leave out what the manifest can't say")
	f.BoolVar(&o.Force, "force", false, "replace a manifest that exists")
	f.BoolVar(&o.AsJSON, "json", false, "print the report as JSON")
}

func (c *cli) importVerbCommand(v imports.Verb) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use: v.Use, Short: v.Short, Long: v.Long, Example: v.Example,
		Args: some(v.Ask),
		RunE: func(_ *cobra.Command, args []string) error { return c.runImport(v, &o, args) },
	}
	switch {
	case v.What != "":
		cmd.Args = usageArgs(oneOf(v.What))
	case !v.IsCommand:
		cmd.ValidArgsFunction = cobra.NoFileCompletions // the NAME is not one of a secret
	}
	o.flags(cmd)
	cmd.Flags().SetInterspersed(!v.IsCommand)
	return cmd
}

// lossy is an import that lost something.
type lossy struct{ error }

func (l lossy) Unwrap() error { return l.error }

// runImport runs a verb with the answers of the command line, and ends with its exit code.
func (c *cli) runImport(v imports.Verb, o *importOptions, args []string) (err error) {
	ctx, stop := interruptible()
	defer stop()
	o.Stdin, o.Stdout, o.Stderr, o.Getenv, o.Podman = c.stdin, c.stdout, c.stderr, c.getenv, c.podman
	if os.Geteuid() == 0 {
		o.Scope = units.System
	}
	o.Load = func(path string) (*compile.Compiled, error) { return c.session(&source{}).Load([]string{path}) }
	if o.ID != "" && !manifests.Fits("appid", o.ID) {
		return usageError{fmt.Errorf("--id must be %s, not %q", manifests.PatternText("appid"), o.ID)}
	}
	var outcome imports.Outcome
	if o.Answers, err = imports.ReadAnswers(o.answersFile, o.set); err == nil {
		outcome, err = v.Run(ctx, &o.Session, args)
	}
	switch {
	case is[imports.UsageError](err):
		return usageError{err}
	case err != nil:
		return err
	case outcome == imports.Failed:
		return errReported
	case outcome == imports.Lossy:
		return lossy{errReported}
	}
	return nil
}
