package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/cmd/archgen/session"
)

// arguments is the completions of an argument, by its name in the usage of a command. A
// tab and a description may follow a completion.
var arguments = map[string]struct {
	list func(*session.Session) []string
	// withFiles: the argument can also be the name of a file.
	withFiles bool
}{
	"ID":        {(*session.Session).InstalledIDs, false},
	"ID[.PART]": {(*session.Session).InstalledIDs, false},
	"PATH…|ID":  {(*session.Session).InstalledIDs, true},
	"ID|FILE":   {(*session.Session).CatalogIDs, true},
	"NAME":      {(*session.Session).SecretNames, false},
	"NUMBER":    {(*session.Session).GenerationNumbers, false},
	"CATALOG":   {(*session.Session).CatalogNames, false},
}

// completeArguments enables shell completion of the arguments of a command and its
// subcommands.
func (c *cli) completeArguments(cmd *cobra.Command) {
	for _, below := range cmd.Commands() {
		c.completeArguments(below)
	}
	_, usage, _ := strings.Cut(cmd.Use, " ")
	usage = strings.TrimSuffix(strings.TrimPrefix(usage, "["), "]")
	name, isList := strings.CutSuffix(usage, "…")
	argument, known := arguments[name]
	if !known || cmd.ValidArgsFunction != nil {
		return
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(given) > 0 && !isList {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		system, _ := cmd.Flags().GetBool("system") // false if the command has no such flag
		list := slices.DeleteFunc(argument.list(c.session(&source{system: system})), func(text string) bool {
			word, _, _ := strings.Cut(text, "\t")
			return slices.Contains(given, word)
		})
		if argument.withFiles {
			return list, cobra.ShellCompDirectiveDefault
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}
