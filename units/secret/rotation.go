package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
)

// rotationFile can't be the name of a secret, which has a dot.
const rotationFile = "rotation"

// Rotation is a change of values that has not come to its end. It is kept before
// anything is changed, so that whoever comes next can complete it or take it back.
type Rotation struct {
	// Name is the secret that is given a new value, and Began when that was.
	Name  string    `json:"name"`
	Began time.Time `json:"began"`
	// Reverting: what has to serve did not with the new values.
	Reverting bool `json:"reverting,omitempty"`
	// Up is the services that were up, or on their way, when it began. One that has ended
	// since is started again, whatever it ended by. Without the list nobody knows.
	Up []string `json:"up"`
	// Changes is the secret, and those that are derived from it.
	Changes []Change `json:"changes"`
}

// Change is a secret's old and new value, as they are kept.
type Change struct {
	Name string `json:"name"`
	Old  []byte `json:"old"`
	New  []byte `json:"new"`
}

// Names is the secrets whose values change.
func (r *Rotation) Names() []string {
	list := make([]string, 0, len(r.Changes))
	for _, c := range r.Changes {
		list = append(list, c.Name)
	}
	return list
}

// WasUp reports whether a service was up, or on its way, when the rotation began.
func (r *Rotation) WasUp(service string) bool { return r.Up == nil || slices.Contains(r.Up, service) }

// Request is the new value that a secret is to have. Without one it is made as the first
// one was.
type Request struct {
	Name, Value string
	// Up is the services of apps that are up, or on their way.
	Up  []string
	Now time.Time
}

// Rotation is the one that has not come to its end, nil where there is none.
func (s Store) Rotation() (*Rotation, error) {
	text, err := os.ReadFile(filepath.Join(s.Dir, rotationFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // that there is none is the usual case and no error
	}
	if err != nil {
		return nil, fmt.Errorf("reading what is left of a rotation: %w", err)
	}
	var r Rotation
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s can't be understood: %w; the values in %s hold without it: remove it, then archgen apply",
			filepath.Join(s.Dir, rotationFile), err, s.Dir)
	}
	return &r, nil
}

// holdTimeout is how long another change of values may take.
const holdTimeout = 30 * time.Second

// Hold keeps others from changing values until release is called. It waits for a
// while; its error names the holder.
func (s Store) Hold(ctx context.Context) (release func(), err error) {
	return durable.LockDir(ctx, s.Runtime, holdTimeout)
}

// heldTime is how long it takes at most to see whether somebody else holds on.
const heldTime = 100 * time.Millisecond

// Abandoned is a rotation that nobody is at work on any more, nil where there is
// none. Until release is called, nobody else takes it up.
func (s Store) Abandoned(ctx context.Context) (r *Rotation, release func(), err error) {
	if r, err = s.Rotation(); err != nil || r == nil {
		return nil, nil, err
	}
	brief, cancel := context.WithTimeout(ctx, heldTime)
	defer cancel()
	release, err = s.Hold(brief)
	if err != nil {
		if brief.Err() != nil {
			err = ctx.Err() // else it is held, and that is no error
		}
		return nil, nil, err
	}
	if r, err = s.Rotation(); err != nil || r == nil { // it came to its end meanwhile
		release()
		return nil, nil, err
	}
	return r, release, nil
}

// Begin keeps that a secret is to have another value, and changes nothing yet. list is
// the app's secrets.
func (s Store) Begin(ctx context.Context, list []units.Secret, want Request) (*Rotation, error) {
	name, value := want.Name, want.Value
	i := slices.IndexFunc(list, func(d units.Secret) bool { return d.Name == name })
	switch {
	case i < 0:
		return nil, fmt.Errorf("no installed app has a secret %s; see archgen secret list", name)
	case list[i].Method != "":
		return nil, fmt.Errorf("%s is derived: rotate %s, and it follows", name, list[i].From)
	case value == "" && list[i].Length == 0:
		return nil, fmt.Errorf("nothing makes the value of %s: give the new one, by --from FILE, or --from - for standard input", name)
	}
	before, err := s.Get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%w; archgen apply gives it one", err)
	}
	if value == "" {
		if value, err = generate(list[i].Length, list[i].Alphabet); err != nil {
			return nil, err
		}
	}
	if err := CheckValue(name, value); err != nil {
		return nil, err
	}
	if value == before {
		return nil, fmt.Errorf("%s has that value already", name)
	}
	r := &Rotation{Name: name, Began: want.Now.UTC().Truncate(time.Second), Up: append([]string{}, want.Up...)}
	if err := s.change(ctx, r, list, name, value); err != nil {
		return nil, err
	}
	return r, s.keep(r)
}

