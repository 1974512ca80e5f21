package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// packaging/man/archgen.1 is generated from the help texts of the commands.
func TestManualPage(t *testing.T) {
	t.Parallel()
	const file = "../../packaging/man/archgen.1"
	page := manualPage(testTree(io.Discard))
	if *rewrite {
		if err := os.WriteFile(file, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(have), string(page)); d != "" {
		t.Errorf("%s is stale, make generate rewrites it (-have +want):\n%s", file, d)
	}
}

// manualPage is one page for all commands, so that a reader can search it for a flag.
func manualPage(root *cobra.Command) []byte {
	var b bytes.Buffer
	b.WriteString(".\\\" Written by make generate from the help texts.\n.TH ARCHGEN 1 \"\" archipelago \"User Commands\"\n")
	fmt.Fprintf(&b, ".SH NAME\narchgen \\- %s\n", roff(strings.ToLower(root.Short[:1])+root.Short[1:]))
	b.WriteString(".SH SYNOPSIS\n.B archgen\n.I COMMAND\n.RI [ ARGUMENT ...]\n")
	b.WriteString(".SH DESCRIPTION\n" + paragraphs(root.Long))
	b.WriteString(".SH COMMANDS\n")
	for _, cmd := range commands(root)[1:] {
		manualCommand(&b, cmd)
	}
	b.WriteString(".SH EXAMPLES\n" + literal(root.Example))
	b.WriteString(".SH SEE ALSO\n.BR archipelago (7),\n.BR podman\\-systemd.unit (5),\n.BR systemctl (1)\n")
	return b.Bytes()
}

func manualCommand(b *bytes.Buffer, cmd *cobra.Command) {
	fmt.Fprintf(b, ".SS %s\n", roff(strings.TrimSuffix(cmd.UseLine(), " [flags]")))
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	b.WriteString(paragraphs(text))
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(b, ".TP\n.BI \"\\-\\-%s \" \"%s\"\n%s\n", roff(f.Name), roff(value), roff(usage))
	})
	b.WriteString(literal(cmd.Example))
}

// paragraphs fills the lines of paragraphs, but not those of lists.
func paragraphs(text string) string {
	var b strings.Builder
	for p := range strings.SplitSeq(roff(strings.TrimSpace(text)), "\n\n") {
		if strings.Contains(p, "\n  ") {
			p = ".nf\n" + p + "\n.fi"
		}
		b.WriteString(".PP\n" + p + "\n")
	}
	return b.String()
}

func literal(text string) string {
	return ".PP\n.EX\n" + roff(text) + "\n.EE\n"
}

// roff escapes text so that a page shows it as it is.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "…", "...", "~", `\(ti`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
