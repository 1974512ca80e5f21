// Package skopeo owns the execution of skopeo, which asks registries for tags: with Podman's
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
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "skopeo", "list-tags", "docker://"+repository)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	var answer struct{ Tags []string }
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, ErrAbsent
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil:
		err = json.Unmarshal(out.Bytes(), &answer)
	}
	if err != nil {
		said := message(podmancli.LastLine(complaint.String()))
		return nil, errors.New(strings.TrimSuffix(fmt.Sprintf("skopeo list-tags %s: %v: %s", repository, err, said), ": "))
	}
	return answer.Tags, nil
}

// message is what a line of skopeo's log says, without the time and the level.
func message(line string) string {
	_, quoted, isLog := strings.Cut(line, " msg=")
	if text, err := strconv.Unquote(quoted); isLog && err == nil {
		return text
	}
	return line
}
