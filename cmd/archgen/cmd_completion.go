package main

import (
	"github.com/spf13/cobra"
)

func (c *cli) completionCommand() *cobra.Command {
	shells := map[string]func(root *cobra.Command) error{
		"bash": func(root *cobra.Command) error { return root.GenBashCompletionV2(c.stdout, true) },
		"fish": func(root *cobra.Command) error { return root.GenFishCompletion(c.stdout, true) },
		"zsh":  func(root *cobra.Command) error { return root.GenZshCompletion(c.stdout) },
	}
	return &cobra.Command{
		Use:   "completion bash|fish|zsh",
		Short: "Print the completion script of a shell",
		Example: `  source <(archgen completion bash)
  archgen completion fish > ~/.config/fish/completions/archgen.fish`,
		ValidArgs: []string{"bash", "fish", "zsh"},
		Args:      usageArgs(cobra.MatchAll(oneOf("shell: bash, fish or zsh"), cobra.OnlyValidArgs)),
		RunE:      func(cmd *cobra.Command, args []string) error { return shells[args[0]](cmd.Root()) },
	}
}
