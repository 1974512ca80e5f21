package update

import (
	"bytes"
	"slices"
	"strings"
)

// Carry returns a release with the templates and seeds that an operator has edited in the installed
// one. conflicts is those that the release changes, too: the names of templates, and of the folders of
// seeds. The manifest is the caller's: its edits become an overlay.
func Carry(installed, to Release) (carried Release, conflicts []string) {
	if installed.Base == nil {
		return to, nil
	}
	carried = to
	carried.Templates, conflicts = carryTemplates(*installed.Base, installed, to)
	seeds, inFolders := carrySeeds(*installed.Base, installed, to)
	carried.Seeds, conflicts = seeds, append(conflicts, inFolders...)
	if carried.Sum() != to.Sum() {
		base := to
		carried.Base = &base
	}
	slices.Sort(conflicts)
	return carried, slices.Compact(conflicts)
}

// Changed returns the names of the templates and seeds that differ between two releases, or that only the
// second one has.
func Changed(was, is Release) (names []string) {
	for name, text := range is.Templates {
		if before, isThere := was.Templates[name]; !isThere || !bytes.Equal(before, text) {
			names = append(names, name)
		}
	}
	before := was.folders()
	for name, files := range is.folders() {
		if !equal(before[name], files) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// carryTemplates merges the templates that the release has. One that was moved away was not edited.
func carryTemplates(base, mine, to Release) (merged map[string][]byte, conflicts []string) {
	merged = map[string][]byte{}
	for name, text := range to.Templates {
		now, isThere := mine.Templates[name]
		was, isOfBase := base.Templates[name]
		merged[name] = text
		switch {
		case !isThere, bytes.Equal(now, text), isOfBase && bytes.Equal(now, was):
		case isOfBase && bytes.Equal(was, text):
			merged[name] = now
		default:
			conflicts = append(conflicts, name)
		}
	}
	return merged, conflicts
}

// carrySeeds merges the folders of the seeds that the release has. One that was moved away was not
// edited.
func carrySeeds(base, mine, to Release) (merged []Seed, conflicts []string) {
	was, now, next := base.folders(), mine.folders(), to.folders()
	for name, files := range next {
		mine, isThere := now[name]
		switch {
		case !isThere, equal(mine, was[name]), equal(mine, files):
			merged = append(merged, files...)
		case equal(was[name], files):
			merged = append(merged, mine...)
		default:
			conflicts = append(conflicts, name)
		}
	}
	slices.SortFunc(merged, byPath)
	return merged, conflicts
}

// folders is the files of the seeds, sorted, by the names of the seeds.
func (r Release) folders() map[string][]Seed {
	list := map[string][]Seed{}
	for _, s := range slices.SortedFunc(slices.Values(r.Seeds), byPath) {
		name, _, _ := strings.Cut(s.Path, "/")
		list[name] = append(list[name], s)
	}
	return list
}

func equal(a, b []Seed) bool { return slices.EqualFunc(a, b, Seed.equal) }
