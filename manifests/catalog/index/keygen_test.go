package index_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/manifests/catalog/index"
)

// keygen is files that ssh-keygen (OpenSSH 9.2) has made: keys, an index, and its signatures by
// ssh-keygen -Y sign.
const keygen = "testdata/keygen"

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(keygen, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestSignaturesOfKeygen: what ssh-keygen has signed is accepted, for each type of key.
func TestSignaturesOfKeygen(t *testing.T) {
	t.Parallel()
	text := fixture(t, index.File)
	for name, c := range map[string]struct {
		key  string
		want index.Reason
	}{
		"ed25519":   {"ed25519", ""},
		"sha256":    {"ed25519", ""},
		"ecdsab256": {"ecdsab256", ""},
		"ecdsab384": {"ecdsab384", ""},
		"ecdsab521": {"ecdsab521", ""},
		"namespace": {"ed25519", index.OtherNamespace},
		"rsa":       {"ed25519", index.Unsigned},
	} {
		key, err := index.ParseKey(string(fixture(t, c.key+".pub")))
		if err != nil {
			t.Fatal(err)
		}
		trusted := index.Trusted{Name: "nodes", Keys: []index.Key{key}, Threshold: 1}
		_, _, err = index.Verify(text, fixture(t, name+".sig"), trusted, day(7))
		if reason := reasonOf(t, err); reason != c.want {
			t.Errorf("%s: %q, want %q: %v", name, reason, c.want, err)
		}
	}
}

// TestKeygenVerifies: any machine with OpenSSH can verify a catalog without archgen. Where
// ssh-keygen is missing, the fixtures stand for it.
func TestKeygenVerifies(t *testing.T) {
	t.Parallel()
	text := whole().Text()
	signers, file := filepath.Join(t.TempDir(), "allowed_signers"), filepath.Join(t.TempDir(), index.SignatureFile)
	for _, by := range []struct {
		key       index.Key
		signature []byte
	}{
		{keyOf(alice), sign(text, index.Namespace, alice)},
		{keyOf(carol), sign(text, index.Namespace, carol)},
		{keyOf(dave), sign(text, index.Namespace, dave)},
	} {
		if err := errors.Join(os.WriteFile(signers, []byte("author "+string(by.key)+"\n"), 0o600), os.WriteFile(file, by.signature, 0o600)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "verify", "-f", signers, "-I", "author", "-n", index.Namespace, "-s", file)
		cmd.Stdin = bytes.NewReader(text)
		out, err := cmd.CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) {
			return
		}
		if err != nil || !strings.Contains(string(out), "Good \"archipelago-catalog\" signature") {
			t.Errorf("%s: %v: %s", by.key, err, out)
		}
	}
}
