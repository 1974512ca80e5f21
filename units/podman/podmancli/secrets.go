package podmancli

import (
	"context"
	"errors"
	"strings"

	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/secret"
)

// Secrets is the secrets that Podman stores for containers.
type Secrets struct {
	// Storage is the directory of Podman's storage.
	Storage string
	Podman  Runner
}

// Secret returns the value that the next container gets. It runs Podman only if it can't read
// Podman's files. The error is secret.ErrNone if Podman has no such secret.
func (s Secrets) Secret(name string) (string, error) {
	value, err := podman.SecretValue(s.Storage, name)
	switch {
	case err == nil:
		return value, nil
	case errors.Is(err, podman.ErrNoSecret):
		return "", secret.ErrNone
	}
	// Podman writes its files in place: one that is being written can't be decoded.
	ctx := context.Background() // no context of a probe gets here, and Podman reads only a file
	out, err := s.Podman.Output(ctx, "secret", "inspect", "--showsecret", "--format={{.SecretData}}", "--", name)
	if err == nil {
		return strings.TrimSuffix(string(out), "\n"), nil
	}
	if exists, existsErr := s.Podman.Exists(ctx, "secret", name); existsErr == nil && !exists {
		return "", secret.ErrNone
	}
	return "", err
}

// SetSecret gives Podman a value, on standard input: every user can see arguments.
func (s Secrets) SetSecret(ctx context.Context, name, value string) error {
	return s.Podman(ctx, Call{Args: []string{"secret", "create", "--replace", "--", name, "-"}, Stdin: strings.NewReader(value)})
}
