package podmancli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Unshare executes this program in Podman's user namespace, where the owners of a container's files
// are known. The arguments of the call are those of this program, and the error is what it printed.
func (run Runner) Unshare(ctx context.Context, call Call) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	call.Args = append([]string{"unshare", self}, call.Args...)
	err = run(ctx, call)
	if failed, ok := errors.AsType[*Error](err); ok {
		return fmt.Errorf("%w: %s", failed.Err, strings.TrimPrefix(failed.Said, "archgen: "))
	}
	return err
}
