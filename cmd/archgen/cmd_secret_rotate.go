package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/reconcile"
	"github.com/archipelago-os/archipelago/units/secret"
)

func (c *cli) secretRotateCommand() *cobra.Command {
	var o applyOptions
	var from string
	cmd := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Give a secret another value, everywhere",
		Long: `rotate gives a secret a new value, and what is derived from it. It restarts the
containers that use the value, and no others: those of the app that the secret
belongs to first, then those of apps that require it; within an app in the order
of "after", so that a database has the new password before its clients. Each has
to serve before the next one restarts. How long each was down is printed.

If one does not serve with the new value, rotate restores the old value. It then
restarts, in the same order, what has the new value or has stopped since, and
says what failed. If rotate is killed, archgen apply or healthd complete the
rotation or restore the old value.

A new value is made like the first one. For a secret that has to be supplied it
is read from a file or standard input.

Exit status: 0 done; 1 it failed, and the old value is in force; 5 another run
holds the lock.`,
		Example: `  archgen secret rotate bitcoin-knots.rpc-password
  archgen secret rotate web.tls-key --from key.pem`,
		Args: usageArgs(oneOf("secret, as ID.NAME")),
		RunE: func(_ *cobra.Command, args []string) error { return c.rotate(&o, args[0], from) },
	}
	scopeFlags(cmd, &o.source)
	cmd.Flags().DurationVar(&o.timeout, "timeout", waitTimeout, "how long to wait for an app")
	cmd.Flags().StringVar(&from, "from", "", "read the new value from `FILE`, - for standard input")
	return cmd
}

func (c *cli) rotate(o *applyOptions, name, from string) error {
	if err := secret.CheckName(name); err != nil {
		return usageError{err}
	}
	var value string
	if from != "" {
		var err error
		if value, err = c.value(name, from); err != nil {
			return err
		}
	}
	ctx, stop := interruptible()
	defer stop()
	l, err := c.connect(ctx, o.scope())
	if err != nil {
		return err
	}
	defer l.Close()
	release, err := l.Secrets.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	left, err := l.Secrets.Rotation()
	if err != nil {
		return err
	}
	if left != nil {
		if err := c.completeRotation(ctx, l, o, left); err != nil {
			return err
		}
	}
	_, want, err := c.installed(&o.source)
	if err != nil {
		return err
	}
	if refused := slices.Sorted(maps.Keys(want.Refused())); len(refused) > 0 {
		return fmt.Errorf("the manifest of %s has errors, so it is unknown whether it uses %s: see archgen check", strings.Join(refused, ", "), name)
	}
	up, err := up(ctx, l, want)
	if err != nil {
		return err
	}
	r, err := l.Secrets.Begin(ctx, appOfSecret(want, name).Secrets, secret.Request{Name: name, Value: value, Up: up, Now: time.Now()})
	if err != nil {
		return err
	}
	return c.completeRotation(ctx, l, o, r)
}

// up is the services of apps that are up, or on their way.
func up(ctx context.Context, l *machine.Machine, want units.Desired) ([]string, error) {
	var names []string
	for _, app := range want.Apps {
		names = append(names, app.Services()...)
	}
	found, err := l.Services.All(ctx, names)
	return slices.DeleteFunc(names, func(name string) bool { return found[name].State.IsAtRest() }), err
}

// resumeRotation goes on with a rotation that somebody did not bring to its end,
// unless that one is still at it.
func (c *cli) resumeRotation(ctx context.Context, l *machine.Machine, o *applyOptions) error {
	r, release, err := l.Secrets.Abandoned(ctx)
	if err != nil || r == nil {
		return err
	}
	defer release()
	if !o.asJSON {
		fmt.Fprintf(c.stderr, "going on with the rotation of %s of %s\n", r.Name, r.Began.Local().Format(time.DateTime))
	}
	err = c.completeRotation(ctx, l, o, r)
	if _, isBack := errors.AsType[*secret.RevertedError](err); isBack {
		c.say(err) // which is as good an end as the other
		return nil
	}
	return err
}

