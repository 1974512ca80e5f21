package manifests

import (
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
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

// Fits reports whether a text is what a named pattern accepts.
func Fits(name, text string) bool { return patterns[name].match(text) }

// expr is the pattern of texts of at most longest bytes that an expression
// fits. The length is better not said by the expression, where {0,255} means
// 255 copies.
func expr(text string, longest int, expression string) *pattern {
	fits := lazily(`^(?:` + expression + `)$`)
	return &pattern{text: text, match: func(s string) bool { return len(s) <= longest && fits(s) }}
}

// lazily compiles an expression when the first text is matched: compiling all
// of them takes longer than most of what archgen is called for.
func lazily(expression string) func(string) bool {
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
	return func(s string) bool { return compiled().MatchString(s) }
}

const (
	hostLabel = `[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?`
	hostName  = hostLabel + `(?:\.` + hostLabel + `)*`
	// imageName is the reference grammar of the distribution project.
	imageName = `(?:(?:` + hostName + `)(?::[0-9]{1,5})?/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*`
	imageTag  = `(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?`
)

var patterns = map[string]*pattern{
	"id": {text: "an id of lower-case letters, digits and dashes, 48 at most", match: isID, hint: func(s string) string { return idHint(s, isID) }},
	"appid": {
		text: "an id of lower-case letters, digits and dashes, 48 at most, with a dash or a letter from g to z", match: isAppID,
		hint: func(s string) string {
			if hint := idHint(s, isAppID); hint != "" || !isID(strings.ToLower(s)) {
				return hint
			}
			return "Podman takes a name of 0-9 and a-f for the beginning of a container's ID; write " + AppID(strings.ToLower(s))
		},
	},
	"line":       {text: "one line of text, without quotes or white space at its ends", match: isLine, hint: lineHint},
	"text":       {text: "one line of text", match: func(s string) bool { return s != "" && len(s) <= 1024 && isPrintable(s) }},
	"url":        {text: "a URL that begins with http:// or https://", match: isURL},
	"urlpath":    {text: "a path that begins with /", match: func(s string) bool { return strings.HasPrefix(s, "/") && isPrintable(s) && !strings.Contains(s, " ") }},
	"image":      {text: "an image reference, such as docker.io/library/x:1", match: isImage},
	"user":       expr("a user or uid, with :group or :gid", 65, `[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,31}(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,31})?`),
	"option":     expr("one word of letters, digits and . _ - + = : , @ /", 256, `[a-zA-Z0-9_/][a-zA-Z0-9_.+=:,@/-]*`),
	"options":    expr("words of letters, digits and . _ - + = : , @ /, with one space between them", 256, `[a-zA-Z0-9_/][a-zA-Z0-9_.+=:,@/-]*(?: [a-zA-Z0-9_.+=:,@/-]+)*`),
	"export":     expr("the name of an export that ends in _secret", 128, `[a-zA-Z0-9_][a-zA-Z0-9_.-]*_secret`),
	"target":     {text: "a clean absolute path in the container, without : , or white space", match: func(s string) bool { return isPath(s, ":,") }},
	"path":       {text: "a clean absolute path on the host, without : , $ % or white space", match: func(s string) bool { return isPath(s, ":,$%") }},
	"hostpath":   {text: "a clean absolute path on the host, without : , $ % or white space other than spaces within it", match: isHostPath},
	"source":     {text: "the name of a volume, or a clean absolute path on the host, without : , $ % or white space other than spaces within it", match: isSource},
	"devpath":    {text: "a clean path below /dev", match: func(s string) bool { return len(s) <= 1024 && path.Clean(s) == s && fitsDevice(s) }},
	"cdi":        expr("the CDI name of a device, such as nvidia.com/gpu=all", 255, `[a-zA-Z](?:[a-zA-Z0-9_.-]*[a-zA-Z0-9])?/[a-zA-Z](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?=[a-zA-Z0-9](?:[a-zA-Z0-9_.:-]*[a-zA-Z0-9])?`),
	"relpath":    {text: "a relative path without ..", match: isRelativePath},
	"seedpath":   {text: "a relative path without .., or .", match: func(s string) bool { return s == "." || isRelativePath(s) }},
	"glob":       {text: "VOLUME or VOLUME/PATH, where * matches within a name", match: func(s string) bool { return isPath("/"+s, ":,$%") && !strings.HasPrefix(s, "/") && s != "" }},
	"envfile":    {text: "a clean absolute path on the host, without : , $ % or white space, or a file name", match: func(s string) bool { return isPath(s, ":,$%") || fitsFileName(s) }},
	"filename":   {text: "a file name", match: fitsFileName},
	"hostname":   {text: "a host name", match: isHostName},
	"dnsname":    {text: "a host name, where _ is allowed", match: isDNSName},
	"timezone":   expr("a time zone, such as Europe/Zurich, or local", 256, `[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}`),
	"date":       {text: "a date, such as 2027-01-31", match: isDate},
	"ip":         {text: "an IP address", match: isIP},
	"address":    {text: "an IP address or host-gateway", match: func(s string) bool { return s == "host-gateway" || isIP(s) }},
	"network":    {text: "app, host, none or part:NAME", match: isNetwork},
	"signal":     expr("a signal, such as SIGTERM", 15, `SIG[A-Z0-9+-]{2,12}|[1-9][0-9]?`),
	"capability": {text: "a capability in capitals without CAP_, such as NET_ADMIN", match: isCapability, hint: capabilityHint},
	"envname":    expr("the name of an environment variable", 256, `[A-Za-z_][A-Za-z0-9_.-]*`),
	"exportname": expr("a name of lower-case letters, digits and underscores", 48, `[a-z][a-z0-9_]*`),
	"directive":  expr("the name of a directive or section", 64, `[A-Za-z][A-Za-z0-9-]*`),
	"label":      {text: "the name of a label, and not io.archipelago.* or io.containers.autoupdate", match: isLabel},
	"profile":    {text: "an absolute path, or unconfined", match: func(s string) bool { return s == "unconfined" || isPath(s, ":,$%") }},
	"unmask":     {text: "an absolute path, or ALL", match: func(s string) bool { return s == "ALL" || isPath(s, ":,$%") }},
	"ulimit":     expr("a number or soft:hard; -1 is unlimited", 41, `-?[0-9]{1,19}(?::-?[0-9]{1,19})?`),
	"right":      {text: "a right, such as listen or listen:0.0.0.0:80/tcp", match: isRight},
	"podman":     expr("a Podman version, such as 5.4", 11, `[0-9]{1,3}\.[0-9]{1,3}(?:\.[0-9]{1,3})?`),
}

// longestID is the most bytes of an id.
const longestID = 48

// isID is the grammar of app ids, parts, volumes and everything else that
// becomes part of a name on the machine.
func isID(s string) bool {
	if s == "" || len(s) > longestID || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if b := s[i]; b != '-' && (b < '0' || b > '9') && (b < 'a' || b > 'z') {
			return false
		}
	}
	return true
}

