package session

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/archipelago-os/archipelago/manifests/catalog"
)

// InstalledIDs is the apps that have a manifest, valid or not.
func (s *Session) InstalledIDs() []string {
	dir, err := s.Directory()
	if err != nil { // there is nothing to complete
		return nil
	}
	return slices.Sorted(maps.Keys(dir.Files()))
}

// SecretNames is the secrets of the installed apps.
func (s *Session) SecretNames() []string {
	_, want, _ := s.Installed()
	var names []string
	for _, app := range want.Apps {
		for _, s := range app.Secrets {
			names = append(names, s.Name)
		}
	}
	return names
}

// CatalogNames is the catalogs from sources, each with its source after a tab.
func (s *Session) CatalogNames() []string {
	configs, _ := s.Catalogs().Configs()
	names := make([]string, 0, len(configs))
	for _, config := range configs {
		names = append(names, config.Name+"\t"+config.Source)
	}
	return names
}

// CatalogIDs is what names the apps that can be installed, each with its description after a tab.
func (s *Session) CatalogIDs() []string {
	entries, _, err := s.Entries()
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		name := e.ID
		if _, err := catalog.Find(entries, e.ID); err != nil {
			name = e.Ref()
		}
		names = append(names, name+"\t"+e.Description)
	}
	return names
}

// GenerationNumbers is the generations, each with its time and cause after a tab.
func (s *Session) GenerationNumbers() []string {
	m, err := s.Local()
	if err != nil {
		return nil
	}
	list, _ := m.Store.Generations()
	numbers := make([]string, 0, len(list))
	for _, g := range list {
		numbers = append(numbers, fmt.Sprintf("%d\t%s, %s", g.Number, g.Time.Local().Format(time.DateTime), g.Reason))
	}
	return numbers
}