// completeRotation carries a rotation to its end, and tells what it cost.
func (c *cli) completeRotation(ctx context.Context, l *machine.Machine, o *applyOptions, r *secret.Rotation) error {
	t := &rotationHost{Secrets: l.Secrets.Podman, c: c, l: l, o: o}
	before, err := t.observe(ctx, r)
	if err != nil {
		return err
	}
	err = l.Secrets.Complete(ctx, t, r)
	if ctx.Err() == nil && !o.asJSON {
		c.printDowntimes(before, t, r)
	}
	if err == nil && !o.asJSON {
		fmt.Fprintf(c.stdout, "%s has a new value, and everything serves with it\n", r.Name)
	}
	return err
}

// rotationHost is the machine for a rotation.
type rotationHost struct {
	podmancli.Secrets
	c *cli
	l *machine.Machine
	o *applyOptions
	// after is how the services that use the secret were in the end.
	after map[string]machine.Service
}

// Lock keeps passes out.
func (t *rotationHost) Lock(ctx context.Context) (unlock func(), err error) {
	return t.l.Store.Lock(ctx)
}

// settleRotated is how long an app has to stay up that was restarted for a secret:
// one that refuses its value does so at once, and others wait meanwhile.
const settleRotated = time.Second

// Serve restarts what runs with another value than it should, by the one pass that
// changes what runs.
func (t *rotationHost) Serve(ctx context.Context, r *secret.Rotation) error {
	if err := t.waitStopped(ctx, r); err != nil {
		return err
	}
	desired := func() (units.Desired, error) {
		want, err := t.users(r)
		for i, app := range want.Apps {
			want.Apps[i].Rotating = true
			for j, part := range app.Parts {
				app.Parts[j].WasUp = r.WasUp(part.Service)
			}
		}
		return want, err
	}
	host := t.l.ForApply(machine.Apply{
		WaitTimeout: min(turn, t.timeout(r)), StabilizationTime: settleRotated, Progress: t.c.progress(t.o.asJSON),
	})
	report, err := reconcile.Await(ctx, desired, host, t.timeout(r))
	if err != nil {
		return err
	}
	for _, a := range report.Results {
		if a.Outcome != reconcile.Unchanged && a.Outcome != reconcile.Done {
			return fmt.Errorf("%s: %s: %s", a.App, a.Outcome, a.Error)
		}
	}
	return t.verify(ctx, r)
}

// timeout is how long to wait for an app. With the old value it serves: a short timeout
// is one for the new value.
func (t *rotationHost) timeout(r *secret.Rotation) time.Duration {
	if r.Reverting {
		return max(t.o.timeout, waitTimeout)
	}
	return t.o.timeout
}

// users is the apps that may use the secrets of a rotation: the one that they
// belong to, and those that require a capability which exports one.
func (t *rotationHost) users(r *secret.Rotation) (units.Desired, error) {
	k, want, err := t.c.installed(&t.o.source)
	if err != nil {
		return want, err
	}
	if k.Set == nil {
		return want, errors.New("the manifests can't be compiled; see archgen check")
	}
	var ids []string
	for _, app := range k.Set.Apps {
		if uses(k.Set, app, r.Names()) {
			ids = append(ids, app.ID())
		}
	}
	if len(ids) == 0 { // it was removed meanwhile
		return units.Desired{Scope: want.Scope}, nil
	}
	return narrow(want, ids)
}

func uses(set *manifests.Set, app *manifests.Resolved, names []string) bool {
	for _, s := range app.Document.App.Secrets {
		if slices.Contains(names, units.SecretName(app.ID(), s.Name)) {
			return true
		}
	}
	for _, n := range app.Needs {
		provider, exports := set.ExportedSecrets(n.Capability, app.ID())
		for _, name := range exports {
			if slices.Contains(names, units.SecretName(provider.ID(), name)) {
				return true
			}
		}
	}
	return false
}

