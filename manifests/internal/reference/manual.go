package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
)

// manifestManual writes the reference of all keys as a manual page.
func manifestManual(types []structType) []byte {
	var b bytes.Buffer
	b.WriteString(".\\\" Generated from manifests/schema.go by make generate.\n" +
		".TH ARCHIPELAGO\\-MANIFEST 5 \"\" archipelago \"File Formats\"\n" +
		".SH NAME\narchipelago\\-manifest \\- description of an app\n.SH DESCRIPTION\n")
	fenced := false
	_, intro, _ := strings.Cut(manifestIntro, "-->\n\n")
	for line := range strings.Lines(strings.TrimSpace(intro) + "\n") {
		switch line = strings.TrimSuffix(line, "\n"); {
		case strings.HasPrefix(line, "```"):
			b.WriteString(map[bool]string{false: ".PP\n.EX\n", true: ".EE\n"}[fenced])
			fenced = !fenced
		case strings.HasPrefix(line, "## "):
			fmt.Fprintf(&b, ".SH %s\n", strings.ToUpper(line[3:]))
		case line == "":
			b.WriteString(".PP\n")
		default:
			b.WriteString(roff(line) + "\n")
		}
	}
	b.WriteString(".SH VARIABLES\nThe values of \\fBenv\\fR, \\fBcommand\\fR, \\fBentrypoint\\fR, \\fBhostname\\fR, \\fBaliases\\fR and the \\fBexec\\fR of a\nprobe, and the names of \\fBhosts\\fR, can contain these; ${NAME:\\-default} has a value for a variable that is empty. No other key replaces variables:\narchgen refuses one of these there, and warns about any other ${...}. $${ is a literal ${\neverywhere.\n")
	for _, v := range manifests.Variables {
		fmt.Fprintf(&b, ".TP\n\\fB${%s}\\fR\n%s\n", roff(v.Name), roff(v.Meaning))
	}
	b.WriteString(".SH KEYS\n")
	for _, t := range types {
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(title(t)), roff(prose(t)))
		for _, f := range t.fields {
			fmt.Fprintf(&b, ".TP\n\\fB%s\\fR%s: %s\n%s\n", roff(f.key), required(f), roff(valueText(f)), roff(f.doc))
		}
	}
	b.WriteString(".SH FILES\n.TP\n.I /usr/share/archipelago/manifest.schema.json\nThe same for editors, which complete and check with it.\n" +
		".SH SEE ALSO\n.BR archgen (1),\n.BR archipelago (7)\n")
	page := b.Bytes()
	for _, twice := range []string{".PP\n.PP\n", ".PP\n.SH"} {
		page = bytes.ReplaceAll(page, []byte(twice), []byte(strings.TrimPrefix(twice, ".PP\n")))
	}
	return page
}

var (
	code = regexp.MustCompile("`([^`]*)`")
	link = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// roff writes Markdown's text as a manual page has it: code bold, links as text.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "…", "...", "~", `\(ti`, "^", `\(ha`).Replace(text)
	text = code.ReplaceAllString(link.ReplaceAllString(text, "$1"), `\fB$1\fR`)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
