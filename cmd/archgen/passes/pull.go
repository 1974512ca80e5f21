package passes

import (
	"fmt"

	"github.com/archipelago-os/archipelago/cmd/archgen/session"
)

// Pull pulls the missing images of installed apps, or of some, and creates their missing secrets.
func Pull(s *session.Session, ids []string) error {
	ctx, stop := session.Interruptible()
	defer stop()
	k, want, err := s.Installed()
	if err != nil {
		return err
	}
	if err := s.SayDiagnostics(k, false); err != nil {
		return err
	}
	if want, err = want.Only(ids); err != nil {
		return err
	}
	m, err := s.Local()
	if err != nil {
		return err
	}
	var failed, well int
	for _, app := range want.Apps {
		err := m.FetchImages(ctx, app, s.SayPulling)
		if err == nil {
			err = m.Secrets.ProvideFor(ctx, app)
		}
		if err != nil {
			s.Say(fmt.Errorf("%s: %w", app.ID, err))
			failed++
			continue
		}
		well++
	}
	return Outcome(failed, well)
}
