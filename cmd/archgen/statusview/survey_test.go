package statusview

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/status"
)

// What the row of an app says is not said again.
func TestSurveyDiagnostics(t *testing.T) {
	t.Parallel()
	of := diag.Diagnostic{Severity: diag.Error, File: "/apps/web.yaml", Message: "of an app"}
	general := diag.Diagnostic{Severity: diag.Error, Message: "of no app"}
	warning := diag.Diagnostic{Severity: diag.Warning, Message: "a warning"}
	k := &compile.Compiled{Diags: diag.List{of, general, warning}, Result: &generator.Result{}}
	if d := cmp.Diff(diag.List{general}, (&Survey{Compiled: k}).Diagnostics()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	k.Result = nil // there are no rows
	if d := cmp.Diff(k.Diags, (&Survey{Compiled: k}).Diagnostics()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// watch runs a watcher for some time, with another level from the third look on.
func watch(t *testing.T, isTold, asJSON bool, forTime time.Duration) (text string, looks int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), forTime)
		defer cancel()
		told := make(chan bool, 1)
		if isTold {
			told <- true
		} else {
			close(told)
		}
		var out bytes.Buffer
		w := Watcher{Stdout: &out, Style: func() ui.Style { return ui.Style{} }, AsJSON: asJSON, Take: func(context.Context) (*Survey, error) {
			looks++
			level := status.Loading
			if looks > 2 {
				level = status.Serving
			}
			return &Survey{Now: noon, Apps: []App{app("lnd", status.Condition{State: units.PhaseRunning, Level: level})}}, nil
		}}
		if err := w.Run(ctx, told); err != nil {
			t.Error(err)
		}
		text = out.String()
	})
	return text, looks
}

// Off a terminal the changes are printed. Without healthd the watcher looks every second.
func TestWatch(t *testing.T) {
	t.Parallel()
	text, looks := watch(t, false, false, 10500*time.Millisecond)
	if want := "12:00:00 lnd: running loading\n12:00:00 lnd: running serving\n"; text != want || looks < 10 {
		t.Errorf("%d looks, and:\n%s", looks, text)
	}
	if text, _ := watch(t, false, true, 10*time.Second); strings.Count(text, "\n") != 2 || strings.Count(text, `"level":"serving"`) < 1 {
		t.Errorf("the JSON is:\n%s", text)
	}
}

// While healthd reports changes, the watcher looks less often.
func TestWatchIsTold(t *testing.T) {
	t.Parallel()
	if _, looks := watch(t, true, false, 21*time.Second); looks > 7 {
		t.Errorf("%d looks", looks)
	}
}

// What fails ends it.
func TestWatchFails(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	w := Watcher{Stdout: &bytes.Buffer{}, Take: func(context.Context) (*Survey, error) { return nil, gone }}
	if err := w.Run(context.Background(), nil); !errors.Is(err, gone) {
		t.Errorf("the error is %v", err)
	}
	w = Watcher{Stdout: &bytes.Buffer{}, Args: []string{"none"}, Take: func(context.Context) (*Survey, error) { return &Survey{}, nil }}
	if err := w.Run(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "there is no app") {
		t.Errorf("the error is %v", err)
	}
}
