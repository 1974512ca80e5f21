// Command sbom writes the bill of materials of a package, read from the programs
// themselves: an SPDX document, or with -licenses the licences of all libraries in them. It
// owns these two files and nothing else, and it uses no network.
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	version := flag.String("version", "", "`VERSION` of the package")
	licenses := flag.Bool("licenses", false, "write the licences of the libraries instead")
	flag.Parse()
	if err := run(os.Stdout, *version, *licenses, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, version string, licenses bool, programs []string) error {
	libraries, err := linked(programs)
	if err != nil {
		return err
	}
	if licenses {
		return writeLicenses(w, libraries)
	}
	document, err := spdx(version, os.Getenv("SOURCE_DATE_EPOCH"), libraries)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(document)
}

// library is a Go module that is linked into a program, or Go's own library.
type library struct {
	path, version, license string
	texts, holders         []string
}

// linked returns the libraries in any of the programs, sorted by name.
func linked(programs []string) ([]library, error) {
	if len(programs) == 0 {
		return nil, errors.New("name the programs to read, such as bin/archgen")
	}
	versions := map[string]string{}
	for _, program := range programs {
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			return nil, fmt.Errorf("read what %s is made of: %w", program, err)
		}
		versions["std"] = info.GoVersion
		for _, module := range info.Deps {
			versions[module.Path] = module.Version
		}
	}
	libraries := make([]library, 0, len(versions))
	for path, version := range versions {
		l := library{path: path, version: version}
		if err := l.readLicense(); err != nil {
			return nil, err
		}
		libraries = append(libraries, l)
	}
	slices.SortFunc(libraries, func(a, b library) int { return strings.Compare(a.path, b.path) })
	return libraries, nil
}
