package podmancli

import (
	"context"
	"errors"
	"strings"

	"github.com/archipelago-os/archipelago/units/podman"
	"github.com/archipelago-os/archipelago/units/secret"
)

// Secrets is what Podman keeps of secrets, for containers.
type Secrets struct {
	// Storage is the directory of Podman's storage.
	Storage string
	Podman  Runner
}

// Secret reads what the next container gets, without a process where Podman keeps
// it in files. It is secret.ErrNone for one that Podman does not have.
func (s Secrets) Secret(name string) (string, error) {
	value, err := podman.SecretValue(s.Storage, name)
	switch {
	case err == nil:
		return value, nil
	case errors.Is(err, podman.ErrNoSecret):
		return "", secret.ErrNone
	}
	// Podman writes its files in place: one that it is writing can't be understood.
	ctx := context.Background() // a probe's timeout does not reach here, and Podman answers from a file
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
