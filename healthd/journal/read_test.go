package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

// TestRead: what journalctl prints becomes events, whatever bytes an app wrote.
func TestRead(t *testing.T) {
	program(t, `printf '%s\n' "$@" >"${0%/*}/arguments"; cat "${0%/*}/entries"`, `{"__REALTIME_TIMESTAMP":"1764543590396928","MESSAGE_ID":"5d2c7be1a8f04c0e9f1b6a3d47e2905c","SYSLOG_IDENTIFIER":"healthd","MESSAGE":"proxy: restart app@proxy.service (digest-differs)","APP":"proxy","ACTION":"restart","TARGET":"app@proxy.service","REASON":"digest-differs"}
{"__REALTIME_TIMESTAMP":"1764543599916944","MESSAGE_ID":"9b41f60d2e7c4a58b3c9d1e05f7a8623","_COMM":["healthd","other"],"MESSAGE":[112,255,112],"APP":"proxy","APP_LOG":"one\ntwo","TARGET":null}
`)
	var got []Record
	err := Read(t.Context(), Query{App: "proxy", Lines: "100", Since: "today"}, func(r Record) error {
		got = append(got, r)
		return nil
	})
	want := []Record{
		{
			Time: time.UnixMicro(1764543590396928).UTC(), Event: "action", By: "healthd", App: "proxy", Action: units.Restart, Target: "app@proxy.service",
			Reason: "digest-differs", Message: "proxy: restart app@proxy.service (digest-differs)", Log: []string{},
		},
		{Time: time.UnixMicro(1764543599916944).UTC(), Event: "failure", By: "healthd", App: "proxy", Message: "p\uFFFDp", Log: []string{"one", "two"}},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v, -want +got:\n%s", err, d)
	}
	stop := errors.New("enough")
	if err := Read(t.Context(), Query{Lines: "all"}, func(Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("it continued: %v", err)
	}
}

func TestArguments(t *testing.T) {
	args := strings.Join(Query{Scope: units.User, App: "lnd", Lines: "5", Since: "today", Follow: true}.arguments(), " ")
	for _, want := range []string{"--user", "--lines=5", "--since=today", "--follow", "MESSAGE_ID=" + string(GaveUp), "APP=lnd"} {
		if !strings.Contains(args, want) {
			t.Errorf("%s is missing in %s", want, args)
		}
	}
	if args := (Query{Scope: units.System, Lines: "all"}).arguments(); strings.Contains(strings.Join(args, " "), "--user") || len(args) != 4+len(kinds) {
		t.Errorf("for the system: %q", args)
	}
}

// TestReadErrors: journalctl says why it failed, and no entry is taken for another.
func TestReadErrors(t *testing.T) {
	program(t, `echo "No journal files were opened due to insufficient permissions." >&2; exit 1`, "")
	err := Read(t.Context(), Query{Lines: "all"}, func(Record) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "insufficient permissions") {
		t.Errorf("%v", err)
	}
	program(t, `echo '{"MESSAGE":{}}'`, "")
	if err := Read(t.Context(), Query{Lines: "all"}, func(Record) error { return nil }); err == nil {
		t.Error("an entry that is none was read")
	}
}

// program makes a shell script the journalctl of PATH, with entries beside it.
func program(t *testing.T, script, entries string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"journalctl": "#!/bin/sh\n" + script + "\n", "entries": entries} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil { //nolint:gosec // one of them has to be executable
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// TestKinds: every kind has a word and a priority.
func TestKinds(t *testing.T) {
	words := map[string]bool{}
	for k, of := range kinds {
		if of.word == "" || of.priority == 0 || words[of.word] {
			t.Errorf("%s: %+v", k, of)
		}
		words[k.String()] = true
	}
}
