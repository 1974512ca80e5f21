package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A test is a Go program, too, so the test describes itself as if it were a package's
// program.
func TestDocumentIsTheSameEachTime(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("../..") // where go.sum is
	t.Setenv("SOURCE_DATE_EPOCH", "1790000000")
	var first, second bytes.Buffer
	for _, document := range []*bytes.Buffer{&first, &second} {
		if err := run(document, "1.2.3", false, []string{program}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("two documents of the same program differ:\n%s\n%s", first.Bytes(), second.Bytes())
	}
	for _, want := range []string{`"created": "2026-09-21T14:13:20Z"`, `"name": "archipelago-1.2.3"`, `"name": "std"`} {
		if !strings.Contains(first.String(), want) {
			t.Errorf("the document lacks %s:\n%s", want, first.Bytes())
		}
	}
}

func TestDocumentWantsADate(t *testing.T) {
	t.Parallel()
	if _, err := spdx("1.2.3", "", nil); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("without a date: %v", err)
	}
}

// A library gets into a package only after its licence was reviewed.
func TestLicenses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"mit":     {"Copyright (c) Me\nPermission is hereby granted, free of charge, to any", "MIT"},
		"bsd3":    {"Redistributions in binary form must\nNeither the name of", "BSD-3-Clause"},
		"bsd2":    {"Redistributions in binary form must", "BSD-2-Clause"},
		"two":     {"Apache License, Version 2.0\nPermission is hereby granted, free of charge", "Apache-2.0 AND MIT"},
		"unknown": {"All rights reserved.", ""},
		"none":    {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.MkdirAll(filepath.Join("vendor", name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join("vendor", name, "LICENSE.txt"), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			l := library{path: name, version: "v1.0.0"}
			err := l.readLicense()
			if c.want == "" {
				if err == nil || !strings.Contains(err.Error(), "review it") {
					t.Errorf("an unknown licence: %q, %v", l.license, err)
				}
			} else if err != nil || l.license != c.want {
				t.Errorf("license = %q, %v, want %q", l.license, err, c.want)
			}
		})
	}
}
