package index_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/archipelago-os/archipelago/manifests/catalog/index"
)

// The keys of authors. No machine trusts mallory.
var (
	alice   = ed25519Signer("alice")
	bob     = ed25519Signer("bob")
	carol   = ecdsaSigner()
	dave    = newToken("dave")
	mallory = ed25519Signer("mallory")
)

func ed25519Signer(seed string) ssh.Signer {
	sum := sha256.Sum256([]byte(seed))
	return must(ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(sum[:])))
}

func ecdsaSigner() ssh.Signer {
	return must(ssh.NewSignerFromKey(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// token is a hardware token as OpenSSH's PROTOCOL.u2f describes it.
type token struct {
	private ed25519.PrivateKey
	public  ssh.PublicKey
	// flags is 1 if the token was touched.
	flags byte
}

func newToken(seed string) *token {
	sum := sha256.Sum256([]byte(seed))
	private := ed25519.NewKeyFromSeed(sum[:])
	public := ssh.Marshal(struct{ Type, Key, Application string }{ssh.KeyAlgoSKED25519, string(private.Public().(ed25519.PublicKey)), "ssh:"})
	return &token{private, must(ssh.ParsePublicKey(public)), 1}
}

func (t *token) PublicKey() ssh.PublicKey { return t.public }

func (t *token) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	application, message := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	rest := binary.BigEndian.AppendUint32([]byte{t.flags}, 7)
	signed := slices.Concat(application[:], rest, message[:])
	return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(t.private, signed), Rest: rest}, nil
}

func keyOf(s ssh.Signer) index.Key {
	return must(index.ParseKey(string(ssh.MarshalAuthorizedKey(s.PublicKey()))))
}

func keysOf(signers ...ssh.Signer) (keys []index.Key) {
	for _, s := range signers {
		keys = append(keys, keyOf(s))
	}
	return keys
}

// sign makes the signatures of several keys.
func sign(text []byte, namespace string, signers ...ssh.Signer) (file []byte) {
	for _, s := range signers {
		file = append(file, sshsig.Armor(must(sshsig.Sign(bytes.NewReader(text), s, sshsig.HashSHA512, namespace)))...)
	}
	return file
}

// day is a day of the test's calendar.
func day(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

// release is an index of a sequence, issued on the day of that number and good for 100 days.
func release(sequence, threshold int, keys ...ssh.Signer) *index.Index {
	return &index.Index{
		Format: 1, Name: "nodes", Sequence: sequence, Issued: day(sequence), Expires: day(sequence + 100), Threshold: threshold, Keys: keysOf(keys...),
		Files: map[string]index.Sum{"web.yaml": index.SumOf([]byte("web"))},
	}
}

// trusts is a machine that accepted an index on that day.
func trusts(x *index.Index) index.Trusted {
	return index.Trusted{Name: x.Name, Keys: x.Keys, Threshold: x.Threshold, Sequence: x.Sequence, Sum: index.SumOf(x.Text()), Newest: x.Issued}
}

func reasonOf(t *testing.T, err error) index.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	refused, ok := errors.AsType[*index.RefusedError](err)
	if !ok {
		t.Fatalf("the error is %T: %v", err, err)
	}
	return refused.Reason
}

// TestVerify: each reason to refuse an index, and what is accepted.
func TestVerify(t *testing.T) {
	t.Parallel()
	fresh := index.Trusted{Name: "nodes", Keys: keysOf(alice), Threshold: 1}
	five := trusts(release(5, 1, alice))
	two := trusts(release(5, 2, alice, bob, carol))
	edited := func(x *index.Index, old, replacement string) []byte {
		text := strings.Replace(string(x.Text()), old, replacement, 1)
		if text == string(x.Text()) {
			t.Fatalf("there is no %q", old)
		}
		return []byte(text)
	}
	six := release(6, 1, alice)
	other := release(6, 1, alice)
	other.Name = "apps"
	untouched := newToken("dave")
	untouched.flags = 0
	for name, c := range map[string]struct {
		trusted index.Trusted
		text    []byte
		by      []ssh.Signer
		// file is the signatures, if not those of by; of what was signed, if not text.
		file []byte
		of   []byte
		// clock is the machine's, day 7 if it is zero.
		clock time.Time
		want  index.Reason
	}{
		"the first index":           {trusted: fresh, text: six.Text(), by: []ssh.Signer{alice}},
		"the next index":            {trusted: five, text: six.Text(), by: []ssh.Signer{alice}},
		"one that leaves some out":  {trusted: five, text: release(9, 1, alice).Text(), by: []ssh.Signer{alice}},
		"the same index again":      {trusted: five, text: release(5, 1, alice).Text(), by: []ssh.Signer{alice}},
		"a signature beside others": {trusted: five, text: six.Text(), by: []ssh.Signer{mallory, alice, bob}},
		"an ecdsa key":              {trusted: trusts(release(5, 1, carol)), text: release(6, 1, carol).Text(), by: []ssh.Signer{carol}},
		"a token":                   {trusted: trusts(release(5, 1, dave)), text: release(6, 1, dave).Text(), by: []ssh.Signer{dave}},
		"enough of several keys":    {trusted: two, text: release(6, 2, alice, bob, carol).Text(), by: []ssh.Signer{carol, alice}},

		"no signatures":                 {trusted: five, text: six.Text(), file: []byte("none\n"), want: index.Unsigned},
		"a damaged signature":           {trusted: five, text: six.Text(), file: []byte("-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"), want: index.Unsigned},
		"too many bytes of signatures":  {trusted: five, text: six.Text(), file: append(sign(six.Text(), index.Namespace, alice), make([]byte, index.MaxSignatureFile)...), want: index.Unsigned},
		"an unknown key":                {trusted: five, text: six.Text(), by: []ssh.Signer{mallory}, want: index.UnknownKey},
		"another key of the new index":  {trusted: five, text: release(6, 1, mallory).Text(), by: []ssh.Signer{mallory}, want: index.UnknownKey},
		"another namespace":             {trusted: five, text: six.Text(), file: sign(six.Text(), "git", alice), want: index.OtherNamespace},
		"a changed byte":                {trusted: five, text: edited(six, "web.yaml", "wex.yaml"), of: six.Text(), by: []ssh.Signer{alice}, want: index.Changed},
		"the signature of another text": {trusted: five, text: six.Text(), of: release(5, 1, alice).Text(), by: []ssh.Signer{alice}, want: index.Changed},
		"a token that was not touched":  {trusted: trusts(release(5, 1, dave)), text: release(6, 1, dave).Text(), by: []ssh.Signer{untouched}, want: index.Changed},
		"one key too few":               {trusted: two, text: release(6, 2, alice, bob, carol).Text(), by: []ssh.Signer{alice}, want: index.TooFewKeys},
		"a key that is trusted twice":   {trusted: index.Trusted{Name: "nodes", Keys: keysOf(alice, alice), Threshold: 2}, text: six.Text(), by: []ssh.Signer{alice}, want: index.TooFewKeys},
		"one key twice":                 {trusted: two, text: release(6, 2, alice, bob, carol).Text(), by: []ssh.Signer{alice, alice}, want: index.TooFewKeys},
		"a lower threshold by one key":  {trusted: two, text: release(6, 1, alice).Text(), by: []ssh.Signer{alice}, want: index.TooFewKeys},
		"an index that can't be read":   {trusted: five, text: []byte("nonsense"), by: []ssh.Signer{alice}, want: index.Malformed},
		"an unknown key of the file":    {trusted: five, text: append([]byte("colour = 1\n"), six.Text()...), by: []ssh.Signer{alice}, want: index.Malformed},
		"another catalog":               {trusted: five, text: other.Text(), by: []ssh.Signer{alice}, want: index.OtherName},
		"an older index":                {trusted: five, text: release(4, 1, alice).Text(), by: []ssh.Signer{alice}, want: index.Older},
		"the same sequence, other text": {trusted: five, text: edited(release(5, 1, alice), "web.yaml", "wex.yaml"), by: []ssh.Signer{alice}, want: index.Forked},

		"a new key that has signed":          {trusted: five, text: release(6, 1, bob).Text(), by: []ssh.Signer{alice, bob}},
		"a key more":                         {trusted: five, text: release(6, 1, alice, bob).Text(), by: []ssh.Signer{alice}},
		"a higher threshold":                 {trusted: five, text: release(6, 2, alice, bob).Text(), by: []ssh.Signer{alice, bob}},
		"a new key that has not signed":      {trusted: five, text: release(6, 1, bob).Text(), by: []ssh.Signer{alice}, want: index.Rotation},
		"a higher threshold that is not met": {trusted: five, text: release(6, 2, alice, bob).Text(), by: []ssh.Signer{alice}, want: index.Rotation},
		"a stolen key replaced by two":       {trusted: two, text: release(6, 2, bob, carol, dave).Text(), by: []ssh.Signer{bob, carol}},

		"on the last day":              {trusted: five, text: six.Text(), by: []ssh.Signer{alice}, clock: day(106).Add(-time.Second)},
		"after the last day":           {trusted: five, text: six.Text(), by: []ssh.Signer{alice}, clock: day(106), want: index.Stale},
		"by a clock years ahead":       {trusted: five, text: six.Text(), by: []ssh.Signer{alice}, clock: day(7).AddDate(20, 0, 0), want: index.Stale},
		"by a clock that was reset":    {trusted: five, text: six.Text(), by: []ssh.Signer{alice}, clock: time.Unix(0, 0)},
		"expired, by a clock set back": {trusted: index.Trusted{Name: "nodes", Keys: keysOf(alice), Threshold: 1, Sequence: 5, Newest: day(110)}, text: six.Text(), by: []ssh.Signer{alice}, clock: day(7), want: index.Stale},
	} {
		if c.file == nil {
			if c.of == nil {
				c.of = c.text
			}
			c.file = sign(c.of, index.Namespace, c.by...)
		}
		if c.clock.IsZero() {
			c.clock = day(7)
		}
		x, next, err := index.Verify(c.text, c.file, c.trusted, c.clock)
		if reason := reasonOf(t, err); reason != c.want {
			t.Errorf("%s: %q, want %q: %v", name, reason, c.want, err)
			continue
		}
		want := c.trusted // nothing that is refused changes what is trusted
		if c.want == "" {
			want = trusts(x)
		}
		if d := cmp.Diff(want, next); d != "" {
			t.Errorf("%s: what is trusted then, -want +got:\n%s", name, d)
		}
		if (x == nil) != (err != nil) {
			t.Errorf("%s: the index is %v", name, x)
		}
	}
}

// TestNewestStays: an index that was issued before one that was accepted does not turn time back.
func TestNewestStays(t *testing.T) {
	t.Parallel()
	x := release(6, 1, alice)
	trusted := trusts(release(5, 1, alice))
	trusted.Newest = day(50)
	_, next, err := index.Verify(x.Text(), sign(x.Text(), index.Namespace, alice), trusted, day(7))
	if err != nil || !next.Newest.Equal(day(50)) || !next.Now(day(7)).Equal(day(50)) || !next.Now(day(51)).Equal(day(51)) {
		t.Errorf("%v, %v", next.Newest, err)
	}
}

// TestRotation: keys change one release at a time. Who has missed a change of all keys has to add
// the catalog again.
func TestRotation(t *testing.T) {
	t.Parallel()
	trusted := trusts(release(1, 1, alice))
	for i, c := range []struct {
		by, keys []ssh.Signer
		want     index.Reason
	}{
		{by: []ssh.Signer{alice, bob}, keys: []ssh.Signer{bob}},
		{by: []ssh.Signer{alice}, keys: []ssh.Signer{alice}, want: index.UnknownKey},
		{by: []ssh.Signer{bob, carol}, keys: []ssh.Signer{carol}},
		{by: []ssh.Signer{carol}, keys: []ssh.Signer{carol}},
	} {
		x := release(2+i, 1, c.keys...)
		file := sign(x.Text(), index.Namespace, c.by...)
		_, next, err := index.Verify(x.Text(), file, trusted, day(7))
		if reason := reasonOf(t, err); reason != c.want {
			t.Fatalf("release %d: %q, want %q: %v", x.Sequence, reason, c.want, err)
		}
		trusted = next
	}
	x := release(9, 1, carol)
	_, _, err := index.Verify(x.Text(), sign(x.Text(), index.Namespace, carol), trusts(release(1, 1, alice)), day(7))
	if reason := reasonOf(t, err); reason != index.UnknownKey {
		t.Errorf("a machine that was away: %q: %v", reason, err)
	}
}

func TestSigners(t *testing.T) {
	t.Parallel()
	text := []byte("text")
	file := slices.Concat(
		sign(text, index.Namespace, alice, dave, alice), sign(text, "file", bob), sign([]byte("other"), index.Namespace, carol), []byte("rest"),
	)
	if d := cmp.Diff(keysOf(alice, dave), index.Signers(text, file)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestOddSignatures: a signature whose fields do not fit together is none.
func TestOddSignatures(t *testing.T) {
	t.Parallel()
	text := []byte("text")
	for _, by := range []ssh.Signer{alice, carol, dave} {
		for what, change := range map[string]func(*sshsig.Signature){
			"another namespace than it was signed for": func(s *sshsig.Signature) { s.Namespace = "git" },
			"the format of another key":                func(s *sshsig.Signature) { s.Signature.Format = ssh.KeyAlgoRSASHA512 },
			"no format":                                func(s *sshsig.Signature) { s.Signature.Format = "" },
			"more bytes at its end":                    func(s *sshsig.Signature) { s.Signature.Rest = append(s.Signature.Rest, 0) },
			"an empty signature":                       func(s *sshsig.Signature) { s.Signature.Blob = nil },
			"a changed byte":                           func(s *sshsig.Signature) { s.Signature.Blob[len(s.Signature.Blob)-1] ^= 1 },
			"another hash than it was made of":         func(s *sshsig.Signature) { s.HashAlgorithm = sshsig.HashSHA256 },
			"an unknown hash":                          func(s *sshsig.Signature) { s.HashAlgorithm = "md5" },
			"a later version":                          func(s *sshsig.Signature) { s.Version = 2 },
			"the key of another author":                func(s *sshsig.Signature) { s.PublicKey = mallory.PublicKey() },
		} {
			s := must(sshsig.Sign(bytes.NewReader(text), by, sshsig.HashSHA512, index.Namespace))
			if got := index.Signers(text, sshsig.Armor(s)); len(got) != 1 {
				t.Fatalf("unchanged: %v", got)
			}
			change(s)
			if got := index.Signers(text, sshsig.Armor(s)); len(got) > 0 {
				t.Errorf("%s, %s: signed by %s", by.PublicKey().Type(), what, got)
			}
		}
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	own := string(keyOf(alice))
	for text, want := range map[string]string{
		own:                      "",
		own + " alice@host\n":    "",
		"":                       "write the content of a .pub file",
		"alice":                  "write the content of a .pub file",
		"ssh-rsa AAAAB3NzaC1yc2": "write the content of a .pub file",
		`command="x" ` + own:     "write the content of a .pub file",
		own[:len(own)-10]:        "the key is incomplete or damaged",
		own + "\n" + own:         "write one key only",
		"ssh-ed25519":            "the key is incomplete or damaged",
	} {
		key, err := index.ParseKey(text)
		switch {
		case want == "" && (err != nil || string(key) != own):
			t.Errorf("%q: %q, %v", text, key, err)
		case want != "" && !strings.Contains(fmt.Sprint(err), want):
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if got, want := keyOf(alice).Fingerprint(), ssh.FingerprintSHA256(alice.PublicKey()); got != want {
		t.Errorf("the fingerprint is %s, want %s", got, want)
	}
}
