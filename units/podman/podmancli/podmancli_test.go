package podmancli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program installs a shell script as the podman in PATH.
func program(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "podman"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil { //nolint:gosec // it has to be executable
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestError(t *testing.T) {
	program(t, `echo progress >&2; echo "Error: no such image" >&2; exit 125`)
	err := Runner(Exec).Run(t.Context(), "pull", "--quiet", "docker.io/x:1")
	const want = "podman pull docker.io/x:1: exit status 125: Error: no such image"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	said, ok := errors.AsType[*Error](err)
	if !ok || said.Said != "Error: no such image" {
		t.Errorf("the error is %#v", err)
	}
}

func TestExists(t *testing.T) {
	program(t, `case $4 in there) ;; absent) exit 1 ;; *) echo "Error: storage is locked" >&2; exit 125 ;; esac`)
	for name, want := range map[string]bool{"there": true, "absent": false} {
		if got, err := Runner(Exec).Exists(t.Context(), "image", name); got != want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := Runner(Exec).Exists(t.Context(), "image", "other"); err == nil || !strings.Contains(err.Error(), "storage is locked") {
		t.Errorf("an error counted as an answer: %v", err)
	}
}

func TestOutput(t *testing.T) {
	program(t, `case $1 in json) echo '{"Name":"x"}' ;; text) echo no json ;; lines) printf 'a\nb\n' ;; stdin) cat ;; esac`)
	run := Runner(Exec)
	var x struct{ Name string }
	if err := run.JSON(t.Context(), &x, "json"); err != nil || x.Name != "x" {
		t.Errorf("%v, %v", x, err)
	}
	if err := run.JSON(t.Context(), &x, "text", "--all", "y"); err == nil || !strings.HasPrefix(err.Error(), "decoding the JSON output of podman text y: ") {
		t.Errorf("output that is not JSON: %v", err)
	}
	if list, err := run.Lines(t.Context(), "lines"); err != nil || len(list) != 2 {
		t.Errorf("%q, %v", list, err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), Call{Args: []string{"stdin"}, Stdin: strings.NewReader("value"), Stdout: &out}); err != nil || out.String() != "value" {
		t.Errorf("%q, %v", &out, err)
	}
}

// TestCancel: when the context ends, Cancel is called first, and Podman gets a SIGTERM and no
// SIGKILL.
func TestCancel(t *testing.T) {
	program(t, `trap 'echo ended; exit 3' TERM; echo started; while :; do sleep 0.01; done`)
	ctx, cancel := context.WithCancel(t.Context())
	started, called := &waiter{text: "started", then: cancel}, false
	err := Exec(ctx, Call{Args: []string{"run"}, Stdout: started, Cancel: func() error {
		called = true
		return nil
	}})
	if err == nil || !called || !strings.HasSuffix(started.String(), "ended\n") {
		t.Errorf("%v, called %v, printed %q", err, called, started)
	}
}

// waiter calls a function once it has received a text.
type waiter struct {
	printed bytes.Buffer // not embedded: its ReadFrom would bypass Write
	text    string
	then    func()
}

func (w *waiter) String() string { return w.printed.String() }

func (w *waiter) Write(p []byte) (int, error) {
	n, err := w.printed.Write(p)
	if strings.Contains(w.String(), w.text) {
		w.then()
	}
	return n, err
}

// TestSteady: Podman's error of a failed pull is the same at each attempt.
func TestSteady(t *testing.T) {
	for text, want := range map[string]string{
		`Get "https://127.0.0.1:5000/v2/": read tcp 127.0.0.1:38296->127.0.0.1:5000: read: connection reset by peer`:   `Get "https://127.0.0.1:5000/v2/": read tcp 127.0.0.1:5000: read: connection reset by peer`,
		`Get "https://[::1]:5000/v2/": read tcp [::1]:38296->[::1]:5000: read: connection reset by peer`:               `Get "https://[::1]:5000/v2/": read tcp [::1]:5000: read: connection reset by peer`,
		"certificate has expired or is not yet valid: current time 2026-11-26T02:30:11Z is after 2026-11-26T01:29:40Z": "certificate has expired or is not yet valid: after 2026-11-26T01:29:40Z",
		`pinging container registry 127.0.0.1:5000: StatusCode: 429, "not today\n"`:                                    `pinging container registry 127.0.0.1:5000: StatusCode: 429, "not today\n"`,
	} {
		if got := steady(text); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// TestUnshare: this program runs in the user namespace with its own arguments, and its last line is
// the error.
func TestUnshare(t *testing.T) {
	program(t, `echo "$1 $3 $4"; test "$2" -ef "$SELF" || exit 3; echo progress >&2; echo "archgen: it is full" >&2; exit 1`)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SELF", self)
	var out bytes.Buffer
	err = Runner(Exec).Unshare(t.Context(), Call{Args: []string{"volume", "save"}, Stdout: &out})
	if err == nil || err.Error() != "exit status 1: it is full" || out.String() != "unshare volume save\n" {
		t.Errorf("%v, %q", err, out.String())
	}
}