// idHint is what was meant by a text that is no id.
func idHint(s string, match func(string) bool) string {
	if lower := strings.ToLower(strings.ReplaceAll(s, "_", "-")); match(lower) {
		return "write " + lower
	}
	return ""
}

// isAppID is the grammar of app ids. A container has its app's id as its name. If there is no container of a name,
// Podman looks for one whose ID begins with it: `podman run --replace --name ada` removes the container ada5c3….
func isAppID(s string) bool {
	isHex := func(r rune) bool { return r >= '0' && r <= '9' || r >= 'a' && r <= 'f' }
	return isID(s) && strings.ContainsFunc(s, func(r rune) bool { return !isHex(r) })
}

// AppID makes the id of an app of an id, which no container's ID can begin with.
func AppID(id string) string {
	if isAppID(id) {
		return id
	}
	const suffix = "-app"
	return id[:min(len(id), longestID-len(suffix))] + suffix
}

// isDate reports whether a text is a day of the calendar.
func isDate(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// isRight is the grammar of rights: a kind, and what follows it. manifests/rights knows the
// kinds.
func isRight(s string) bool {
	kind, subject, more := strings.Cut(s, ":")
	return isID(kind) && isPrintable(s) && len(s) <= 8192 && (!more || subject != "")
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

// lineHint names the character that keeps a text from being one line, if it is hard to see.
func lineHint(s string) string {
	switch {
	case len(s) > 1024:
		return "shorten it to 1024 bytes"
	case strings.HasSuffix(s, "\n"):
		return "remove the line break at its end: in YAML, write >- for | or >"
	case strings.TrimSpace(s) != s:
		return "remove the white space at its ends"
	case strings.HasPrefix(s, `"`) || strings.HasSuffix(s, `"`):
		return `write ' for the " at its ends, or leave them out`
	case strings.HasSuffix(s, `\`):
		return `leave the \ at its end out`
	}
	return ""
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && isPrintable(s) && !strings.Contains(s, " ")
}

var fitsHostName = lazily(`^` + hostName + `$`)

func isHostName(s string) bool {
	isLong := func(label string) bool { return len(label) > 63 }
	return len(s) <= 253 && fitsHostName(s) && !slices.ContainsFunc(strings.Split(s, "."), isLong)
}

// isDNSName accepts host names as Compose and Podman make them from the names of containers.
func isDNSName(s string) bool { return isHostName(strings.ReplaceAll(s, "_", "x")) }

var (
	fitsImage = lazily(`^` + imageName + imageTag + `$`)
	fitsHex   = lazily(`^[0-9a-f]+$`)
)

func isImage(s string) bool {
	name, digest, pinned := strings.Cut(s, "@")
	return len(s) <= 512 && fitsImage(name) && (!pinned || isDigest(digest))
}

// digestLengths is the length of an image's digest by its algorithm.
var digestLengths = map[string]int{"sha256": 64, "sha512": 128}

func isDigest(s string) bool {
	algorithm, sum, _ := strings.Cut(s, ":")
	return fitsHex(sum) && len(sum) == digestLengths[algorithm]
}

// isPath accepts clean absolute paths without white space, quotes, backslashes
// and the given characters.
func isPath(s, without string) bool {
	return strings.HasPrefix(s, "/") && len(s) <= 1024 && isPrintable(s) && path.Clean(s) == s &&
		!strings.ContainsAny(s, " \"'\\"+without) && !strings.ContainsRune(s, 0xa0)
}

// fitsFileName accepts the name of a file beside a manifest.
var fitsFileName = expr("", 128, `[a-zA-Z0-9_][a-zA-Z0-9_.-]*`).match

func isRelativePath(s string) bool {
	return isPath("/"+s, ":,$%") && !strings.HasPrefix(s, "/") && s != ""
}

var fitsDevice = lazily(`^/dev/[a-zA-Z0-9._+@-]+(?:/[a-zA-Z0-9._+@-]+)*$`)

var fitsVolume = lazily(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// isHostPath accepts paths that can be mounted, as people name them.
func isHostPath(s string) bool {
	return isPath(strings.ReplaceAll(s, " ", "_"), ":,$%") && strings.TrimSpace(s) == s
}

// isSource accepts what can be mounted. Quadlet takes a name that ends in
// .volume for a unit.
func isSource(s string) bool {
	return isHostPath(s) || len(s) <= 255 && fitsVolume(s) && !strings.HasSuffix(s, ".volume")
}

func isIP(s string) bool {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return err == nil && a.Zone() == ""
}

var fitsLabel = lazily(`^[a-zA-Z0-9][a-zA-Z0-9._/-]*$`)

// isOwnLabel reports whether a label follows from other keys: what an app is, and whether
// podman auto-update may replace its image.
func isOwnLabel(s string) bool {
	return strings.HasPrefix(s, "io.archipelago.") || s == "io.containers.autoupdate" || strings.HasPrefix(s, "io.containers.autoupdate.")
}

func isLabel(s string) bool {
	return len(s) <= 256 && fitsLabel(s) && !isOwnLabel(s)
}

func isNetwork(s string) bool {
	part, ok := strings.CutPrefix(s, "part:")
	return ok && isID(part) || s == "app" || s == "host" || s == "none"
}

var fitsCapability = lazily(`^[A-Z][A-Z_]{1,30}$`)

func isCapability(s string) bool {
	return fitsCapability(s) && !strings.HasPrefix(s, "CAP_")
}

func capabilityHint(s string) string {
	if name := strings.TrimPrefix(strings.ToUpper(s), "CAP_"); name != s && isCapability(name) {
		return "write " + name
	}
	return ""
}
