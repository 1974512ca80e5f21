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

// JobResult is how a job ended. There are more than are named here.
type JobResult string

// The results of jobs.
const (
	JobDone     JobResult = "done"
	JobCanceled JobResult = "canceled" // another job took its place
	JobTimeout  JobResult = "timeout"
	// JobFailed: for a service in the restart mode direct, the job goes on: systemd makes
	// it wait for the next automatic start.
	JobFailed     JobResult = "failed"
	JobDependency JobResult = "dependency" // a unit that it needs failed
	JobSkipped    JobResult = "skipped"
	JobInvalid    JobResult = "invalid" // a reload of a unit that is not active
	// JobLost: the connection was lost while the job ran. The job is over, and
	// the state of its unit does not tell how it ended.
	JobLost JobResult = "lost"
)

// Replace is the mode of a job that takes the place of one that is queued.
const Replace = "replace"

// IgnoreDependencies is the mode of a job that takes no other unit along, neither by
// PartOf= nor by Requires=. It waits for none, and none waits for it. It is the only way to restart a unit and
// not what is PartOf= it (systemd 257, TestLiveRestartAlone).
const IgnoreDependencies = "ignore-dependencies"

type queueFunc func(c *sdbus.Conn, ctx context.Context, name, mode string, result chan<- string) (int, error)

// Start starts a unit and waits for the job to end, however long that takes:
// the context bounds the wait, and leaves the job alone when it ends. Where it ends
// with units.ErrPreempted, the job is queued in any case.
func (m *Manager) Start(ctx context.Context, name, mode string) (JobResult, error) {
	return m.job(ctx, starting, name, mode, (*sdbus.Conn).StartUnitContext)
}

// Stop is Start for stopping.
func (m *Manager) Stop(ctx context.Context, name, mode string) (JobResult, error) {
	return m.job(ctx, stopping, name, mode, (*sdbus.Conn).StopUnitContext)
}

// Restart is Start for stopping and starting; it starts a unit that is stopped.
// When the connection is lost as it is asked for, the unit may restart twice.
func (m *Manager) Restart(ctx context.Context, name, mode string) (JobResult, error) {
	return m.job(ctx, "restarting", name, mode, (*sdbus.Conn).RestartUnitContext)
}

// ReloadUnit has a unit that is active read its configuration again (ExecReload=), and
// waits like Start. A reload that fails leaves the unit active.
func (m *Manager) ReloadUnit(ctx context.Context, name, mode string) (JobResult, error) {
	return m.job(ctx, "reloading", name, mode, (*sdbus.Conn).ReloadUnitContext)
}

const (
	starting = "starting"
	stopping = "stopping"
)

// job is a job that is waited for.
type job struct {
	doing, unit string
	id          uint32
	conn        *conn
	// before is the invocation of the unit when the job was queued, and first the one that
	// was seen after that.
	before, first string
	// result has room for the result: go-systemd stops telling results to
	// anybody while one of its channels is full.
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

// untilCalledOff is a context without the end that units.ErrPreempted makes of it.
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
			return "", m.explain(fmt.Sprintf("%s %s: job %d goes on", j.doing, j.unit, j.id), context.Cause(ctx))
		case <-j.conn.lost:
			return m.judge(ctx, j)
		case <-tick.C:
			// In this order: the state is then that of this start, or of a later one.
			invocation := m.invocation(ctx, j)
			list, err := m.List(ctx, j.unit)
			switch {
			case err != nil || len(list) == 0:
			case list[0].JobID != j.id: // it is gone, and no result came
				return m.judge(ctx, j)
			case j.hasFailed(invocation, list[0]):
				return JobFailed, nil
			}
		}
	}
}

// invocation is the id of the start that a job has led to, empty where it is not known.
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

// hasFailed reports whether a start has failed whose job goes on with the next automatic
// start, as it does in the restart mode direct; systemd 257, TestLiveDirectStart.
func (j *job) hasFailed(invocation string, unit Listed) bool {
	if invocation == "" {
		return false
	}
	isNext := j.first != "" && j.first != invocation
	j.first = invocation
	return isNext || strings.HasPrefix(unit.SubState, "auto-restart")
}

// judge tells the result of a job from the state of its unit, once the job is
// gone. A manager that executes itself anew goes on with the jobs that it had.
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
			return "", m.explain(fmt.Sprintf("%s %s: job %d goes on", j.doing, j.unit, j.id), context.Cause(ctx))
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
