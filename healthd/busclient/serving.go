package busclient

import (
	"context"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/status"
)

// servingTime is the timeout of the question which apps serve. healthd answers from memory.
const servingTime = time.Second

// Serving returns the apps that serve by the last answers that healthd got from them. It returns
// none if healthd can't be asked: Serving does not start it.
func (b Bus) Serving(ctx context.Context) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, servingTime)
	defer cancel()
	conn, err := b.Connect(ctx)
	if err != nil {
		return nil
	}
	defer Close(conn)
	var apps []struct{ ID, State, Reason, Level string }
	if err := conn.Object(Name, Path).CallWithContext(ctx, Name+".ListApps", dbus.FlagNoAutoStart).Store(&apps); err != nil {
		return nil
	}
	serving := make(map[string]bool, len(apps))
	for _, a := range apps {
		serving[a.ID] = units.Phase(a.State) == units.PhaseRunning && isAnswer[status.Level(a.Level)]
	}
	return serving
}

// isAnswer is the levels at which an app has answered that it serves.
var isAnswer = map[status.Level]bool{status.Serving: true, status.Synced: true}
