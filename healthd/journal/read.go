package journal

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/units"
)

// Record is an event from the journal. The names of the fields are a contract.
type Record struct {
	Time time.Time `json:"time"`
	// Event is the word for its kind, such as "action" or "gave-up".
	Event string `json:"event"`
	// By is the program that wrote it.
	By      string       `json:"by"`
	App     string       `json:"app"`
	Action  units.Kind   `json:"action"`
	Target  string       `json:"target"`
	Reason  units.Reason `json:"reason"`
	Message string       `json:"message"`
	// Log is the last lines that the app wrote before.
	Log []string `json:"log"`
}

// Query selects events.
type Query struct {
	Scope units.Scope
	// App is the app of the events; empty is all apps.
	App string
	// Lines is how many of the last events, or "all"; Since is a time in the format of
	// journalctl.
	Lines, Since string
	// Follow waits for new events until the context ends.
	Follow bool
}

// arguments is the arguments of journalctl. Matches of one field are alternatives, and
// journalctl prints an entry that fits several of them once.
func (q Query) arguments() []string {
	args := []string{"--output=json", "--no-pager", "--quiet", "--lines=" + q.Lines}
	if q.Scope == units.User {
		args = append(args, "--user")
	}
	if q.Since != "" {
		args = append(args, "--since="+q.Since)
	}
	if q.Follow {
		args = append(args, "--follow")
	}
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		args = append(args, "MESSAGE_ID="+string(k))
	}
	if q.App != "" {
		args = append(args, "APP="+q.App)
	}
	return args
}

// Read calls a function for each event, the oldest first. It returns when there are no more
// events, or with Follow when the context ends.
func Read(ctx context.Context, q Query, take func(Record) error) error {
	cmd := exec.CommandContext(ctx, "journalctl", q.arguments()...) //nolint:gosec // the program is systemd's, and no shell reads the arguments
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	err = decode(out, take)
	if err != nil {
		_ = cmd.Process.Kill()
	}
	ended := cmd.Wait()
	switch {
	case err != nil:
		return err
	case ended != nil && ctx.Err() == nil:
		return fmt.Errorf("reading the journal: journalctl: %w: %s", ended, strings.TrimSpace(complaint.String()))
	}
	return nil
}

// decode reads one JSON object per line.
func decode(out io.Reader, take func(Record) error) error {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 1 {
			r, parseErr := parse(line)
			if parseErr != nil {
				return parseErr
			}
			if err := take(r); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading the journal: %w", err)
		}
	}
}

func parse(line []byte) (Record, error) {
	var fields map[string]field
	if err := json.Unmarshal(line, &fields); err != nil {
		return Record{}, fmt.Errorf("reading an entry of the journal: %w", err)
	}
	text := func(name string) string { return string(fields[name]) }
	micros, _ := strconv.ParseInt(text("__REALTIME_TIMESTAMP"), 10, 64) // every entry has it
	r := Record{
		Time: time.UnixMicro(micros).UTC(), Event: Kind(text("MESSAGE_ID")).String(), By: cmp.Or(text("SYSLOG_IDENTIFIER"), text("_COMM")), App: text("APP"),
		Action: units.Kind(text("ACTION")), Target: text("TARGET"), Reason: units.Reason(text("REASON")), Message: text("MESSAGE"), Log: []string{},
	}
	if log := text("APP_LOG"); log != "" {
		r.Log = strings.Split(log, "\n")
	}
	return r, nil
}

// field is a value of the journal: a string; a list of bytes if it is not printable text;
// null if it is too long; a list if an entry has several values (systemd's documentation of
// the journal's JSON format).
type field string

// UnmarshalJSON takes the first of several values.
func (f *field) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*f = field(text)
		return nil
	}
	var bytes []int
	if json.Unmarshal(data, &bytes) == nil {
		var b strings.Builder
		for _, n := range bytes {
			b.WriteByte(byte(n))
		}
		*f = field(strings.ToValidUTF8(b.String(), "\uFFFD"))
		return nil
	}
	var list []field
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	if len(list) > 0 {
		*f = list[0]
	}
	return nil
}
