package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// arguments is the completions of an argument, by its name in the usage of a command. A
// tab and a description may follow a completion.
var arguments = map[string]struct {
	list func(*cli, *source) []string
	// withFiles: the argument can also be the name of a file.
	withFiles bool
}{
	"ID":        {(*cli).installedIDs, false},
	"ID[.PART]": {(*cli).installedIDs, false},
	"PATH…|ID":  {(*cli).installedIDs, true},
	"ID|FILE":   {(*cli).catalogIDs, true},
	"NAME":      {(*cli).secretNames, false},
	"NUMBER":    {(*cli).generationNumbers, false},
	"CATALOG":   {(*cli).catalogNames, false},
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
		list := slices.DeleteFunc(argument.list(c, &source{system: system}), func(text string) bool {
			word, _, _ := strings.Cut(text, "\t")
			return slices.Contains(given, word)
		})
		if argument.withFiles {
			return list, cobra.ShellCompDirectiveDefault
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// installedIDs is the apps that have a manifest, valid or not.
func (c *cli) installedIDs(from *source) []string {
	dir, err := c.directory(from)
	if err != nil { // there is nothing to complete
		return nil
	}
	return slices.Sorted(maps.Keys(dir.Files()))
}

// secretNames is the secrets of the installed apps.
func (c *cli) secretNames(from *source) []string {
	_, want, _ := c.installed(from)
	var names []string
	for _, app := range want.Apps {
		for _, s := range app.Secrets {
			names = append(names, s.Name)
		}
	}
	return names
}

// catalogNames is the catalogs from sources, each with its source.
func (c *cli) catalogNames(from *source) []string {
	configs, _ := c.catalogs(from.scope()).Configs()
	names := make([]string, 0, len(configs))
	for _, config := range configs {
		names = append(names, config.Name+"\t"+config.Source)
	}
	return names
}

// generationNumbers is the generations, each with the cause of the change.
func (c *cli) generationNumbers(from *source) []string {
	l, err := c.local(from.scope())
	if err != nil {
		return nil
	}
	list, _ := l.Store.Generations()
	numbers := make([]string, 0, len(list))
	for _, g := range list {
		numbers = append(numbers, fmt.Sprintf("%d\t%s, %s", g.Number, g.Time.Local().Format(time.DateTime), g.Reason))
	}
	return numbers
}
