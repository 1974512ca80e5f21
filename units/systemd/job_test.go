package systemd_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/systemd"
	"github.com/archipelago-os/archipelago/units/systemd/systemdtest"
)

// held makes every job wait until release is called.
func held(fake *systemdtest.Manager, outcome systemdtest.Outcome) (release func()) {
	hold := make(chan struct{})
	outcome.Hold = hold
	fake.OnJob(func(systemdtest.Job) systemdtest.Outcome { return outcome })
	return sync.OnceFunc(func() { close(hold) })
}

type ending struct {
	result systemd.JobResult
	err    error
}

// begin starts the app and returns once the call waits for its job.
func begin(t *testing.T, fake *systemdtest.Manager, m *systemd.Manager) <-chan ending {
	t.Helper()
	return beginWithin(within(t, long), t, fake, m)
}

// beginWithin is begin with a wait that the context ends.
func beginWithin(ctx context.Context, t *testing.T, fake *systemdtest.Manager, m *systemd.Manager) <-chan ending {
	t.Helper()
	before := fake.Jobs()
	ended := make(chan ending, 1)
	go func() {
		result, err := m.Start(ctx, app, systemd.Replace)
		ended <- ending{result, err}
	}()
	eventually(t, "the job is queued", func() bool { return fake.Jobs() > before })
	answered(t, m) //nolint:contextcheck // the wait may end meanwhile, and this must not
	return ended
}

// answered returns once all earlier calls are answered: they share one connection, in order.
func answered(t *testing.T, m *systemd.Manager) {
	t.Helper()
	if _, err := m.ListByPatterns(within(t, long), "none"); err != nil {
		t.Fatal(err)
	}
}

func TestJobsAreWaitedFor(t *testing.T) {
	calls := map[string]func(*systemd.Manager, context.Context, string, string) (systemd.JobResult, error){
		"start": (*systemd.Manager).Start, "stop": (*systemd.Manager).Stop,
		"restart": (*systemd.Manager).Restart,
	}
	for name, connect := range both {
		t.Run(name, func(t *testing.T) {
			fake := systemdtest.New(t)
			m := connect(fake)
			for kind, call := range calls {
				for _, want := range []systemd.JobResult{systemd.JobDone, systemd.JobFailed, systemd.JobTimeout, systemd.JobDependency, systemd.JobSkipped} {
					fake.Set(systemd.Unit{Name: app, ActiveState: "active", SubState: "running"})
					var asked systemdtest.Job
					fake.OnJob(func(j systemdtest.Job) systemdtest.Outcome {
						asked = j
						return systemdtest.Outcome{Result: string(want), Delay: time.Millisecond}
					})
					got, err := call(m, within(t, long), app, "fail")
					if err != nil || got != want {
						t.Errorf("%s: result %q, %v, want %q", kind, got, err, want)
					}
					if asked != (systemdtest.Job{Kind: kind, Unit: app, Mode: "fail"}) {
						t.Errorf("%s requested %+v", kind, asked)
					}
				}
			}
		})
	}
}

func TestAJobContinuesWithoutAWaiter(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Set(systemd.Unit{Name: app})
	release := held(fake, systemdtest.Outcome{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := beginWithin(ctx, t, fake, m)
	cancel()
	if err := (<-ended).err; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "starting "+app+": job 1 continues") {
		t.Errorf("wait that ended before the job: %v", err)
	}
	release()
	eventually(t, "the unit is active", func() bool { return fake.Unit(app).ActiveState == "active" })
}

// A result that is not taken keeps go-systemd from delivering any other, unless there is room for
// it.
func TestAbandonedWaitsDelayNoOther(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	release := held(fake, systemdtest.Outcome{})
	for i := range 20 {
		name := fmt.Sprintf("app@%d.service", i)
		fake.Set(systemd.Unit{Name: name})
		if _, err := m.Start(within(t, 5*time.Millisecond), name, systemd.Replace); err == nil {
			t.Error("a held job ended")
		}
	}
	release()
	eventually(t, "the abandoned jobs are over", func() bool { return fake.Jobs() == 0 })
	fake.OnJob(func(systemdtest.Job) systemdtest.Outcome { return systemdtest.Outcome{} })
	fake.Set(systemd.Unit{Name: app})
	if result, err := m.Start(within(t, long), app, systemd.Replace); result != systemd.JobDone || err != nil {
		t.Errorf("next job: %q, %v", result, err)
	}
}

// systemd merges a job into an equal one that is queued.
func TestAJobMayHaveSeveralWaiters(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Set(systemd.Unit{Name: app})
	release := held(fake, systemdtest.Outcome{Result: "failed"})
	first := begin(t, fake, m)
	if _, err := m.Start(within(t, soon), app, systemd.Replace); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second waiter: %v", err)
	}
	release()
	if e := <-first; e.result != systemd.JobFailed || e.err != nil {
		t.Errorf("first waiter: %q, %v", e.result, e.err)
	}
}

