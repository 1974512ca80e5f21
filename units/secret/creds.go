package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/units"
)

// credsTime is far longer than systemd-creds needs, even with a TPM.
const credsTime = 30 * time.Second

// creds runs systemd-creds to encrypt or decrypt a text bound to a name. It uses the host
// key: systemd-creds would prefer a key in a TPM, which a firmware update destroys.
func (s Store) creds(ctx context.Context, verb, name, text string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, credsTime)
	defer cancel()
	args := []string{verb, "--name=" + name}
	if s.Scope == units.User {
		args = append(args, "--user")
	}
	if verb == "encrypt" {
		args = append(args, "--with-key=host")
	}
	cmd := exec.CommandContext(ctx, "systemd-creds", append(args, "-", "-")...)
	var out, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(text), &out, &complaint
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(complaint.String()); said != "" {
			err = errors.New(said[strings.LastIndexByte(said, '\n')+1:])
		}
		return "", fmt.Errorf("systemd-creds %s: %w", verb, err)
	}
	return out.String(), nil
}