// waitStopped waits until nothing that uses the secrets is stopping: a run that was killed
// leaves systemd at work. What is starting is for the pass to wait for, or to restart.
func (t *rotationHost) waitStopped(ctx context.Context, r *secret.Rotation) error {
	limited, cancel := context.WithTimeout(ctx, t.timeout(r))
	defer cancel()
	for {
		found, err := t.observe(ctx, r)
		if err != nil {
			return err
		}
		isStopping := false
		for _, s := range found {
			isStopping = isStopping || s.State.Active == units.Deactivating
		}
		if !isStopping || limited.Err() != nil {
			return ctx.Err()
		}
		select {
		case <-time.After(arrivePause):
		case <-limited.Done():
		}
	}
}

const arrivePause = 200 * time.Millisecond

// observe finds the services that may use the secrets as they are.
func (t *rotationHost) observe(ctx context.Context, r *secret.Rotation) (map[string]machine.Service, error) {
	want, err := t.users(r)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, app := range want.Apps {
		names = append(names, app.Services()...)
	}
	all, err := t.l.Services.All(ctx, names)
	found := make(map[string]machine.Service, len(names))
	for _, name := range names {
		found[name] = all[name]
	}
	return found, err
}

// isDown reports whether a part of an app is neither up nor at rest, or was up when
// the rotation began and is not.
func isDown(app units.App, found map[string]machine.Service, r *secret.Rotation) bool {
	return slices.ContainsFunc(app.Parts, func(p units.Part) bool {
		u := found[p.Service].State
		return u.Active != units.Active && (!u.IsAtRest() || u.Stopped && r.WasUp(p.Service))
	})
}

// verify demands that what runs has the value that it should, and that nothing has
// failed.
func (t *rotationHost) verify(ctx context.Context, r *secret.Rotation) error {
	want, err := t.users(r)
	if err != nil {
		return err
	}
	if t.after, err = t.observe(ctx, r); err != nil {
		return err
	}
	for _, app := range want.Apps {
		if isDown(app, t.after, r) {
			return fmt.Errorf("%s does not stay up", app.ID)
		}
		for _, part := range app.Parts {
			if err := t.hasValue(app, part); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *rotationHost) hasValue(app units.App, part units.Part) error {
	file, ok := app.Files.Find(units.PrestartName(part.Service))
	if !ok || t.after[part.Service].State.Active != units.Active {
		return nil
	}
	recipe, err := units.ReadPrestart(file.Content)
	if err != nil {
		return err
	}
	want, have, err := t.l.Config.CompareService(part.Service, recipe)
	if err == nil && want.Config != have.Config {
		err = fmt.Errorf("%s runs with another value than it should", part.Service)
	}
	return err
}

// printDowntimes tells how long each service was down that was restarted.
func (c *cli) printDowntimes(before map[string]machine.Service, t *rotationHost, r *secret.Rotation) {
	names := make([]string, 0, len(t.after))
	for name := range t.after {
		names = append(names, name)
	}
	slices.Sort(names)
	var first, last uint64
	count := 0
	for _, name := range names {
		was, is := before[name].Systemd, t.after[name].Systemd
		if was.InvocationID == is.InvocationID || is.ActiveExitTimestamp == 0 || is.ActiveEnterTimestamp < is.ActiveExitTimestamp {
			continue
		}
		count++
		fmt.Fprintf(c.stdout, "%s was down for %v\n", name, micros(is.ActiveEnterTimestamp-is.ActiveExitTimestamp))
		if first == 0 || is.ActiveExitTimestamp < first {
			first = is.ActiveExitTimestamp
		}
		last = max(last, is.ActiveEnterTimestamp)
	}
	if count > 1 {
		fmt.Fprintf(c.stdout, "%s: %v from the first stop to the last start\n", r.Name, micros(last-first))
	}
}

func micros(n uint64) time.Duration {
	return (time.Duration(n) * time.Microsecond).Round(10 * time.Millisecond)
}
