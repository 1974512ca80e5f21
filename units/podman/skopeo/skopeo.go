// Package skopeo owns the execution of skopeo, which asks registries for tags and digests: with Podman's
// configuration of registries and its logins, and without pulling anything.
//
// It never decides which images are asked for, nor which tag is newer.
package skopeo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// timeout is how long a registry may take for an answer.
const timeout = time.Minute

// ErrAbsent says that skopeo is not installed.
var ErrAbsent = errors.New("skopeo is not installed, and without it no registry can be asked for tags")

// Tags returns all tags of the repository of an image, such as docker.io/library/nginx. The error is
// ErrAbsent if there is no skopeo in PATH.
func Tags(ctx context.Context, repository string) ([]string, error) {
	var answer struct{ Tags []string }
	err := run(ctx, &answer, "list-tags", repository)
	return answer.Tags, err
}

// Digest returns the digest of what a tag stands for now, such as docker.io/library/nginx:1.28: of an
// index of platforms, if it is one. There has to be an image for this platform. The error is ErrAbsent if
// there is no skopeo in PATH.
func Digest(ctx context.Context, image string) (string, error) {
	var answer struct{ Digest string }
	err := run(ctx, &answer, "inspect", image, "--no-tags")
	return answer.Digest, err
}

// run runs a command of skopeo about an image in a registry, and decodes its answer.
func run(ctx context.Context, answer any, command, image string, flags ...string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "skopeo", append(append([]string{command}, flags...), "docker://"+image)...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return ErrAbsent
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil:
		err = json.Unmarshal(out.Bytes(), answer)
	}
	if err != nil {
		said := message(podmancli.LastLine(complaint.String()))
		return errors.New(strings.TrimSuffix(fmt.Sprintf("skopeo %s %s: %v: %s", command, image, err, said), ": "))
	}
	return nil
}

// message is what a line of skopeo's log says, without the time and the level.
func message(line string) string {
	_, quoted, isLog := strings.Cut(line, " msg=")
	if text, err := strconv.Unquote(quoted); isLog && err == nil {
		return text
	}
	return line
}
