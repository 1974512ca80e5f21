package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	codeBlock   = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	fileName    = regexp.MustCompile(`^# ([a-z./-]+\.(?:yaml|toml))\n`)
	oneRelease  = regexp.MustCompile(`(?m)^## \[([0-9][^]]*)\]`)
	markdown    = regexp.MustCompile(`\]\(([^)#:]+)\)`)
	makeTarget  = regexp.MustCompile("`(?:sudo )?make ([a-z0-9-]+)")
	targetNames = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
)

// The examples of README.md work: yaml blocks that begin with a file name are files, and
// in console blocks the lines after `$ command` are the output of the command.
func TestReadme(t *testing.T) {
	t.Parallel()
	const file = "../../README.md"
	have := read(t, file)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bin/podman"), "none of this machine's Podman in the README\n")
	want := codeBlock.ReplaceAllStringFunc(have, func(block string) string {
		kind, text := codeBlock.FindStringSubmatch(block)[1], codeBlock.FindStringSubmatch(block)[2]
		switch name := fileName.FindStringSubmatch(text); {
		case kind == "yaml" && name != nil:
			write(t, filepath.Join(dir, name[1]), text)
		case kind == "console":
			return "```console\n" + transcript(t, dir, text) + "```"
		}
		return block
	})
	if *rewrite {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(have, want); d != "" {
		t.Errorf("make golden rewrites the examples (-README +real):\n%s", d)
	}
}

// transcript runs the commands of a console block and returns the block with their real
// output.
func transcript(t *testing.T, dir, text string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(text) {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "ARCHGEN_RELEASE=" + currentRelease(t), "GORACE=" + noExitDelay, "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}
		out, err := cmd.CombinedOutput()
		if err != nil && len(out) == 0 {
			t.Errorf("%s: %v", command, err)
		}
		b.WriteString(line)
		b.Write(out)
	}
	return b.String()
}

// currentRelease is the newest of the changelog, which the Makefile builds.
func currentRelease(t *testing.T) string {
	t.Helper()
	m := oneRelease.FindStringSubmatch(read(t, "../../CHANGELOG.md"))
	if m == nil {
		t.Fatal("CHANGELOG.md names no release")
	}
	return m[1]
}

// The links of the documents lead to files and targets that exist.
func TestDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	targets := map[string]bool{}
	for _, m := range targetNames.FindAllStringSubmatch(read(t, "../../Makefile"), -1) {
		targets[m[1]] = true
	}
	for _, doc := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} {
		text := read(t, filepath.Join("../..", doc))
		for _, m := range markdown.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("../..", m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", doc, m[1])
			}
		}
		for _, m := range makeTarget.FindAllStringSubmatch(text, -1) {
			if !targets[m[1]] {
				t.Errorf("%s names make %s, which the Makefile does not have", doc, m[1])
			}
		}
	}
}

// A release assembles the unreleased changes: each file is one bullet and nothing else.
func TestUnreleasedChanges(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../changelog/unreleased/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if filepath.Ext(file) != ".md" || !oneBullet.MatchString(read(t, file)) {
			t.Errorf("%s: expected one Markdown bullet in a file NAME.md", file)
		}
	}
}

// oneBullet is "- ", and further lines that are indented below it.
var oneBullet = regexp.MustCompile(`\A- \S.*\n(  \S.*\n)*\z`)

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