// change adds a secret and all that are derived from it.
func (s Store) change(ctx context.Context, r *Rotation, list []units.Secret, name, value string) error {
	if slices.Contains(r.Names(), name) {
		return fmt.Errorf("the secret %s is derived from itself", name)
	}
	old, err := s.read(name)
	if err != nil {
		return fmt.Errorf("%w; archgen apply gives it one", err)
	}
	kept, err := s.seal(ctx, name, value)
	if err != nil {
		return err
	}
	r.Changes = append(r.Changes, Change{Name: name, Old: old, New: kept})
	for _, d := range list {
		if d.Method == "" || d.From != name {
			continue
		}
		derived, err := derive(d, value)
		if err == nil {
			err = s.change(ctx, r, list, d.Name, derived)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s Store) keep(r *Rotation) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing down the rotation of %s: %w", r.Name, err)
	}
	return durable.ReplacePrivate(s.Dir, rotationFile, append(text, '\n'), 0o600)
}

// RevertedError says why the old value is back.
type RevertedError struct {
	Name string
	Why  error
}

func (e *RevertedError) Error() string {
	return fmt.Sprintf("the old value of %s is back, because with the new one something did not serve: %v", e.Name, e.Why)
}

func (e *RevertedError) Unwrap() error { return e.Why }

// Machine is what a rotation needs of the machine.
type Machine interface {
	Passes
	// Serve restarts what runs with another value than it should, and reports what
	// does not serve then. r says whether that is about the old values.
	Serve(ctx context.Context, r *Rotation) error
}

// Complete carries a rotation to one of its two ends, also one that was cut off at
// any point: the new values are everywhere and everything serves, or the old ones
// are back.
//
// An error that is no *RevertedError leaves it for a later try.
func (s Store) Complete(ctx context.Context, m Machine, r *Rotation) error {
	var why error
	if !r.Reverting {
		if err := s.put(ctx, m, r); err != nil {
			return unfinished(r, err)
		}
		if why = m.Serve(ctx, r); why == nil {
			return durable.Remove(s.Dir, rotationFile)
		}
		if ctx.Err() != nil {
			return unfinished(r, why)
		}
		r.Reverting = true
		if err := s.keep(r); err != nil {
			return unfinished(r, err)
		}
	}
	if err := s.put(ctx, m, r); err != nil {
		return unfinished(r, err)
	}
	err := m.Serve(ctx, r)
	if ctx.Err() != nil {
		return unfinished(r, err)
	}
	if why == nil {
		why = errors.New("which an earlier run found, and did not come to its end")
	}
	if err != nil {
		why = fmt.Errorf("%w; nor does everything with the old one: %w", why, err)
	}
	return errors.Join(&RevertedError{r.Name, why}, durable.Remove(s.Dir, rotationFile))
}

func unfinished(r *Rotation, err error) error {
	return fmt.Errorf("the rotation of %s has not come to its end: %w; archgen apply goes on with it", r.Name, err)
}

// put gives the secrets the values that they have to have, in the store and for
// containers.
func (s Store) put(ctx context.Context, m Machine, r *Rotation) error {
	unlock, err := m.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for _, ch := range r.Changes {
		kept := ch.New
		if r.Reverting {
			kept = ch.Old
		}
		value, err := s.open(ctx, ch.Name, kept)
		if err == nil {
			err = s.write(ch.Name, kept)
		}
		if err == nil {
			err = handOver(ctx, m, ch.Name, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
