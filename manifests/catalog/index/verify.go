package index

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// Reason says why a catalog is refused. Scripts may rely on the words.
type Reason string

// The reasons.
const (
	// Unsigned: there is no signature that can be read.
	Unsigned Reason = "unsigned"
	// UnknownKey: only keys that are not trusted have signed.
	UnknownKey Reason = "unknown-key"
	// OtherNamespace: a trusted key has signed it for another use.
	OtherNamespace Reason = "other-namespace"
	// Changed: a trusted key has signed other bytes.
	Changed Reason = "changed"
	// TooFewKeys: fewer trusted keys have signed than the threshold demands.
	TooFewKeys Reason = "too-few-keys"
	// Malformed: the index has errors.
	Malformed Reason = "malformed"
	// OtherName: it is the index of another catalog.
	OtherName Reason = "other-name"
	// Older: its sequence is lower than the highest that was accepted.
	Older Reason = "older"
	// Forked: its sequence is that of the accepted index, and its content is not.
	Forked Reason = "forked"
	// Rotation: it changes the keys, and too few of the new keys have signed it.
	Rotation Reason = "rotation"
	// Stale: it has expired.
	Stale Reason = "stale"
	// FileMissing, FileDiffers, FileOdd: a listed file is not there, has another content, or is
	// too large, a link or otherwise not a file.
	FileMissing Reason = "file-missing"
	FileDiffers Reason = "file-differs"
	FileOdd     Reason = "file-odd"
)

// RefusedError is a catalog that is refused.
type RefusedError struct {
	Reason  Reason
	Message string
	// Diags is the errors of a malformed index.
	Diags diag.List
}

func (e *RefusedError) Error() string {
	lines := make([]string, 0, 1+len(e.Diags))
	lines = append(lines, e.Message+" ("+string(e.Reason)+")")
	for _, d := range e.Diags {
		lines = append(lines, d.String())
	}
	return strings.Join(lines, "\n")
}

func refuse(reason Reason, format string, args ...any) error {
	return &RefusedError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Trusted is what a machine knows of a catalog from the indexes that it accepted, or from its
// operator before the first.
type Trusted struct {
	Name string
	// Keys and Threshold is how many of which keys have to sign the next index.
	Keys      []Key
	Threshold int
	// Sequence and Sum are those of the accepted index, zero before the first.
	Sequence int
	Sum      Sum
	// Newest is the newest time at which an accepted index was issued.
	Newest time.Time
}

// Now is the time: that of the machine's clock, but not before an index was issued. A machine
// without a clock begins years in the past.
func (t Trusted) Now(clock time.Time) time.Time { return later(clock, t.Newest) }

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Verify decides whether an index may replace the accepted one, and what is trusted then. The error
// is a *RefusedError. No byte of the index is parsed before enough trusted keys have signed it.
func Verify(text, signatureFile []byte, t Trusted, clock time.Time) (*Index, Trusted, error) {
	list := signatures(text, signatureFile)
	if err := t.demandSigned(list); err != nil {
		return nil, t, err
	}
	x, diags := Parse(File, text)
	if x == nil {
		return nil, t, &RefusedError{Malformed, "the index has errors", diags}
	}
	sum := SumOf(text)
	switch {
	case x.Name != t.Name:
		return nil, t, refuse(OtherName, "it is the index of the catalog %s", x.Name)
	case x.Sequence < t.Sequence:
		return nil, t, refuse(Older, "its sequence is %d, and %d was accepted before: the source serves an old copy", x.Sequence, t.Sequence)
	case x.Sequence == t.Sequence && sum != t.Sum:
		return nil, t, refuse(Forked, "an index with the same sequence %d and another content was accepted before: ask its author, who must release a higher sequence", x.Sequence)
	}
	if n := len(signedBy(list, x.Keys)); n < x.Threshold {
		return nil, t, refuse(Rotation, "it names other keys than those that are trusted, and %d of %d needed new keys have signed it", n, x.Threshold)
	}
	next := Trusted{Name: t.Name, Keys: x.Keys, Threshold: x.Threshold, Sequence: x.Sequence, Sum: sum, Newest: later(t.Newest, x.Issued)}
	if now := next.Now(clock); !now.Before(x.Expires) {
		return nil, t, refuse(Stale, "it expired on %s: its author must sign it again; if that date is ahead, set the clock", x.Expires.UTC().Format(time.DateOnly))
	}
	return x, next, nil
}

// demandSigned demands that enough trusted keys have signed.
func (t Trusted) demandSigned(list []signature) error {
	n := len(signedBy(list, t.Keys))
	if n >= max(1, t.Threshold) {
		return nil
	}
	if n > 0 {
		return refuse(TooFewKeys, "%d of %d needed keys have signed it", n, t.Threshold)
	}
	is := func(fits func(signature) bool) bool {
		return slices.ContainsFunc(list, func(s signature) bool { return slices.Contains(t.Keys, s.by) && fits(s) })
	}
	switch {
	case len(list) == 0:
		return refuse(Unsigned, "%s holds no signature by a key of a known type", SignatureFile)
	case is(func(s signature) bool { return s.isOurs }):
		return refuse(Changed, "its signature is of another content: it was changed after it was signed")
	case is(func(s signature) bool { return !s.isOurs }):
		return refuse(OtherNamespace, "its signature was made for another use than %s (ssh-keygen -Y sign -n)", Namespace)
	}
	var names []string
	for _, s := range list {
		names = append(names, s.by.Fingerprint())
	}
	return refuse(UnknownKey, "it is signed by %s, which is not trusted", strings.Join(names, ", "))
}

// signedBy is those of the keys that have signed.
func signedBy(list []signature, keys []Key) (signed []Key) {
	for _, k := range keys {
		if slices.Contains(list, signature{k, true, true}) && !slices.Contains(signed, k) {
			signed = append(signed, k)
		}
	}
	return signed
}
