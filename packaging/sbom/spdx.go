package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// The parts of SPDX 2.3 that sbom uses.
type (
	spdxDocument struct {
		Version       string             `json:"spdxVersion"`
		DataLicense   string             `json:"dataLicense"`
		ID            string             `json:"SPDXID"`
		Name          string             `json:"name"`
		Namespace     string             `json:"documentNamespace"`
		Creation      spdxCreation       `json:"creationInfo"`
		Packages      []spdxPackage      `json:"packages"`
		Relationships []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		ID        string         `json:"SPDXID"`
		Name      string         `json:"name"`
		Version   string         `json:"versionInfo"`
		Location  string         `json:"downloadLocation"`
		Analyzed  bool           `json:"filesAnalyzed"`
		Source    string         `json:"sourceInfo,omitempty"`
		Concluded string         `json:"licenseConcluded"`
		Declared  string         `json:"licenseDeclared"`
		Copyright string         `json:"copyrightText"`
		Refs      []spdxExternal `json:"externalRefs"`
	}
	spdxExternal struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelationship struct {
		Element string `json:"spdxElementId"`
		Type    string `json:"relationshipType"`
		Related string `json:"relatedSpdxElement"`
	}
)

const (
	module = "github.com/archipelago-os/archipelago"
	self   = "SPDXRef-archipelago"
)

// spdx returns the document of a version. Its date is epoch, in seconds, so that the same
// source results in the same document.
func spdx(version, epoch string, libraries []library) (*spdxDocument, error) {
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH must be the seconds of the source's date, such as git log -1 --format=%%ct prints: %w", err)
	}
	sums, err := checksums("go.sum")
	if err != nil {
		return nil, err
	}
	d := &spdxDocument{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: "archipelago-" + version,
		Creation:      spdxCreation{time.Unix(seconds, 0).UTC().Format(time.RFC3339), []string{"Tool: archipelago-packaging-sbom"}},
		Packages:      []spdxPackage{describe(self, library{path: module, version: version, license: "Apache-2.0", holders: []string{"Copyright the Archipelago maintainers"}}, "")},
		Relationships: []spdxRelationship{{"SPDXRef-DOCUMENT", "DESCRIBES", self}},
	}
	var content strings.Builder
	for i, l := range libraries {
		id := "SPDXRef-library-" + strconv.Itoa(i+1)
		d.Packages = append(d.Packages, describe(id, l, sums[l.path+" "+l.version]))
		d.Relationships = append(d.Relationships, spdxRelationship{self, "CONTAINS", id})
		fmt.Fprintln(&content, l.path, l.version, sums[l.path+" "+l.version])
	}
	d.Namespace = fmt.Sprintf("https://%s/spdx/%s-%x", module, version, sha256.Sum256([]byte(content.String())))
	return d, nil
}

func describe(id string, l library, sum string) spdxPackage {
	p := spdxPackage{
		ID: id, Name: l.path, Version: l.version, Location: "https://" + l.path,
		Concluded: l.license, Declared: l.license, Copyright: strings.Join(l.holders, "\n"),
		Refs: []spdxExternal{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + l.path + "@" + l.version}},
	}
	if l.path == "std" {
		p.Location = "https://go.dev/dl/"
	}
	if sum != "" {
		p.Source = "go.sum has " + sum
	}
	return p
}

// checksums returns the checksums in a go.sum, by "path version".
func checksums(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the checksums of the libraries: %w", err)
	}
	defer f.Close()
	sums := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if words := strings.Fields(lines.Text()); len(words) == 3 {
			sums[words[0]+" "+words[1]] = words[2]
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the checksums of the libraries in %s: %w", file, err)
	}
	return sums, nil
}
