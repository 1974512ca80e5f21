// Package secret owns the values of secrets: how they are stored, generated and derived,
// and how a rotation replaces one value with another in every app that uses it.
//
// It never runs Podman and restarts nothing: the caller supplies what passes values to
// containers, and the pass that restarts them. It never puts a value into an error or an
// argument of a program.
package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
)

// ErrNone says that a secret has no value.
var ErrNone = errors.New("it has no value")

// MaxValue is Podman's limit for the size of a secret, in bytes.
const MaxValue = 512_000

// Store is the values of a scope's secrets, one file each.
type Store struct {
	// Dir is the directory of the values, which only its owner can read. Runtime is the
	// directory of the lock.
	Dir, Runtime string
	Scope        units.Scope
}

// names matches the name of a secret: the app's ID and the name in its manifest. It is compiled when it
// is needed: with its repetitions that takes a tenth of the time in which archgen starts, and it starts
// with each app.
var names = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,47}\.[a-z0-9][a-z0-9-]{0,47}$`)
})

// CheckName returns an error for a text that is not the full name of a secret.
func CheckName(name string) error {
	if names().MatchString(name) {
		return nil
	}
	return fmt.Errorf("%q is not the name of a secret: write ID.NAME, such as bitcoin-knots.rpc-password", name)
}

// Get returns the value of a secret. Its error wraps ErrNone if there is none.
func (s Store) Get(ctx context.Context, name string) (string, error) {
	kept, err := s.read(name)
	if err != nil {
		return "", err
	}
	return s.open(ctx, name, kept)
}

// Has reports whether a secret has a value, without reading it.
func (s Store) Has(name string) bool {
	_, err := os.Lstat(filepath.Join(s.Dir, name))
	return err == nil
}

// Set sets a secret durably. It writes nothing if the secret already has that value.
func (s Store) Set(ctx context.Context, name, value string) error {
	if err := CheckValue(name, value); err != nil {
		return err
	}
	if before, err := s.Get(ctx, name); err == nil && before == value {
		return nil
	}
	kept, err := s.seal(ctx, name, value)
	if err != nil {
		return err
	}
	return s.write(name, kept)
}

// CheckValue returns an error for a text that can't be a value.
func CheckValue(name, value string) error {
	switch {
	case value == "":
		return fmt.Errorf("the value of %s is empty", name)
	case len(value) > MaxValue:
		return fmt.Errorf("the value of %s has %d bytes; Podman allows at most %d", name, len(value), MaxValue)
	}
	return CheckName(name)
}

// Remove removes a value, if there is one.
func (s Store) Remove(name string) error { return durable.Remove(s.Dir, name) }

// Names lists the secrets that have a value.
func (s Store) Names() ([]string, error) {
	found, err := durable.Names(s.Dir)
	if err != nil {
		return nil, err
	}
	list := make([]string, 0, len(found))
	for _, name := range found {
		if names().MatchString(name) {
			list = append(list, name)
		}
	}
	return list, nil
}

// Plain lists the secrets whose values are not encrypted.
func (s Store) Plain() ([]string, error) {
	all, err := s.Names()
	var list []string
	for _, name := range all {
		if kept, err := s.read(name); err == nil && bytes.HasPrefix(kept, []byte(plain)) {
			list = append(list, name)
		}
	}
	return list, err
}

func (s Store) read(name string) ([]byte, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	kept, err := os.ReadFile(filepath.Join(s.Dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the secret %s: %w", name, ErrNone)
	case err != nil:
		return nil, fmt.Errorf("reading the secret %s: %w", name, err)
	}
	return kept, nil
}

func (s Store) write(name string, kept []byte) error {
	return durable.ReplacePrivate(s.Dir, name, kept, 0o600)
}

// A stored value begins with a line that names its format.
const (
	plain  = "plain\n"
	sealed = "systemd-creds\n"
)

// seal returns the stored form of a value: encrypted if systemd can do that, else the value
// itself. archgen doctor says which, and why.
func (s Store) seal(ctx context.Context, name, value string) ([]byte, error) {
	blob, err := s.creds(ctx, "encrypt", name, value)
	switch {
	case err == nil:
		return []byte(sealed + blob), nil
	case ctx.Err() != nil: // this says nothing about systemd-creds
		return nil, err
	}
	return []byte(plain + value), nil // secrets have to work with an older systemd, too
}

func (s Store) open(ctx context.Context, name string, kept []byte) (string, error) {
	if value, ok := strings.CutPrefix(string(kept), plain); ok {
		return value, nil
	}
	blob, ok := strings.CutPrefix(string(kept), sealed)
	if !ok {
		return "", fmt.Errorf("%s was not written by archgen: set the secret again with archgen secret set %s", filepath.Join(s.Dir, name), name)
	}
	value, err := s.creds(ctx, "decrypt", name, blob)
	if err != nil {
		return "", fmt.Errorf("decrypting the secret %s: %w; set it again with archgen secret set %s", name, err, name)
	}
	return value, nil
}

// Sealing returns the reason why values can't be encrypted here, or nil if they can.
func (s Store) Sealing(ctx context.Context) error {
	blob, err := s.creds(ctx, "encrypt", "archipelago.check", "x")
	if err == nil {
		_, err = s.creds(ctx, "decrypt", "archipelago.check", blob)
	}
	return err
}
