package passes

import (
	"errors"

	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/units/reconcile"
)

// PartError ends a verb that failed for some apps and did its work for others.
type PartError struct{ Err error }

func (e PartError) Error() string { return e.Err.Error() }

// Unwrap returns the error.
func (e PartError) Unwrap() error { return e.Err }

// NotServingError ends a verb whose app was started and does not serve.
type NotServingError struct{ Err error }

func (e NotServingError) Error() string { return e.Err.Error() }

// Unwrap returns the error.
func (e NotServingError) Unwrap() error { return e.Err }

// IsVerdict reports whether a pass did its work, and an app does not serve.
func IsVerdict(err error) bool {
	_, isPart := errors.AsType[PartError](err)
	_, isNotServing := errors.AsType[NotServingError](err)
	return isPart || isNotServing
}

// verdict is the error of a pass in which apps failed.
func verdict(r reconcile.Report, isInvalid bool) error {
	failed, well := r.Count()
	if failed == 0 && isInvalid {
		failed = 1
	}
	if failed > 0 && well == 0 && (r.Has(reconcile.NotServing) || r.Has(reconcile.Starting)) {
		return NotServingError{session.ErrReported}
	}
	return Outcome(failed, well)
}

// Outcome is the error of a verb that failed for some apps.
func Outcome(failed, well int) error {
	switch {
	case failed == 0:
		return nil
	case well > 0:
		return PartError{session.ErrReported}
	}
	return session.ErrReported
}
