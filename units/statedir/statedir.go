// Package statedir owns the layout of the state directory: generations of unit files, the
// history of repairs, adoptions, the record of migrations, and what is known about the releases
// of installed apps. It also owns the locks that allow one pass and one update at a time.
//
// It never decides what is good or due, and writes through durable only.
package statedir

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/units"

	"github.com/archipelago-os/archipelago/units/durable"
)

// Store stores what outlives a pass over the units.
type Store struct {
	// State is the directory of the stored files, Runtime that of the lock.
	State, Runtime string
	// Now returns the time that a generation is stored with.
	Now func() time.Time
	// LockTimeout is how long to wait for another pass. Zero means half a minute.
	LockTimeout time.Duration
}

const (
	lockTimeout    = 30 * time.Second
	historyFile    = "history.json"
	generationsDir = "generations"
	// keptGenerations is the maximum number of generations.
	keptGenerations = 10
)

// Lock locks out other passes until unlock is called. Its error wraps *durable.HeldError if
// another pass takes too long.
func (s Store) Lock(ctx context.Context) (unlock func(), err error) {
	return durable.LockDir(ctx, s.Runtime, cmp.Or(s.LockTimeout, lockTimeout))
}

// History reads the history of repairs. A damaged one counts as empty: it limits how often
// repairs are tried, and decides nothing else.
func (s Store) History() (units.History, error) {
	h := units.History{}
	data, err := durable.ReadFile(s.State, historyFile)
	if err != nil || data == nil {
		return h, err
	}
	if err := json.Unmarshal(data, &h); err == nil && h != nil {
		return h, nil
	}
	return units.History{}, nil
}

// SaveHistory stores the history of repairs durably.
func (s Store) SaveHistory(h units.History) error {
	return save(s.State, historyFile, h)
}

// Generation is a known-good set of unit files: after the changes that led to it, every app
// that they concerned was verified to serve.
type Generation struct {
	Number int       `json:"number"`
	Time   time.Time `json:"time"`
	// Reason describes the changes.
	Reason string    `json:"reason"`
	Files  units.Set `json:"-"`
}

// keptFile is a unit file in the JSON of a generation.
type keptFile struct {
	Name    string `json:"name"`
	App     string `json:"app,omitempty"`
	Digest  string `json:"digest"`
	Content string `json:"content"`
}

type keptGeneration struct {
	Generation
	Files []keptFile `json:"files"`
}

// Generations lists the stored generations, the newest first. It skips damaged files.
func (s Store) Generations() ([]Generation, error) {
	numbers, err := s.numbers()
	if err != nil {
		return nil, err
	}
	var list []Generation
	for _, n := range slices.Backward(numbers) {
		g, ok, err := s.generation(n)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, g)
		}
	}
	return list, nil
}

// generation reads one generation. It returns false for a damaged file.
func (s Store) generation(number int) (g Generation, ok bool, err error) {
	data, err := durable.ReadFile(s.generations(), generationName(number))
	var kept keptGeneration
	if err != nil || json.Unmarshal(data, &kept) != nil {
		return Generation{}, false, err
	}
	g = kept.Generation
	g.Number = number
	for _, f := range kept.Files {
		g.Files = append(g.Files, units.File{Name: f.Name, App: f.App, Digest: f.Digest, Content: []byte(f.Content)})
	}
	g.Files.Sort()
	return g, true, nil
}

// Good returns the files of the newest generation.
func (s Store) Good() (units.Set, error) {
	numbers, err := s.numbers()
	if err != nil {
		return nil, err
	}
	for _, n := range slices.Backward(numbers) {
		if g, ok, err := s.generation(n); ok || err != nil {
			return g.Files, err
		}
	}
	return nil, nil
}

// Commit stores a set as the newest generation, unless it equals the newest, and removes
// the oldest generations above the maximum.
func (s Store) Commit(set units.Set, reason string) error {
	numbers, err := s.numbers()
	if err != nil {
		return err
	}
	if good, err := s.Good(); err != nil || len(numbers) > 0 && good.Equal(set) {
		return err
	}
	next := 1
	if len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	kept := keptGeneration{Generation: Generation{Number: next, Time: s.Now().UTC().Truncate(time.Second), Reason: reason}}
	for _, f := range set {
		kept.Files = append(kept.Files, keptFile{f.Name, f.App, f.Digest, string(f.Content)})
	}
	if err := save(s.generations(), generationName(next), kept); err != nil {
		return err
	}
	return s.prune(append(numbers, next))
}

func (s Store) prune(numbers []int) error {
	d, err := durable.Open(s.generations())
	if err != nil || d == nil {
		return err
	}
	defer d.Close()
	for len(numbers) > keptGenerations {
		name := generationName(numbers[0])
		if err := d.Remove(name); err != nil && !durable.IsAbsent(err) {
			return durable.Failed("removing", d.At(name), err)
		}
		numbers = numbers[1:]
	}
	return nil
}

func (s Store) generations() string { return filepath.Join(s.State, generationsDir) }

func generationName(n int) string { return fmt.Sprintf("%06d.json", n) }

// numbers lists the numbers of the stored generations, in order.
func (s Store) numbers() ([]int, error) {
	d, err := durable.Open(s.generations())
	if err != nil || d == nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.List()
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		stem, isJSON := strings.CutSuffix(e.Name(), ".json")
		if n, err := strconv.Atoi(stem); err == nil && isJSON && n > 0 && e.Type().IsRegular() {
			numbers = append(numbers, n)
		}
	}
	slices.SortFunc(numbers, cmp.Compare[int])
	return numbers, nil
}
