package index

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/pem"
	"slices"
)

// Namespace is what the signatures of an index are made for (ssh-keygen -Y sign -n). A signature
// for another use is none of an index.
const Namespace = "archipelago-catalog"

const (
	// MaxSignatureFile is the most bytes of the file of signatures.
	MaxSignatureFile = 64 << 10
	// maxSignatures is the most signatures that are read.
	maxSignatures = 64
	// preamble begins a signature, and what is signed.
	preamble = "SSHSIG"
	// pemType is the type of the armour.
	pemType = "SSH SIGNATURE"
)

// hashes is the hashes that a signature can be made of.
var hashes = map[string]func([]byte) []byte{
	"sha256": func(text []byte) []byte { h := sha256.Sum256(text); return h[:] },
	"sha512": func(text []byte) []byte { h := sha512.Sum512(text); return h[:] },
}

// signature is one signature of a file of signatures.
type signature struct {
	by Key
	// isOurs: it was made for the index of a catalog.
	isOurs bool
	// isValid: it is of this text.
	isValid bool
}

// signatures reads the signatures of a text. Those that can't be read are left out: another may
// suffice.
func signatures(text, file []byte) (list []signature) {
	if len(file) > MaxSignatureFile {
		return nil
	}
	for block, rest := pem.Decode(file); block != nil && len(list) < maxSignatures; block, rest = pem.Decode(rest) {
		if s, isKnown := readSignature(text, block.Bytes); isKnown && block.Type == pemType {
			list = append(list, s)
		}
	}
	return list
}

// readSignature reads and verifies a signature as OpenSSH's PROTOCOL.sshsig describes it.
func readSignature(text, blob []byte) (s signature, isKnown bool) {
	w := &wire{rest: blob}
	if string(w.take(len(preamble))) != preamble || binary.BigEndian.Uint32(w.take(4)) != 1 {
		return s, false
	}
	key, namespace, _, name, signed := w.text(), string(w.text()), w.text(), string(w.text()), &wire{rest: w.text()}
	by, verify := readKey(key)
	hash := hashes[name]
	if !w.isDone() || verify == nil || hash == nil {
		return s, false
	}
	s = signature{by: by, isOurs: namespace == Namespace}
	message := []byte(preamble)
	for _, field := range []string{Namespace, "", name, string(hash(text))} {
		message = binary.BigEndian.AppendUint32(message, uint32(len(field)))
		message = append(message, field...)
	}
	s.isValid = s.isOurs && isFormatOf(signed, by) && verify(message, signed)
	return s, true
}

// isFormatOf reads the format of a signature, which is the kind of its key.
func isFormatOf(signed *wire, by Key) bool {
	format := string(signed.text())
	return !signed.isBad && len(by) > len(format) && string(by[:len(format)+1]) == format+" "
}

// Signers is the keys with valid signatures of a text.
func Signers(text, file []byte) []Key {
	var keys []Key
	for _, s := range signatures(text, file) {
		if s.isValid && !slices.Contains(keys, s.by) {
			keys = append(keys, s.by)
		}
	}
	return keys
}