func TestAStopCancelsAStart(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Set(systemd.Unit{Name: app})
	held(fake, systemdtest.Outcome{})
	started := begin(t, fake, m)
	fake.OnJob(func(systemdtest.Job) systemdtest.Outcome { return systemdtest.Outcome{} })
	if result, err := m.Stop(within(t, long), app, systemd.Replace); result != systemd.JobDone || err != nil {
		t.Errorf("stop: %q, %v", result, err)
	}
	if e := <-started; e.result != systemd.JobCanceled || e.err != nil {
		t.Errorf("start: %q, %v", e.result, e.err)
	}
}

func TestManyJobsAtOnce(t *testing.T) {
	for name, connect := range both {
		t.Run(name, func(t *testing.T) {
			fake := systemdtest.New(t)
			m := connect(fake)
			const n = 200
			fake.OnJob(func(j systemdtest.Job) systemdtest.Outcome {
				return systemdtest.Outcome{Delay: time.Duration(len(j.Unit)) * time.Millisecond}
			})
			var group sync.WaitGroup
			for i := range n {
				name := fmt.Sprintf("app@%d.service", i)
				fake.Set(systemd.Unit{Name: name})
				group.Go(func() {
					if result, err := m.Start(within(t, long), name, systemd.Replace); result != systemd.JobDone || err != nil {
						t.Errorf("%s: %q, %v", name, result, err)
					}
				})
			}
			group.Wait()
			if calls := len(fake.Calls("StartUnit")); calls != n {
				t.Errorf("%d starts for %d units", calls, n)
			}
		})
	}
}

// A preempted start was requested nevertheless.
func TestPreemptionEndsTheWaitForAJobAndNotTheJob(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Set(systemd.Unit{Name: app})
	fake.OnJob(func(systemdtest.Job) systemdtest.Outcome { return systemdtest.Outcome{Delay: time.Hour} })
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(units.ErrPreempted)
	if _, err := m.Start(ctx, app, systemd.Replace); !errors.Is(err, units.ErrPreempted) {
		t.Errorf("start: %v", err)
	}
	if n := len(fake.Calls("StartUnit")); n != 1 {
		t.Errorf("it was requested %d times", n)
	}
}

// go-systemd queues one job at a time, without a context.
func TestAJobThatIsNotQueuedDelaysNoCallBeyondItsContext(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Set(systemd.Unit{Name: app})
	fake.Hang("StartUnit", true)
	ctx, cancel := context.WithCancel(t.Context())
	stuck := make(chan error, 1)
	go func() { _, err := m.Start(ctx, app, systemd.Replace); stuck <- err }()
	eventually(t, "the first start is requested", func() bool { return len(fake.Calls("StartUnit")) == 1 })
	begun := time.Now()
	if _, err := m.Stop(within(t, soon), app, systemd.Replace); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop behind a start that hangs: %v", err)
	}
	if took := time.Since(begun); took > long/4 {
		t.Errorf("it took %v", took)
	}
	cancel()
	if err := <-stuck; !errors.Is(err, context.Canceled) {
		t.Errorf("start that hangs: %v", err)
	}
	if result, err := m.Stop(within(t, long), app, systemd.Replace); result != systemd.JobDone || err != nil {
		t.Errorf("stop afterwards: %q, %v", result, err)
	}
}

// The unit tells the result of a job that finished while the connection was lost.
func TestAJobIsJudgedByItsUnitWhenTheConnectionIsLost(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(*systemd.Unit)
		want systemd.JobResult
	}{
		{"active", func(u *systemd.Unit) { u.ActiveState = "active" }, systemd.JobDone},
		{"failed", func(u *systemd.Unit) { u.ActiveState = "failed" }, systemd.JobFailed},
		{"inactive", func(u *systemd.Unit) { u.ActiveState = "inactive" }, systemd.JobLost},
		{"waits for its restart", func(u *systemd.Unit) { u.ActiveState = "activating" }, systemd.JobLost},
	} {
		t.Run("finished before it is back/"+c.name, func(t *testing.T) {
			fake := systemdtest.New(t)
			m := fake.Connect()
			fake.Set(systemd.Unit{Name: app})
			release := held(fake, systemdtest.Outcome{Then: c.then})
			started := begin(t, fake, m)
			fake.Stop()
			release()
			eventually(t, "the job has finished", func() bool { return fake.Jobs() == 0 })
			fake.Start()
			if e := <-started; e.result != c.want || e.err != nil {
				t.Errorf("result %q, %v, want %q", e.result, e.err, c.want)
			}
		})
		t.Run("continues/"+c.name, func(t *testing.T) {
			fake := systemdtest.New(t)
			m := fake.Connect()
			fake.Set(systemd.Unit{Name: app})
			release := held(fake, systemdtest.Outcome{Then: c.then})
			started := begin(t, fake, m)
			fake.Drop()
			eventually(t, "the unit is checked twice", func() bool { return len(fake.Calls("ListUnitsByNames")) >= 2 })
			select {
			case e := <-started:
				t.Errorf("the job continues, and its result is %q, %v", e.result, e.err)
			default:
			}
			release()
			if e := <-started; e.result != c.want || e.err != nil {
				t.Errorf("result %q, %v, want %q", e.result, e.err, c.want)
			}
		})
	}
	t.Run("stop", func(t *testing.T) {
		fake := systemdtest.New(t)
		m := fake.Connect()
		fake.Set(systemd.Unit{Name: app, ActiveState: "active"})
		release := held(fake, systemdtest.Outcome{})
		ended := make(chan ending, 1)
		go func() {
			result, err := m.Stop(within(t, long), app, systemd.Replace)
			ended <- ending{result, err}
		}()
		eventually(t, "the job is queued", func() bool { return fake.Jobs() == 1 })
		answered(t, m)
		fake.Stop()
		release()
		fake.Start()
		if e := <-ended; e.result != systemd.JobDone || e.err != nil {
			t.Errorf("result %q, %v", e.result, e.err)
		}
	})
}

