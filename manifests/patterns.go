package manifests

import (
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// pattern is what a text has to look like. Values end up in unit files and on
// command lines, so each pattern is as narrow as its use allows.
type pattern struct {
	// text completes "must be …".
	text  string
	match func(string) bool
	// hint guesses what was meant, if it can.
	hint func(string) string
}

// PatternText says what a named pattern accepts, for the reference.
func PatternText(name string) string { return patterns[name].text }

func expr(text, expression string) *pattern {
	return &pattern{text: text, match: regexp.MustCompile(`^(?:` + expression + `)$`).MatchString}
}

const (
	hostLabel = `[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?`
	hostName  = hostLabel + `(?:\.` + hostLabel + `){0,10}`
	// imageName is the reference grammar of the distribution project.
	imageName = `(?:(?:` + hostName + `)(?::[0-9]{1,5})?/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*`
	imageRest = `(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64}|@sha512:[0-9a-f]{128})?`
)

var patterns = map[string]*pattern{
	"id": {
		text: "an id of lower-case letters, digits and dashes, 48 at most", match: isID,
		hint: func(s string) string {
			if lower := strings.ToLower(strings.ReplaceAll(s, "_", "-")); isID(lower) {
				return "write " + lower
			}
			return ""
		},
	},
	"line":       {text: "one line of text", match: isLine},
	"text":       {text: "one line of text", match: func(s string) bool { return s != "" && len(s) <= 1024 && isPrintable(s) }},
	"url":        {text: "a URL that begins with http:// or https://", match: isURL},
	"urlpath":    {text: "a path that begins with /", match: func(s string) bool { return strings.HasPrefix(s, "/") && isPrintable(s) && !strings.Contains(s, " ") }},
	"image":      {text: "an image reference, such as docker.io/library/x:1", match: isImage},
	"user":       expr("a user or uid, with :group or :gid", `[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,31}(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,31})?`),
	"option":     expr("one word of letters, digits and . _ - + = : , @ /", `[a-zA-Z0-9_/][a-zA-Z0-9_.+=:,@/-]{0,255}`),
	"target":     {text: "a clean absolute path in the container, without : , or white space", match: func(s string) bool { return isPath(s, ":,") }},
	"path":       {text: "a clean absolute path on the host, without : , $ % or white space", match: func(s string) bool { return isPath(s, ":,$%") }},
	"devpath":    expr("a path below /dev", `/dev/[a-zA-Z0-9._+@-]+(?:/[a-zA-Z0-9._+@-]+)*`),
	"relpath":    {text: "a relative path without ..", match: func(s string) bool { return isPath("/"+s, ":,$%") && !strings.HasPrefix(s, "/") && s != "" }},
	"glob":       {text: "VOLUME or VOLUME/PATH, where * matches within a name", match: func(s string) bool { return isPath("/"+s, ":,$%") && !strings.HasPrefix(s, "/") && s != "" }},
	"filename":   expr("a file name", `[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}`),
	"hostname":   expr("a host name", hostName),
	"timezone":   expr("a time zone, such as Europe/Zurich, or local", `[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}`),
	"ip":         {text: "an IP address", match: isIP},
	"address":    {text: "an IP address or host-gateway", match: func(s string) bool { return s == "host-gateway" || isIP(s) }},
	"network":    {text: "app, host, none or part:NAME", match: isNetwork},
	"signal":     expr("a signal, such as SIGTERM", `SIG[A-Z0-9+-]{2,12}|[1-9][0-9]?`),
	"capability": {text: "a capability in capitals without CAP_, such as NET_ADMIN", match: isCapability, hint: capabilityHint},
	"envname":    expr("the name of an environment variable", `[A-Za-z_][A-Za-z0-9_.-]{0,255}`),
	"exportname": expr("a name of lower-case letters, digits and underscores", `[a-z][a-z0-9_]{0,47}`),
	"directive":  expr("the name of a directive or section", `[A-Za-z][A-Za-z0-9-]{0,63}`),
	"label":      {text: "the name of a label, but not io.archipelago.*", match: isLabel},
	"profile":    {text: "an absolute path, or unconfined", match: func(s string) bool { return s == "unconfined" || isPath(s, ":,$%") }},
	"unmask":     {text: "an absolute path, or ALL", match: func(s string) bool { return s == "ALL" || isPath(s, ":,$%") }},
	"ulimit":     expr("a number or soft:hard; -1 is unlimited", `-?[0-9]{1,19}(?::-?[0-9]{1,19})?`),
	"podman":     expr("a Podman version, such as 5.4", `[0-9]{1,3}\.[0-9]{1,3}(?:\.[0-9]{1,3})?`),
}

// isID is the grammar of app ids, parts, volumes and everything else that
// becomes part of a name on the machine.
func isID(s string) bool {
	if s == "" || len(s) > 48 || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if b := s[i]; b != '-' && (b < '0' || b > '9') && (b < 'a' || b > 'z') {
			return false
		}
	}
	return true
}

// isPrintable reports whether a text has no control characters, of which some
// end lines.
func isPrintable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool {
		return r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029
	}) < 0
}

func isLine(s string) bool {
	return s != "" && len(s) <= 1024 && isPrintable(s) && strings.TrimSpace(s) == s && !strings.HasSuffix(s, `\`) &&
		!strings.HasPrefix(s, `"`) && !strings.HasSuffix(s, `"`)
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && isPrintable(s) && !strings.Contains(s, " ")
}

var imageReference = regexp.MustCompile(`^` + imageName + imageRest + `$`)

func isImage(s string) bool { return len(s) <= 512 && imageReference.MatchString(s) }

// isPath accepts clean absolute paths without white space, quotes, backslashes
// and the given characters.
func isPath(s, without string) bool {
	return strings.HasPrefix(s, "/") && len(s) <= 1024 && isPrintable(s) && path.Clean(s) == s &&
		!strings.ContainsAny(s, " \"'\\"+without) && !strings.ContainsRune(s, 0xa0)
}

func isIP(s string) bool {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return err == nil && a.Zone() == ""
}

var labelName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._/-]{0,255}$`)

func isLabel(s string) bool {
	return labelName.MatchString(s) && !strings.HasPrefix(s, "io.archipelago.")
}

func isNetwork(s string) bool {
	part, ok := strings.CutPrefix(s, "part:")
	return ok && isID(part) || s == "app" || s == "host" || s == "none"
}

var capabilityName = regexp.MustCompile(`^[A-Z][A-Z_]{1,30}$`)

func isCapability(s string) bool {
	return capabilityName.MatchString(s) && !strings.HasPrefix(s, "CAP_")
}

func capabilityHint(s string) string {
	if name := strings.TrimPrefix(strings.ToUpper(s), "CAP_"); name != s && isCapability(name) {
		return "write " + name
	}
	return ""
}
