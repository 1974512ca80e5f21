package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// known is the licences that the project accepts, with the phrases that identify their
// texts.
var known = []struct {
	id      string
	phrases []string
}{
	{"Apache-2.0", []string{"Apache License", "Version 2.0"}},
	{"MIT", []string{"Permission is hereby granted, free of charge"}},
	{"BSD-3-Clause", []string{"Redistributions in binary form", "Neither the name"}},
	{"BSD-2-Clause", []string{"Redistributions in binary form"}},
}

// sameAsOurs replaces a long text that the package already contains.
const sameAsOurs = "The Apache License, Version 2.0, is in the file LICENSE, and on Debian in\n/usr/share/common-licenses/Apache-2.0."

// readLicense reads the texts that the library's licence requires to be distributed. It
// fails for a licence that is not known.
func (l *library) readLicense() error {
	dir, err := l.dir()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for the licence of %s: %w", l.path, err)
	}
	for _, entry := range entries {
		if !isLicense(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return fmt.Errorf("read the licence of %s: %w", l.path, err)
		}
		l.texts = append(l.texts, string(text))
	}
	all := strings.Join(l.texts, "\n")
	l.holders = holders(all)
	for i, text := range l.texts {
		if strings.Contains(text, "TERMS AND CONDITIONS FOR USE, REPRODUCTION") {
			l.texts[i] = sameAsOurs
		}
	}
	var ids []string
	for _, k := range known {
		missing := slices.ContainsFunc(k.phrases, func(phrase string) bool { return !strings.Contains(all, phrase) })
		if !missing && (k.id != "BSD-2-Clause" || !slices.Contains(ids, "BSD-3-Clause")) {
			ids = append(ids, k.id)
		}
	}
	if len(ids) == 0 {
		return fmt.Errorf("found no known licence for %s in %s: review it, then add it to packaging/sbom/license.go", l.path, dir)
	}
	slices.Sort(ids)
	l.license = strings.Join(ids, " AND ")
	return nil
}

func isLicense(file string) bool {
	base := strings.ToUpper(strings.TrimSuffix(file, filepath.Ext(file)))
	return base == "LICENSE" || base == "LICENCE" || base == "COPYING" || base == "NOTICE" || base == "COPYRIGHT"
}

// dir returns the directory of the library's source: vendored, or in Go's cache.
func (l *library) dir() (string, error) {
	if l.path == "std" {
		return goSays("env", "GOROOT")
	}
	vendored := filepath.Join("vendor", filepath.FromSlash(l.path))
	if _, err := os.Stat(vendored); err == nil {
		return vendored, nil
	}
	dir, err := goSays("list", "-m", "-f", "{{.Dir}}", l.path)
	if err == nil && dir == "" {
		err = fmt.Errorf("the source of %s is not in Go's module cache: run go mod download", l.path)
	}
	return dir, err
}

func goSays(args ...string) (string, error) {
	cmd := exec.CommandContext(context.Background(), "go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// writeLicenses writes a paragraph per library with indented texts, in the format of
// Debian's copyright files, which end with it.
func writeLicenses(w io.Writer, libraries []library) error {
	for _, l := range libraries {
		files := "vendor/" + l.path + "/*"
		if l.path == "std" {
			files = "$GOROOT/src/*"
		}
		_, err := fmt.Fprintf(w, "Files: %s\nCopyright: %s\nLicense: %s\n%s\n\n", files, strings.Join(l.holders, "\n  "), l.license, indented(l.texts))
		if err != nil {
			return err
		}
	}
	return nil
}

// holders returns the lines of a text that name the copyright holders.
func holders(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.Trim(line, " \n*/")
		if strings.HasPrefix(line, "Copyright ") && !strings.Contains(line, "yyyy") && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return []string{"its authors"}
	}
	return lines
}

func indented(texts []string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(strings.Join(texts, "\n"))) {
		if line = strings.TrimRight(line, " \t\r\n"); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
