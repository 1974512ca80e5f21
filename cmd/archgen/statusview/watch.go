package statusview

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
)

// How often a Watcher surveys the apps. Without healthd it has to find every change itself. While
// healthd reports changes, it only updates the times that it shows.
const lookAlone, lookTold = time.Second, 5 * time.Second

func lookEvery(isTold bool) time.Duration {
	if isTold {
		return lookTold
	}
	return lookAlone
}

// Watcher shows changes of the status.
type Watcher struct {
	Take   func(context.Context) (*Survey, error)
	Stdout io.Writer
	Style  func() ui.Style
	// Args is the id of an app, or nothing for all.
	Args    []string
	AsJSON  bool
	changes Changes
	// document is the JSON that was printed last.
	document string
}

// Run shows the status until the context ends: at each hint, and after some time without one. told
// reports whether there will be hints; it is closed when it can't any more.
func (w *Watcher) Run(ctx context.Context, told <-chan bool) error {
	tick := time.NewTicker(lookAlone)
	defer tick.Stop()
	for {
		err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case isTold, more := <-told:
			if !more {
				told = nil
			}
			tick.Reset(lookEvery(isTold))
		}
	}
}

func (w *Watcher) look(ctx context.Context) error {
	s, err := w.Take(ctx)
	if err != nil {
		return err
	}
	apps, err := Select(s.Apps, w.Args)
	if err != nil {
		return err
	}
	width, height := ui.Size(w.Stdout)
	switch {
	case w.AsJSON:
		return w.printDocument(s, apps)
	case width == 0:
		for _, line := range w.changes.Lines(apps, s.Now) {
			fmt.Fprintln(w.Stdout, line)
		}
		return nil
	}
	return ui.Redraw(w.Stdout, height, s.Lines(w.Style(), apps, len(w.Args) == 1))
}

// printDocument prints the whole status on one line if it changed.
func (w *Watcher) printDocument(s *Survey, apps []App) error {
	line, err := json.Marshal(s.Document(apps))
	if err != nil || string(line) == w.document {
		return err
	}
	w.document = string(line)
	_, err = fmt.Fprintf(w.Stdout, "%s\n", line)
	return err
}
