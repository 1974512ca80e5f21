package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// ErrUsage says that the arguments of Command are invalid.
var ErrUsage = errors.New("it is for archgen update")

// Verbs is the verbs of Command.
var Verbs = []string{"size", "save", "check", "swap", "drop"}

// Command executes one verb on a volume:
//
//	size VOLUMES NAME          print how many bytes a snapshot takes
//	save VOLUMES NAME BYTES    take a snapshot, and print its record
//	check VOLUMES NAME RECORD  demand that the snapshot and the data are there
//	swap VOLUMES NAME RECORD   exchange the snapshot and the data
//	drop VOLUMES NAME          remove the snapshot
//
// VOLUMES is the directory of Podman's volumes. It runs as root, or as root of Podman's user
// namespace (podman unshare), where the owners of a container's files are known. It prints JSON: a
// number, a Record, or an Error, which it returns, too.
func Command(ctx context.Context, args []string, stdout io.Writer) error {
	return command(ctx, calls{}, args, stdout)
}

func command(ctx context.Context, c calls, args []string, stdout io.Writer) error {
	var result any
	err := ErrUsage
	switch {
	case len(args) == 3 && args[0] == "size":
		result, err = measure(ctx, c, args[1], args[2])
	case len(args) == 4 && args[0] == "save":
		if most, invalid := strconv.ParseInt(args[3], 10, 64); invalid == nil {
			result, err = save(ctx, c, args[1], args[2], most)
		}
	case len(args) == 4 && (args[0] == "swap" || args[0] == "check"):
		do := map[string]func(context.Context, calls, string, string, Record) error{"swap": swap, "check": check}[args[0]]
		var r Record
		if json.Unmarshal([]byte(args[3]), &r) == nil && r.Data != (ID{}) && r.Snapshot != (ID{}) {
			err = do(ctx, c, args[1], args[2], r)
		}
	case len(args) == 3 && args[0] == "drop":
		err = drop(ctx, c, args[1], args[2])
	}
	if err != nil {
		result = nil
	}
	if reason, ok := errors.AsType[*Error](err); ok {
		result = reason
	}
	if result != nil {
		err = errors.Join(err, json.NewEncoder(stdout).Encode(result))
	}
	return err
}

// doing adds to an error what a verb was doing to which volume.
func doing(what, volume string, err error) error {
	if err == nil {
		return nil
	}
	if reason, ok := errors.AsType[*Error](err); ok {
		return &Error{reason.Reason, fmt.Sprintf("%s the volume %s: %v", what, volume, err)}
	}
	return fmt.Errorf("%s the volume %s: %w", what, volume, err)
}
