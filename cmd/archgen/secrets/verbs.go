package secrets

import (
	"errors"
	"fmt"

	"github.com/archipelago-os/archipelago/cmd/archgen/session"
	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/cmd/archgen/view"
	"github.com/archipelago-os/archipelago/units/secret"
)

// PrintList prints the secrets of the installed apps, and those that no app uses.
func PrintList(s *session.Session, asJSON bool) error {
	m, err := s.Local()
	if err != nil {
		return err
	}
	k, want, err := s.Installed()
	if err != nil {
		return err
	}
	list, err := List(m.Secrets, k, want)
	if err != nil {
		return err
	}
	if asJSON {
		return s.PrintJSON(session.Document{"secrets": list})
	}
	return view.Secrets(s.Stdout, list)
}

// Set stores the value that is read from a file, "-" for standard input.
func Set(s *session.Session, name, file string) error {
	if err := secret.CheckName(name); err != nil {
		return session.UsageError{Err: err}
	}
	m, err := s.Local()
	if err != nil {
		return err
	}
	_, want, err := s.Installed()
	if err != nil {
		return err
	}
	app, err := Settable(want, name)
	if err != nil {
		return err
	}
	value, err := Input{Stdin: s.Stdin, Stderr: s.Stderr}.Value(name, file)
	if err != nil {
		return err
	}
	ctx, stop := session.Interruptible()
	defer stop()
	return m.SetSecret(ctx, app, name, value)
}

// Show prints the value of a secret on a terminal, and elsewhere only if it is forced.
func Show(s *session.Session, name string, isForced bool) error {
	if err := secret.CheckName(name); err != nil {
		return session.UsageError{Err: err}
	}
	if _, isShown := ui.Terminal(s.Stdout); !isShown && !isForced {
		return session.UsageError{Err: errors.New("standard output is not a terminal: use --force to print the secret anyway")}
	}
	m, err := s.Local()
	if err != nil {
		return err
	}
	ctx, stop := session.Interruptible()
	defer stop()
	value, err := Shown(ctx, m.Secrets, name)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.Stdout, value)
	return nil
}
