package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// commands lists every command that a person can call, the root first.
func commands(root *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{root}
	for _, cmd := range root.Commands() {
		if !cmd.Hidden {
			list = append(list, commands(cmd)...)
		}
	}
	return list
}

func testTree(out io.Writer) *cobra.Command {
	c := &cli{stdout: out, stderr: io.Discard, getenv: os.Getenv}
	root := c.root()
	root.InitDefaultHelpCmd()
	for _, cmd := range commands(root) {
		cmd.InitDefaultHelpFlag()
	}
	return root
}

// Every command has a help text with an example, which fits a terminal of 80 columns.
func TestHelp(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	for _, cmd := range commands(testTree(&out)) {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s: short text %q, example %q: both are needed", cmd.CommandPath(), cmd.Short, cmd.Example)
		}
		if strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short text %q ends with a full stop", cmd.CommandPath(), cmd.Short)
		}
		out.Reset()
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
				t.Errorf("%s --help: %d columns: %s", cmd.CommandPath(), n, line)
			}
		}
	}
}

// The help of archgen lists every exit code, and its commands in groups.
func TestRootHelp(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	root := testTree(&out)
	if err := root.Help(); err != nil {
		t.Fatal(err)
	}
	for code := exitDone; code <= exitNotServing; code++ {
		if !strings.Contains(out.String(), fmt.Sprintf("\n  %d  ", code)) {
			t.Errorf("exit code %d is missing", code)
		}
	}
	for _, cmd := range root.Commands() {
		isGeneral := slices.Contains([]string{"completion", "help", "version"}, cmd.Name())
		if !cmd.Hidden && !isGeneral && cmd.GroupID == "" {
			t.Errorf("%s is in no group", cmd.Name())
		}
	}
	for _, internal := range []string{"prepare", "once", "volume", "image"} {
		if strings.Contains(out.String(), "\n  "+internal+" ") {
			t.Errorf("%s is listed", internal)
		}
	}
}

// Examples name commands and flags that exist.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, cmd := range commands(testTree(io.Discard)) {
		for line := range strings.Lines(cmd.Example) {
			for _, words := range archgenCalls(line) {
				checkCall(t, cmd.CommandPath(), words)
			}
		}
	}
}

// archgenCalls finds the calls of archgen in a line of shell.
func archgenCalls(line string) (calls [][]string) {
	var words []string
	end := func() {
		if len(words) > 0 && words[0] == "archgen" {
			calls = append(calls, words[1:])
		}
		words = nil
	}
	for word := range strings.FieldsSeq(strings.NewReplacer("<(", " ; ", ")", " ; ").Replace(line)) {
		if slices.Contains([]string{";", "&&", "|", ">"}, word) {
			end()
			continue
		}
		words = append(words, strings.Trim(word, `"'`))
	}
	end()
	return calls
}

func checkCall(t *testing.T, where string, words []string) {
	t.Helper()
	cmd, args, err := testTree(io.Discard).Find(words)
	if err == nil {
		err = cmd.ParseFlags(args)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err == nil {
		err = cmd.ValidateFlagGroups()
	}
	if err != nil {
		t.Errorf("example of %s: archgen %s: %v", where, strings.Join(words, " "), err)
	}
}
