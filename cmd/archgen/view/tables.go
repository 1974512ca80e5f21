package view

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/catalogs"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/manifests/catalog"
	"github.com/archipelago-os/archipelago/manifests/catalog/index"
	"github.com/archipelago-os/archipelago/manifests/datasheet"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units/adopt"
	"github.com/archipelago-os/archipelago/units/secret"
	"github.com/archipelago-os/archipelago/units/statedir"
)

// Catalog prints the apps that can be installed.
func Catalog(w io.Writer, entries []catalog.Entry) error {
	t := newTable(w, "ID", "VERSION", "PROVIDES", "REQUIRES", "FROM", "DESCRIPTION")
	for _, e := range entries {
		t.row("", e.ID, e.Version, ui.DashList(e.Provides), ui.DashList(e.Requires), e.Origin(), e.Description)
	}
	return t.Flush()
}

// Catalogs prints the catalogs from sources.
func Catalogs(w io.Writer, list []catalogs.Status, now time.Time) error {
	t := newTable(w, "CATALOG", "STATE", "APPS", "SEQUENCE", "READ", "SIGNED", "EXPIRES", "SOURCE")
	for _, c := range list {
		sequence, read, signed, expires := "-", "-", "-", "-"
		if !c.Read.IsZero() {
			read = ui.Age(now.Sub(c.Read)) + " ago"
		}
		if c.Sequence > 0 {
			sequence, signed, expires = strconv.Itoa(c.Sequence), ui.Age(now.Sub(c.Issued))+" ago", c.Expires.Format(time.DateOnly)
		}
		t.row("", c.Name, c.State, c.Apps, sequence, read, signed, expires, c.Source)
	}
	return t.Flush()
}

// Accepted prints a catalog that was just accepted.
func Accepted(w io.Writer, c catalogs.Status) {
	text := fmt.Sprintf("%s: %s", c.Name, ui.Count(c.Apps, "app"))
	switch {
	case c.State == catalogs.Own:
		text += ", not signed: the directory is taken for your own"
	case c.IsChanged:
		text += fmt.Sprintf(", sequence %d, good until %s", c.Sequence, c.Expires.Format(time.DateOnly))
	default:
		text += fmt.Sprintf(", unchanged: sequence %d, good until %s", c.Sequence, c.Expires.Format(time.DateOnly))
	}
	fmt.Fprintln(w, text)
}

// Index prints what the index of a directory says, and how many of its keys have signed it.
func Index(w io.Writer, dir string, x *index.Index, apps int, signed []index.Key) {
	fmt.Fprintf(w, "%s: %s, sequence %d, %s, good until %s; signed by %d of %s\n",
		dir, x.Name, x.Sequence, ui.Count(apps, "app"), x.Expires.Format(time.DateOnly), len(signed), ui.Count(x.Threshold, "needed key"))
}

// Sheet prints the data sheet of one app: its description, links to further reading, and a
// table of each kind of thing that it has.
func Sheet(w io.Writer, e catalog.Entry, tables []datasheet.Table) error {
	t := newTable(w)
	overview, rest := tables[0], tables[1:]
	for i, text := range overview.Rows[0] {
		if text != "" {
			t.row("", overview.Heads[i], text)
		}
	}
	t.row("", "from", e.Origin())
	if e.Withdrawn != "" {
		t.row("", "withdrawn", e.Withdrawn)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Links)) {
		t.row("", name, e.Links[name])
	}
	if overview.Text != "" {
		fmt.Fprintf(t.Writer, "\n%s\n", overview.Text)
	}
	for _, x := range rest {
		if len(x.Rows) == 0 {
			continue
		}
		fmt.Fprintf(t.Writer, "\n%s\n", x.Title)
		if x.Text != "" {
			fmt.Fprintln(t.Writer, x.Text)
		}
		for _, cells := range slices.Concat([][]string{upper(x.Heads)}, x.Rows) {
			t.row("  ", dashed(cells)...)
		}
	}
	return t.Flush()
}

func upper(texts []string) []string {
	return strings.Split(strings.ToUpper(strings.Join(texts, "\t")), "\t")
}

// dashed replaces empty cells by a dash.
func dashed(texts []string) []any {
	cells := make([]any, 0, len(texts))
	for _, text := range texts {
		cells = append(cells, cmp.Or(ui.OneLine(text), "-"))
	}
	return cells
}

// AppRights is the rights of one app. The names of the fields are a contract.
type AppRights struct {
	ID     string           `json:"id"`
	Rights []rights.Granted `json:"rights"`
}

// Rights prints the rights of apps, and where their manifests ask for them.
func Rights(w io.Writer, list []AppRights) error {
	t := newTable(w, "APP", "SEVERITY", "RIGHT", "GRANTED", "ALLOWS THE APP TO", "WHERE")
	for _, a := range list {
		for _, r := range a.Rights {
			t.row("", a.ID, r.Severity, r.ID, r.Granted, r.Allows, fmt.Sprintf("%s:%d:%d", r.File, r.Line, r.Column))
		}
		if len(a.Rights) == 0 {
			t.row("", a.ID, "-", "none", "-", "-", "-")
		}
	}
	return t.Flush()
}

// grantedBy is why an app has a right.
var grantedBy = map[rights.Origin]string{
	rights.ByOverlay:  "an overlay asks for it",
	rights.ByGrant:    "granted",
	rights.BySettings: "archipelago.toml allows it",
	rights.Nobody:     "not granted",
}

// Granted prints rights, and why the app has each.
func Granted(w io.Writer, list []rights.Granted) error {
	t := newTable(w)
	for _, r := range list {
		t.row("  ", r.Severity, r.ID, r.Allows, "("+grantedBy[r.Granted]+")")
	}
	return t.Flush()
}

// Containers prints the foreign containers that can be adopted, and why others can't.
func Containers(w io.Writer, list []adopt.Container) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "there are no foreign containers to adopt")
		return err
	}
	t := newTable(w, "CONTAINER", "STATE", "IMAGE", "MOUNTS", "APP")
	for _, l := range list {
		mounts := make([]string, 0, len(l.Mounts))
		for _, m := range l.Mounts {
			mounts = append(mounts, m.Source+":"+m.Target)
		}
		t.row("", l.Name, l.State, l.Image, ui.DashList(mounts), l.App)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, l := range list {
		for _, p := range l.Problems {
			fmt.Fprintf(w, "%s can't be adopted: %s\n", l.Name, p)
		}
	}
	return nil
}

// Secrets prints secrets without their values.
func Secrets(w io.Writer, list []secret.Entry) error {
	t := newTable(w, "NAME", "KIND", "VALUE", "DESCRIPTION")
	for _, e := range list {
		value := "missing"
		switch {
		case e.Rotating:
			value = "rotating"
		case e.IsSet:
			value = "set"
		case e.Kind != secret.Supplied:
			value = "at the first start"
		}
		t.row("", e.Name, cmp.Or(string(e.Kind), "unused")+ui.Prefix(" from ", e.From), value, e.Description)
	}
	return t.Flush()
}

// Generations prints known-good generations.
func Generations(w io.Writer, list []statedir.Generation) error {
	t := newTable(w, "NUMBER", "TIME", "FILES", "REASON")
	for _, g := range list {
		t.row("", g.Number, g.Time.Local().Format(time.DateTime), len(g.Files), ui.Shorten(g.Reason, 100))
	}
	return t.Flush()
}
