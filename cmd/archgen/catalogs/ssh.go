package catalogs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/catalog/index"
)

// PublicKey reads the public key that belongs to the file of a private one, or is in the file
// itself: the private one may be in an agent.
func PublicKey(file string) (index.Key, error) {
	text, err := os.ReadFile(file + ".pub")
	if errors.Is(err, os.ErrNotExist) {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fmt.Errorf("the key %s can't be read: %w; make one with ssh-keygen, or name one with --key", file, manifests.CauseOf(err))
	}
	key, err := index.ParseKey(string(text))
	if err != nil {
		return "", fmt.Errorf("%s.pub holds no public key that can sign a catalog: %w", file, err)
	}
	return key, nil
}

// SSHSign signs a text with the private key in a file, which may be in an agent or a token.
// ssh-keygen asks for a passphrase or a touch itself, on the terminal and stderr.
func SSHSign(ctx context.Context, key string, text []byte, stderr io.Writer) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "ssh-keygen", "-Y", "sign", "-n", index.Namespace, "-f", key)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &out, stderr
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("ssh-keygen is missing, which signs: install OpenSSH's client")
	}
	if err != nil {
		return nil, fmt.Errorf("signing with %s: ssh-keygen: %w", key, err)
	}
	return out.Bytes(), nil
}
