package main

import (
	"encoding/xml"
	"flag"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/healthd/bus"
	"github.com/archipelago-os/archipelago/healthd/metrics"
)

// packaging/man/healthd.8 is written by hand; what it names exists.
func TestManualPage(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../packaging/man/healthd.8")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(data), `\-`, "-")

	var flags []string
	newOptions(io.Discard).VisitAll(func(f *flag.Flag) { flags = append(flags, "--"+f.Name) })
	_, options, _ := strings.Cut(page, "\n.SH OPTIONS\n")
	options, _, _ = strings.Cut(options, "\n.SH ")
	same(t, "options", flags, named(`(?m)^\.B (--[a-z-]+)`, options))

	families := append(make([]string, 0, 1+len(metrics.Families)), "archipelago_build_info")
	for _, f := range metrics.Families {
		families = append(families, f.Name)
	}
	same(t, "metrics", families, named(`(archipelago_[a-z_]+)`, page))

	var node struct {
		Interfaces []struct {
			Methods    []member `xml:"method"`
			Properties []member `xml:"property"`
		} `xml:"interface"`
	}
	if err := xml.Unmarshal([]byte(bus.XML), &node); err != nil {
		t.Fatal(err)
	}
	methods := make([]string, 0, len(node.Interfaces[0].Methods))
	for _, m := range node.Interfaces[0].Methods {
		methods = append(methods, m.Name)
	}
	same(t, "methods", methods, named(`(?m)^\.BR ([A-Z][A-Za-z]+) \(`, page))
	for _, p := range node.Interfaces[0].Properties {
		if !regexp.MustCompile(`(?m)^\.BR? ` + p.Name + `\b`).MatchString(page) {
			t.Errorf("the property %s is not in the page", p.Name)
		}
	}
}

type member struct {
	Name string `xml:"name,attr"`
}

// named is the matches of a pattern, each once.
func named(pattern, in string) []string {
	found := regexp.MustCompile(pattern).FindAllStringSubmatch(in, -1)
	list := make([]string, 0, len(found))
	for _, f := range found {
		list = append(list, f[1])
	}
	return list
}

func same(t *testing.T, what string, want, have []string) {
	t.Helper()
	slices.Sort(want)
	slices.Sort(have)
	if d := cmp.Diff(want, slices.Compact(have)); d != "" {
		t.Errorf("%s (-there are +in the page):\n%s", what, d)
	}
}
