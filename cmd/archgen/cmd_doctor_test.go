package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/cmd/archgen/doctor"
)

func TestDoctorPrints(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &cli{stdout: &out}
	c.printChecks([]doctor.Result{
		{Name: "podman", Severity: doctor.OK, Detail: "5.4.2"},
		{Name: "user ids", Severity: doctor.Problem, Detail: "none", Fix: "do this\nthen that"},
	})
	const want = `ok       podman    5.4.2
problem  user ids  none
         do this
         then that
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}
