package units

import (
	"bytes"
	"strings"
	"testing"
)

const marked = `# Rendered by archgen from lnd.yaml.
[Container]
Image=docker.io/lightninglabs/lnd

[X-Archipelago]
App=lnd
Digest=0123abcd
ManifestDigest=sha256:89ef
Generator=archgen 0.3.0
`

func TestReadOwnership(t *testing.T) {
	t.Parallel()
	whole := Ownership{App: "lnd", Digest: "0123abcd", ManifestDigest: "sha256:89ef", Generator: "archgen 0.3.0"}
	for name, c := range map[string]struct {
		content string
		want    Ownership
		ours    bool
	}{
		"as rendered":             {marked, whole, true},
		"CRLF":                    {strings.ReplaceAll(marked, "\n", "\r\n"), whole, true},
		"byte order mark":         {"\ufeff" + marked, whole, true},
		"section after a BOM":     {"\ufeff[X-Archipelago]\nApp=lnd\n", Ownership{App: "lnd"}, true},
		"no newline at the end":   {"[X-Archipelago]\nApp=lnd", Ownership{App: "lnd"}, true},
		"indented and spaced":     {"  [X-Archipelago]\n\tApp = lnd \n", Ownership{App: "lnd"}, true},
		"capability":              {"[X-Archipelago]\nCapability=bitcoin-rpc\n", Ownership{Capability: "bitcoin-rpc"}, true},
		"sections after it":       {marked + "[Install]\nApp=other\n", whole, true},
		"binary before it":        {"\x00\xff\xfe\n" + marked, whole, true},
		"empty section":           {"[X-Archipelago]\n", Ownership{}, true},
		"value with an escape":    {"[X-Archipelago]\nApp=\x1b[31mlnd\nDigest=1\n", Ownership{Digest: "1"}, true},
		"value that is not UTF-8": {"[X-Archipelago]\nApp=\xff\nDigest=1\n", Ownership{Digest: "1"}, true},
		"empty":                   {"", Ownership{}, false},
		"another section":         {"[X-Other]\nApp=lnd\n", Ownership{}, false},
		"only a comment":          {"# [X-Archipelago]\n; [X-Archipelago]\nApp=lnd\n", Ownership{}, false},
		"only a value":            {"[Container]\nExec=a \\\n[X-Archipelago]\nApp=lnd\n", Ownership{}, false},
		"comment with backslash":  {"# a \\\n[X-Archipelago]\nApp=lnd\n", Ownership{App: "lnd"}, true},
		"longer name":             {"[X-Archipelago-Note]\nApp=lnd\n", Ownership{}, false},
		"cut in the header":       {"[X-Archipel", Ownership{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ours := ReadOwnership([]byte(c.content))
			if got != c.want || ours != c.ours {
				t.Errorf("ReadOwnership(%q) = %+v, %v; want %+v, %v", c.content, got, ours, c.want, c.ours)
			}
		})
	}
}

// A part that is only known to be alive is assumed to serve; no other probe replaces those for
// alive and synced.
func TestOwnershipProbe(t *testing.T) {
	t.Parallel()
	all, _ := ReadOwnership([]byte("[X-Archipelago]\nAlive={1}\nServing={2}\nSynced={3}\n"))
	alive, _ := ReadOwnership([]byte("[X-Archipelago]\nAlive={1}\n"))
	synced, _ := ReadOwnership([]byte("[X-Archipelago]\nSynced={3}\n"))
	for level, want := range map[string][3]string{
		"alive": {"{1}", "{1}", ""}, "serving": {"{2}", "{1}", ""}, "synced": {"{3}", "", "{3}"}, "great": {},
	} {
		if got := [3]string{all.Probe(level), alive.Probe(level), synced.Probe(level)}; got != want {
			t.Errorf("%s is asked by %q, want %q", level, got, want)
		}
	}
}

// FuzzReadOwnership: for any content the reader neither panics nor returns unprintable text, and line
// ends make no difference.
func FuzzReadOwnership(f *testing.F) {
	f.Add([]byte(marked))
	f.Add([]byte("\ufeff[X-Archipelago]\r\nApp=lnd\r\n"))
	f.Add([]byte("[Container]\nExec=a \\\n[X-Archipelago]\nApp=lnd\n"))
	f.Add([]byte{0, 0xff, '\n', '['})
	f.Fuzz(func(t *testing.T, content []byte) {
		m, ours := ReadOwnership(content)
		if ours && !bytes.Contains(content, []byte("["+OwnershipSection+"]")) {
			t.Errorf("an ownership section was read where there is none: %q", content)
		}
		if !ours && m != (Ownership{}) {
			t.Errorf("no ownership section, but values: %+v", m)
		}
		if m2, ours2 := ReadOwnership(bytes.ReplaceAll(content, []byte("\n"), []byte("\r\n"))); m2 != m || ours2 != ours {
			t.Errorf("CRLF changes the ownership section from %+v, %v to %+v, %v", m, ours, m2, ours2)
		}
		again := "[" + OwnershipSection + "]\nApp=" + m.App + "\nCapability=" + m.Capability +
			"\nDigest=" + m.Digest + "\nManifestDigest=" + m.ManifestDigest + "\nGenerator=" + m.Generator
		if m2, _ := ReadOwnership([]byte(again)); m2 != m && !strings.Contains(again, "\\\n") {
			t.Errorf("%+v reads back as %+v", m, m2)
		}
	})
}
