package statedir

import (
	"maps"
	"path/filepath"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
)

// Seen is the store for a daemon, which makes one pass at a time and reads the history again only if
// it changed.
type Seen struct {
	Store

	identity durable.Identity
	history  units.History
}

// History is like that of Store.
func (s *Seen) History() (units.History, error) {
	identity, err := durable.IdentityOf(filepath.Join(s.State, historyFile))
	if err == nil && s.history != nil && identity == s.identity {
		return maps.Clone(s.history), nil
	}
	history, failed := s.Store.History()
	if s.history = nil; err == nil && failed == nil {
		s.identity, s.history = identity, history
	}
	return maps.Clone(history), failed
}
