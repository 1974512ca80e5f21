package index

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
)

// Key is a public key as authorized_keys has it, without options and comment.
type Key string

// verifier reports whether a signature is one of a message. It is given the fields of the signature
// after its format, as RFC 4253, RFC 5656 and OpenSSH's PROTOCOL.u2f describe them.
type verifier func(message []byte, signature *wire) bool

// kinds reads the fields of a public key after its kind, by kind. The verifier is nil if they are no
// key. RSA is left out: such keys have any length.
var kinds = map[string]func(key *wire) verifier{
	"ssh-ed25519":                readEd25519,
	"sk-ssh-ed25519@openssh.com": readToken,
	"ecdsa-sha2-nistp256":        curve(elliptic.P256(), "nistp256", func(m []byte) []byte { h := sha256.Sum256(m); return h[:] }),
	"ecdsa-sha2-nistp384":        curve(elliptic.P384(), "nistp384", func(m []byte) []byte { h := sha512.Sum384(m); return h[:] }),
	"ecdsa-sha2-nistp521":        curve(elliptic.P521(), "nistp521", func(m []byte) []byte { h := sha512.Sum512(m); return h[:] }),
}

// ParseKey reads a public key as ssh-keygen writes it to a .pub file. It leaves the comment out.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	if strings.ContainsAny(text, "\r\n") {
		return "", errors.New("write one key only")
	}
	kind, rest, _ := strings.Cut(text, " ")
	if kinds[kind] == nil {
		return "", fmt.Errorf("write the content of a .pub file: a key of the type %s", strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	encoded, _, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	blob, err := base64.StdEncoding.DecodeString(encoded)
	key, verify := readKey(blob)
	if err != nil || verify == nil || !strings.HasPrefix(string(key), kind+" ") {
		return "", errors.New("the key is incomplete or damaged")
	}
	return key, nil
}

// UnmarshalText reads a key.
func (k *Key) UnmarshalText(text []byte) (err error) {
	*k, err = ParseKey(string(text))
	return err
}

// Fingerprint is what ssh-keygen -l calls the key.
func (k Key) Fingerprint() string {
	_, encoded, _ := strings.Cut(string(k), " ")
	blob, _ := base64.StdEncoding.DecodeString(encoded) // a key is valid
	sum := sha256.Sum256(blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// readKey reads a public key. Without a verifier it is none of a known kind.
func readKey(blob []byte) (Key, verifier) {
	w := &wire{rest: blob}
	kind := string(w.text())
	read := kinds[kind]
	if read == nil {
		return "", nil
	}
	verify := read(w)
	if !w.isDone() {
		return "", nil
	}
	return Key(kind + " " + base64.StdEncoding.EncodeToString(blob)), verify
}

func readEd25519(w *wire) verifier {
	key := w.text()
	if len(key) != ed25519.PublicKeySize {
		return nil
	}
	return func(message []byte, s *wire) bool {
		signature := s.text()
		return s.isDone() && ed25519.Verify(key, message, signature)
	}
}

// isTouched is the flag of a token that was touched for a signature.
const isTouched = 1

// readToken reads an ed25519 key in a hardware token, which signs hashes, flags and a counter.
func readToken(w *wire) verifier {
	key, application := w.text(), sha256.Sum256(w.text())
	if len(key) != ed25519.PublicKeySize {
		return nil
	}
	return func(message []byte, s *wire) bool {
		signature, flags, counter := s.text(), s.take(1), s.take(4)
		sum := sha256.Sum256(message)
		return s.isDone() && flags[0]&isTouched != 0 &&
			ed25519.Verify(key, slices.Concat(application[:], flags, counter, sum[:]), signature)
	}
}

func curve(c elliptic.Curve, name string, hash func([]byte) []byte) func(*wire) verifier {
	return func(w *wire) verifier {
		named := string(w.text())
		key, err := ecdsa.ParseUncompressedPublicKey(c, w.text())
		if named != name || err != nil {
			return nil
		}
		return func(message []byte, s *wire) bool {
			numbers := &wire{rest: s.text()}
			r, t := numbers.number(), numbers.number()
			return s.isDone() && numbers.isDone() && ecdsa.Verify(key, hash(message), r, t)
		}
	}
}

// wire reads the fields of SSH's messages (RFC 4251, section 5). After an error all fields are empty.
type wire struct {
	rest  []byte
	isBad bool
}

// take is the next bytes. It always has that many.
func (w *wire) take(n int) []byte {
	if w.isBad || n > len(w.rest) {
		w.isBad = true
		return make([]byte, n)
	}
	taken := w.rest[:n]
	w.rest = w.rest[n:]
	return taken
}

// text is a string: its length, and its bytes.
func (w *wire) text() []byte {
	n := binary.BigEndian.Uint32(w.take(4))
	if w.isBad || uint64(n) > uint64(len(w.rest)) {
		w.isBad = true
		return nil
	}
	return w.take(int(n))
}

// number is a positive mpint.
func (w *wire) number() *big.Int {
	text := w.text()
	if len(text) > 0 && text[0]&0x80 != 0 {
		w.isBad = true
	}
	return new(big.Int).SetBytes(text)
}

// isDone reports whether all was read and was valid.
func (w *wire) isDone() bool { return !w.isBad && len(w.rest) == 0 }