func TestAWaitEndsWhenTheManagerDoesNotReturn(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	fake.Set(systemd.Unit{Name: app})
	held(fake, systemdtest.Outcome{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { _, err := m.Start(ctx, app, systemd.Replace); ended <- err }()
	eventually(t, "the job is queued", func() bool { return fake.Jobs() == 1 })
	fake.Stop()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("wait for a manager that has exited: %v", err)
	}
}

// A lost signal must not block a wait forever.
func TestTheEndOfAJobIsNoticedWithoutASignal(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	m.SetRecheck(5 * time.Millisecond)
	fake.Set(systemd.Unit{Name: app})
	held(fake, systemdtest.Outcome{})
	started := begin(t, fake, m)
	eventually(t, "the unit is checked repeatedly", func() bool { return len(fake.Calls("ListUnitsByNames")) >= 3 })
	select {
	case e := <-started:
		t.Fatalf("the job continues, and its result is %q, %v", e.result, e.err)
	default:
	}
	fake.ForgetJobs()
	if e := <-started; e.result != systemd.JobLost || e.err != nil {
		t.Errorf("result %q, %v", e.result, e.err)
	}
}

func TestAFailedCheckDoesNotEndTheWait(t *testing.T) {
	fake := systemdtest.New(t)
	m := fake.Connect()
	m.SetRecheck(time.Millisecond)
	fake.Set(systemd.Unit{Name: app})
	release := held(fake, systemdtest.Outcome{Result: "failed"})
	started := begin(t, fake, m)
	fake.Fail("ListUnitsByNames", errors.New("not now"))
	looks := len(fake.Calls("ListUnitsByNames"))
	eventually(t, "checking the unit fails", func() bool { return len(fake.Calls("ListUnitsByNames")) >= looks+3 })
	release()
	if e := <-started; e.result != systemd.JobFailed || e.err != nil {
		t.Errorf("result %q, %v", e.result, e.err)
	}
}

// With RestartMode=direct, a job outlives the failure of its start.
func TestAStartFailsWhileItsJobContinues(t *testing.T) {
	const before, first, second = "01", "02", "03"
	for name, seen := range map[string][]systemd.Unit{
		"it waits for the next": {{SubState: "auto-restart", InvocationID: before}, {SubState: "start-pre", InvocationID: first}, {SubState: "auto-restart", InvocationID: first}},
		"it is at the next":     {{SubState: "start-pre", InvocationID: first}, {SubState: "start-pre", InvocationID: second}},
	} {
		t.Run(name, func(t *testing.T) {
			fake := systemdtest.New(t)
			m := fake.Connect()
			m.SetRecheck(time.Millisecond)
			fake.Set(systemd.Unit{Name: app, ActiveState: "activating", SubState: "auto-restart", InvocationID: before})
			held(fake, systemdtest.Outcome{})
			started := begin(t, fake, m)
			for i, u := range seen {
				u.Name, u.ActiveState, u.JobID = app, "activating", fake.Unit(app).JobID
				fake.Set(u)
				if i == len(seen)-1 {
					break
				}
				looks := len(fake.Calls("ListUnitsByNames"))
				eventually(t, "the unit is checked repeatedly", func() bool { return len(fake.Calls("ListUnitsByNames")) >= looks+3 })
				select {
				case e := <-started:
					t.Fatalf("%s: result %q, %v", u.SubState, e.result, e.err)
				default:
				}
			}
			if e := <-started; e.result != systemd.JobFailed || e.err != nil {
				t.Errorf("result %q, %v", e.result, e.err)
			}
		})
	}
}
