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

// rotationFile can't be the name of a secret, because such a name has a dot.
const rotationFile = "rotation"

// Rotation is an unfinished change of values. It is stored before any change, so that the
// next run can complete or revert it.
type Rotation struct {
	// Name is the secret with the new value. Began is when the rotation began.
	Name  string    `json:"name"`
	Began time.Time `json:"began"`
	// Reverting: an app did not serve with the new values.
	Reverting bool `json:"reverting,omitempty"`
	// Up is the services that were up, or starting, when the rotation began. A service that
	// has ended since is started again, whatever ended it. It is nil if unknown.
	Up []string `json:"up"`
	// Changes is the changes of the secret and of those derived from it.
	Changes []Change `json:"changes"`
}

// Change is a secret's old and new value, as stored on disk.
type Change struct {
	Name string `json:"name"`
	Old  []byte `json:"old"`
	New  []byte `json:"new"`
}

// Names returns the secrets whose values change.
func (r *Rotation) Names() []string {
	list := make([]string, 0, len(r.Changes))
	for _, c := range r.Changes {
		list = append(list, c.Name)
	}
	return list
}

// WasUp reports whether a service was up, or starting, when the rotation began.
func (r *Rotation) WasUp(service string) bool { return r.Up == nil || slices.Contains(r.Up, service) }

// Request is a request to rotate a secret. Without a value, archgen generates one as it did
// the first.
type Request struct {
	Name, Value string
	// Up is the services of apps that are up or starting.
	Up  []string
	Now time.Time
}

// Rotation returns the unfinished rotation, or nil.
func (s Store) Rotation() (*Rotation, error) {
	text, err := os.ReadFile(filepath.Join(s.Dir, rotationFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // usually there is none, which is no error
	}
	if err != nil {
		return nil, fmt.Errorf("reading the record of a rotation: %w", err)
	}
	var r Rotation
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; the values in %s are valid without it: remove it, then run archgen apply",
			filepath.Join(s.Dir, rotationFile), err, s.Dir)
	}
	return &r, nil
}

// holdTimeout is how long to wait for another change of values.
const holdTimeout = 30 * time.Second

// Hold locks out other changes of values until release is called. It waits for a while; its
// error names the holder.
func (s Store) Hold(ctx context.Context) (release func(), err error) {
	return durable.LockDir(ctx, s.Runtime, holdTimeout)
}

// heldTime is enough to find out whether another process holds the lock.
const heldTime = 100 * time.Millisecond

// Abandoned returns a rotation that no process is at work on, or nil. Until release is
// called, no other process resumes it.
func (s Store) Abandoned(ctx context.Context) (r *Rotation, release func(), err error) {
	if r, err = s.Rotation(); err != nil || r == nil {
		return nil, nil, err
	}
	brief, cancel := context.WithTimeout(ctx, heldTime)
	defer cancel()
	release, err = s.Hold(brief)
	if err != nil {
		if brief.Err() != nil {
			err = ctx.Err() // another process holds the lock, which is no error
		}
		return nil, nil, err
	}
	if r, err = s.Rotation(); err != nil || r == nil { // it was finished meanwhile
		release()
		return nil, nil, err
	}
	return r, release, nil
}

// Begin records that a secret gets another value, and changes nothing yet. list is the
// app's secrets.
func (s Store) Begin(ctx context.Context, list []units.Secret, want Request) (*Rotation, error) {
	name, value := want.Name, want.Value
	i := slices.IndexFunc(list, func(d units.Secret) bool { return d.Name == name })
	switch {
	case i < 0:
		return nil, fmt.Errorf("no installed app has a secret %s; see archgen secret list", name)
	case list[i].Method != "":
		return nil, fmt.Errorf("%s is derived: rotate %s instead", name, list[i].From)
	case value == "" && list[i].Length == 0:
		return nil, fmt.Errorf("archgen can't generate the value of %s: supply it with --from FILE, or --from - for standard input", name)
	}
	before, err := s.Get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%w; archgen apply sets it", err)
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
		return nil, fmt.Errorf("%s already has that value", name)
	}
	r := &Rotation{Name: name, Began: want.Now.UTC().Truncate(time.Second), Up: append([]string{}, want.Up...)}
	if err := s.change(ctx, r, list, name, value); err != nil {
		return nil, err
	}
	return r, s.keep(r)
}

// change adds a secret and all secrets derived from it.
func (s Store) change(ctx context.Context, r *Rotation, list []units.Secret, name, value string) error {
	if slices.Contains(r.Names(), name) {
		return fmt.Errorf("the secret %s is derived from itself", name)
	}
	old, err := s.read(name)
	if err != nil {
		return fmt.Errorf("%w; archgen apply sets it", err)
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
		return fmt.Errorf("recording the rotation of %s: %w", r.Name, err)
	}
	return durable.ReplacePrivate(s.Dir, rotationFile, append(text, '\n'), 0o600)
}

// RevertedError says why the old value was restored.
type RevertedError struct {
	Name string
	Why  error
}

func (e *RevertedError) Error() string {
	return fmt.Sprintf("restored the old value of %s, because an app did not serve with the new one: %v", e.Name, e.Why)
}

func (e *RevertedError) Unwrap() error { return e.Why }

// Machine is the access to the machine that a rotation needs.
type Machine interface {
	Passes
	// Serve restarts the services that run with an outdated value, and returns an error if
	// one does not serve afterwards. r says whether the current values are the old ones.
	Serve(ctx context.Context, r *Rotation) error
}

// Complete finishes a rotation, even one that was interrupted at any point. Either the new
// values are in use everywhere and everything serves, or the old ones are restored.
//
// After an error other than *RevertedError a later run can try again.
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
		why = errors.New("an earlier run, which was interrupted, found so")
	}
	if err != nil {
		why = fmt.Errorf("%w; an app does not serve with the old one either: %w", why, err)
	}
	return errors.Join(&RevertedError{r.Name, why}, durable.Remove(s.Dir, rotationFile))
}

func unfinished(r *Rotation, err error) error {
	return fmt.Errorf("the rotation of %s is not finished: %w; archgen apply continues it", r.Name, err)
}

// put sets the secrets to their correct values, in the store and for containers.
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
