package secret

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/units"
)

// Containers stores the values that containers get.
type Containers interface {
	// Secret returns the value that a container gets at its next start. Its error wraps
	// ErrNone if there is none.
	Secret(name string) (string, error)
	// SetSecret changes that value. Running containers keep theirs.
	SetSecret(ctx context.Context, name, value string) error
}

// MissingError names secrets that the operator has to supply.
type MissingError struct{ Names []string }

func (e *MissingError) Error() string {
	commands := make([]string, 0, len(e.Names))
	for _, n := range e.Names {
		commands = append(commands, "archgen secret set "+n)
	}
	return "secrets are missing; supply them: " + strings.Join(commands, ", ")
}

// Provide sets each of an app's secrets and passes it to the containers. It generates or
// derives values, and adopts values that only the containers' side has. It writes nothing
// that is unchanged.
func (s Store) Provide(ctx context.Context, c Containers, list []units.Secret) error {
	p := provider{store: s, containers: c, list: list, values: map[string]string{}}
	var missing []string
	for _, d := range list {
		value, err := p.value(ctx, d.Name, nil)
		if m, ok := errors.AsType[*MissingError](err); ok {
			missing = append(missing, m.Names...)
			continue
		}
		if err == nil {
			err = handOver(ctx, c, d.Name, value)
		}
		if err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return &MissingError{slices.Compact(slices.Sorted(slices.Values(missing)))}
	}
	return nil
}

// Check demands that the operator has supplied those of an app's secrets that archgen can't generate. Its
// error is a *MissingError then. It sets nothing.
func (s Store) Check(ctx context.Context, c Containers, list []units.Secret) error {
	var missing []string
	for _, d := range list {
		if d.Method != "" || d.Length > 0 {
			continue
		}
		_, err := s.Get(ctx, d.Name)
		if errors.Is(err, ErrNone) {
			_, err = c.Secret(d.Name)
		}
		switch {
		case errors.Is(err, ErrNone):
			missing = append(missing, d.Name)
		case err != nil:
			return err
		}
	}
	if len(missing) > 0 {
		return &MissingError{slices.Compact(slices.Sorted(slices.Values(missing)))}
	}
	return nil
}

// handOver passes a value to the containers, unless they have it.
func handOver(ctx context.Context, c Containers, name, value string) error {
	if has, err := c.Secret(name); err == nil && has == value {
		return nil
	}
	return c.SetSecret(ctx, name, value)
}

// provider determines the values of an app's secrets.
type provider struct {
	store      Store
	containers Containers
	list       []units.Secret
	values     map[string]string
}

// value returns the value of a secret, and creates it if necessary. path is the secrets
// that are derived from it.
func (p *provider) value(ctx context.Context, name string, path []string) (string, error) {
	if value, known := p.values[name]; known {
		return value, nil
	}
	if slices.Contains(path, name) {
		return "", fmt.Errorf("the secret %s is derived from itself", name)
	}
	i := slices.IndexFunc(p.list, func(d units.Secret) bool { return d.Name == name })
	if i < 0 {
		return "", fmt.Errorf("the app has no secret %s", name)
	}
	value, err := p.store.Get(ctx, name)
	before := value
	if value, err = p.right(ctx, p.list[i], value, err, append(path, name)); err != nil {
		return "", err
	}
	p.values[name] = value
	if value != before {
		err = p.store.Set(ctx, name, value)
	}
	return value, err
}

// right returns the correct value of a secret: the stored one, else an adopted or a new
// one.
func (p *provider) right(ctx context.Context, d units.Secret, value string, err error, path []string) (string, error) {
	if errors.Is(err, ErrNone) {
		value, err = p.containers.Secret(d.Name)
	}
	isKept := err == nil
	if err != nil && !errors.Is(err, ErrNone) {
		return "", err
	}
	switch {
	case d.Method != "":
		from, err := p.value(ctx, d.From, path)
		if err != nil || isKept && isDerived(d, value, from) {
			return value, err
		}
		return derive(d, from)
	case isKept:
		return value, nil
	case d.Length > 0:
		return generate(d.Length, d.Alphabet)
	}
	return "", &MissingError{[]string{d.Name}}
}
