package systemd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	sdbus "github.com/coreos/go-systemd/v22/dbus"

	"github.com/archipelago-os/archipelago/units"
)

// JobResult is the result of a job. There are more than those listed here.
type JobResult string

// The results of jobs.
const (
	JobDone     JobResult = "done"
	JobCanceled JobResult = "canceled" // another job replaced it
	JobTimeout  JobResult = "timeout"
	// JobFailed: for a service with RestartMode=direct, the job continues: systemd keeps it
	// waiting for the next automatic start.
	JobFailed     JobResult = "failed"
	JobDependency JobResult = "dependency" // a unit that it needs failed
	JobSkipped    JobResult = "skipped"
	JobAssert     JobResult = "assert"  // an assertion of the unit file failed
	JobInvalid    JobResult = "invalid" // a reload of a unit that is not active
	// JobLost: the connection was lost while the job ran. The job has finished, and the state of
	// its unit does not tell the result.
	JobLost JobResult = "lost"
)

// Replace is the mode of a job that replaces a queued one.
const Replace = "replace"

// IgnoreDependencies is the mode of a job that includes no other unit, neither by PartOf= nor by
// Requires=. It waits for none, and none waits for it. It is the only way to restart a unit
// without the units that are PartOf= it (systemd 257, TestLiveRestartAlone).
const IgnoreDependencies = "ignore-dependencies"

type queueFunc func(c *sdbus.Conn, ctx context.Context, name, mode string, result chan<- string) (int, error)

// Start starts a unit and waits for the job to finish, however long that takes. The context bounds
// the wait and does not cancel the job. If it ends with units.ErrPreempted, the job is queued in
// any case.
func (m *Manager) Start(ctx context.Context, name, mode string) (JobResult, error) {
	return m.job(ctx, starting, name, mode, (*sdbus.Conn).StartUnitContext)
}

// Stop is like Start, but stops the unit.
func (m *Manager) Stop(ctx context.Context, name, mode string) (JobResult, error) {
	return m.job(ctx, stopping, name, mode, (*sdbus.Conn).StopUnitContext)
}

// Restart is like Start, but stops the unit before if it is active. If the connection is lost
// during the request, the unit may restart twice.
func (m *Manager) Restart(ctx context.Context, name, mode string) (JobResult, error) {
	return m.job(ctx, "restarting", name, mode, (*sdbus.Conn).RestartUnitContext)
}

// ReloadUnit makes an active unit read its configuration again (ExecReload=), and waits like
// Start. A failed reload leaves the unit active.
func (m *Manager) ReloadUnit(ctx context.Context, name, mode string) (JobResult, error) {
	return m.job(ctx, "reloading", name, mode, (*sdbus.Conn).ReloadUnitContext)
}

const (
	starting = "starting"
	stopping = "stopping"
)

// job is a pending job that a call waits for.
type job struct {
	doing, unit string
	id          uint32
	conn        *conn
	// before is the invocation of the unit when the job was queued, and first the next one that
	// was seen.
	before, first string
	// result has room for the result: go-systemd delivers no more results while one of its
	// channels is full.
	result chan string
}

func (m *Manager) job(ctx context.Context, doing, name, mode string, queue queueFunc) (JobResult, error) {
	queueing, end := untilCalledOff(ctx)
	defer end()
	var before string
	if doing != stopping {
		if found, err := m.Current(queueing, name); err == nil {
			before = found[0].InvocationID
		}
	}
	j, err := call(queueing, m, doing+" "+name, callTimeout, func(ctx context.Context, l *conn) (*job, error) {
		select {
		case l.queueing <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		defer func() { <-l.queueing }()
		j := &job{doing: doing, unit: name, conn: l, before: before, result: make(chan string, 1)}
		id, err := queue(l.calls, ctx, name, mode, j.result)
		j.id = uint32(id)
		return j, err
	})
	if err != nil {
		return "", err
	}
	return m.await(ctx, j)
}

// untilCalledOff is a context that units.ErrPreempted does not end.
func untilCalledOff(ctx context.Context) (context.Context, func()) {
	c, end := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); !errors.Is(cause, units.ErrPreempted) {
			end(cause)
		}
	})
	return c, func() { stop(); end(nil) }
}

func (m *Manager) await(ctx context.Context, j *job) (JobResult, error) {
	ctx, stop := withEnd(ctx, m.closing)
	defer stop()
	tick := time.NewTicker(m.recheck)
	defer tick.Stop()
	for {
		select {
		case result := <-j.result:
			return JobResult(result), nil
		case <-ctx.Done():
			return "", m.explain(fmt.Sprintf("%s %s: job %d continues", j.doing, j.unit, j.id), context.Cause(ctx))
		case <-j.conn.lost:
			return m.judge(ctx, j)
		case <-tick.C:
			// In this order the state is that of this start or of a later one.
			invocation := m.invocation(ctx, j)
			list, err := m.List(ctx, j.unit)
			switch {
			case err != nil || len(list) == 0:
			case list[0].JobID != j.id: // the job has finished, and no result arrived
				return m.judge(ctx, j)
			case j.hasFailed(invocation, list[0]):
				return JobFailed, nil
			}
		}
	}
}

// invocation is the id of the start that the job made, empty if unknown.
func (m *Manager) invocation(ctx context.Context, j *job) string {
	if j.doing == stopping {
		return ""
	}
	found, err := m.Current(ctx, j.unit)
	if err != nil || found[0].InvocationID == j.before {
		return ""
	}
	return found[0].InvocationID
}

// hasFailed reports whether a start failed and its job waits for the next automatic start, as it
// does with RestartMode=direct; systemd 257, TestLiveDirectStart.
func (j *job) hasFailed(invocation string, unit Listed) bool {
	if invocation == "" {
		return false
	}
	isNext := j.first != "" && j.first != invocation
	j.first = invocation
	return isNext || strings.HasPrefix(unit.SubState, "auto-restart")
}

// judge derives the result of a finished job from the state of its unit. A manager that
// re-executes keeps its jobs.
func (m *Manager) judge(ctx context.Context, j *job) (JobResult, error) {
	for pause := newPause(); ; {
		list, err := m.List(ctx, j.unit)
		switch {
		case len(j.result) > 0:
			return JobResult(<-j.result), nil
		case err != nil:
			return "", err
		case len(list) == 0 || list[0].JobID != j.id:
			return verdict(j.doing, list), nil
		}
		if !pause.wait(ctx) {
			return "", m.explain(fmt.Sprintf("%s %s: job %d continues", j.doing, j.unit, j.id), context.Cause(ctx))
		}
	}
}

func verdict(doing string, list []Listed) JobResult {
	if len(list) == 0 {
		return JobLost
	}
	isUp := list[0].ActiveState == "active" || list[0].ActiveState == "reloading"
	isDown := list[0].ActiveState == "inactive" || list[0].ActiveState == "failed"
	switch {
	case doing == stopping && isDown, doing != stopping && isUp:
		return JobDone
	case list[0].ActiveState == "failed":
		return JobFailed
	}
	return JobLost
}
