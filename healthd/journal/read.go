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

// Record is an event as the journal has it. The names of the fields are a contract.
type Record struct {
	Time time.Time `json:"time"`
	// Event is the word for what it tells of, such as "action" or "gave-up".
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

// Query is which events are read.
type Query struct {
	Scope units.Scope
	// App is the app that they are about, empty for all.
	App string
	// Lines is how many of the last ones, or "all"; Since is a time as journalctl takes it.
	Lines, Since string
	// Follow goes on with new ones until the context ends.
	Follow bool
}

// arguments is those of journalctl. The journal has an entry only once where matches of
// one field are alternatives.
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

// Read hands over events, the oldest first, and ends when there are no more, or with
// the context where new ones are followed.
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

// decode reads a JSON object a line.
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
	micros, _ := strconv.ParseInt(text("__REALTIME_TIMESTAMP"), 10, 64) // which every entry has
	r := Record{
		Time: time.UnixMicro(micros).UTC(), Event: Kind(text("MESSAGE_ID")).String(), By: cmp.Or(text("SYSLOG_IDENTIFIER"), text("_COMM")), App: text("APP"),
		Action: units.Kind(text("ACTION")), Target: text("TARGET"), Reason: units.Reason(text("REASON")), Message: text("MESSAGE"), Log: []string{},
	}
	if log := text("APP_LOG"); log != "" {
		r.Log = strings.Split(log, "\n")
	}
	return r, nil
}

// field is a value of the journal: a string, a list of bytes where it is not text that can
// be printed, null where it is too long, and a list where an entry has several (systemd's
// documentation of the journal's JSON format).
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
