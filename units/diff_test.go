package units_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

// The app of the table: enabled, one part, digest "new".
var (
	now  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	lnd  = units.App{ID: "lnd", Enabled: true, ManifestDigest: "m1", Parts: []units.Part{{Service: "app@lnd.service", File: "app@lnd.container", Digest: "new"}}}
	well = units.Unit{Loaded: true, Active: units.Active, Digest: "new", Health: units.Serving}
)

// unit is a healthy unit after a change.
func unit(change func(*units.Unit)) units.Unit {
	u := well
	change(&u)
	return u
}

func disabled(a units.App) units.App { a.Enabled = false; return a }

// withConfig is the app with digests of its configuration.
func withConfig(config, watched string) *units.App {
	a := lnd
	a.Parts = []units.Part{lnd.Parts[0]}
	a.Parts[0].Config, a.Parts[0].Watched = config, watched
	return &a
}

// withReloadable is the app with a digest of the files that it can read again.
func withReloadable() *units.App {
	a := withConfig("new", "seen")
	a.Parts[0].Reloadable = "new"
	return a
}

// following is an app that tracks the address of another one.
func following(other string, a *units.App) *units.App {
	a.RestartAfter = []string{other}
	return a
}

// decide is units.Decide with a history as the only result of earlier passes.
func decide(want units.Desired, have units.Observed, history units.History, at time.Time) units.Plan {
	return units.Decide(units.Basis{Desired: want, Past: units.Past{History: history}}, have, at)
}

// TestStateTable holds one case for each row of the state table of the design, and for the
// combinations between the rows. An expected action is one line: kind target reason.
func TestStateTable(t *testing.T) {
	const container, service = "app@lnd.container", "app@lnd.service"
	file := func(s units.FileState) map[string]units.FoundFile {
		return map[string]units.FoundFile{container: {State: s, App: "lnd", Service: service}}
	}
	orphan := unit(func(u *units.Unit) { u.Loaded = false })
	for name, tt := range map[string]struct {
		app     *units.App
		unit    units.Unit
		others  map[string]units.Unit
		room    map[units.Limit]int
		files   map[string]units.FoundFile
		history units.History
		want    []string
	}{
		"running, serving and as rendered: nothing": {unit: well},
		"running without a probe: nothing":          {unit: unit(func(u *units.Unit) { u.Health = units.HealthUnknown })},

		"a limit of the machine keeps it from starting": {
			unit: units.Unit{Loaded: true, Active: units.Activating, Restarting: true, Limit: units.LimitKeys},
			want: []string{"leave app@lnd.service limit-reached"},
		},
		"the same at its start limit": {
			unit: units.Unit{Loaded: true, Active: units.Failed, Limit: units.LimitKeys},
			want: []string{"leave app@lnd.service limit-reached"},
		},
		"another limit has room": {
			unit: units.Unit{Loaded: true, Active: units.Activating, Restarting: true, Limit: units.LimitKeys}, room: map[units.Limit]int{units.LimitLocks: 1},
			want: []string{"leave app@lnd.service limit-reached"},
		},
		"the limit has room again": {
			unit: units.Unit{Loaded: true, Active: units.Activating, Restarting: true, Limit: units.LimitKeys}, room: map[units.Limit]int{units.LimitKeys: 1},
			want: []string{"reset-failed app@lnd.service limit-raised", "restart app@lnd.service limit-raised"},
		},
		"the limit has room again, at its start limit": {
			unit: units.Unit{Loaded: true, Active: units.Failed, Limit: units.LimitKeys}, room: map[units.Limit]int{units.LimitKeys: 1},
			want: []string{"reset-failed app@lnd.service limit-raised", "restart app@lnd.service limit-raised"},
		},
		"the limit has room again, but a start a moment ago failed on it, too": {
			unit: units.Unit{Loaded: true, Active: units.Activating, Restarting: true, Limit: units.LimitKeys}, room: map[units.Limit]int{units.LimitKeys: 1},
			history: units.History{"lnd": {ManifestDigest: "m1", Tries: 2, Last: now, Why: units.ReasonLimitRaised, Escalation: 2}},
			want:    []string{"leave app@lnd.service backing-off"},
		},
		"its file changed at a limit": {
			unit: units.Unit{Loaded: true, NeedsReload: true, Active: units.Activating, Restarting: true, Limit: units.LimitKeys},
			want: []string{"reload  needs-reload", "reset-failed app@lnd.service changed-while-restarting", "restart app@lnd.service changed-while-restarting"},
		},

		"file deleted, systemd has not noticed": {
			unit: unit(func(u *units.Unit) { u.NeedsReload = true }), files: file(units.FileMissing),
			want: []string{"write app@lnd.container file-missing", "reload  file-missing"},
		},
		"file deleted, unit forgotten, container runs on": {
			unit: orphan, files: file(units.FileMissing),
			want: []string{"write app@lnd.container file-missing", "reload  file-missing"},
		},
		"file deleted while the app was not running": {
			unit: units.Unit{Active: units.Inactive}, files: file(units.FileMissing),
			want: []string{"write app@lnd.container file-missing", "reload  file-missing", "start app@lnd.service never-started"},
		},
		"file edited or cut short": {
			unit: unit(func(u *units.Unit) { u.NeedsReload = true }), files: file(units.FileDiffers),
			want: []string{"write app@lnd.container file-differs", "reload  file-differs"},
		},
		"a link, directory or FIFO with the file's name": {
			unit: well, files: file(units.FileOdd),
			want: []string{"write app@lnd.container file-not-regular", "reload  file-not-regular"},
		},
		"foreign file with its name": {
			unit: units.Unit{Loaded: true, Active: units.Inactive}, files: file(units.FileForeign),
			want: []string{"leave app@lnd.container file-foreign"},
		},
		"file right, unit not loaded": {
			unit: orphan, want: []string{"reload  not-loaded"},
		},
		"file right, systemd read an earlier one": {
			unit: unit(func(u *units.Unit) { u.NeedsReload = true }), want: []string{"reload  needs-reload"},
		},
		"recipe deleted or edited: systemd reads none": {
			unit: well, files: map[string]units.FoundFile{"archipelago-lnd.recipe": {State: units.FileDiffers, App: "lnd"}},
			want: []string{"write archipelago-lnd.recipe file-differs"},
		},
		"a configuration file or secret changed": {
			app: withConfig("new", ""), unit: unit(func(u *units.Unit) { u.Config = "old" }), want: []string{"restart app@lnd.service config-differs"},
		},
		"a file that it can read again changed": {
			app:  withReloadable(),
			unit: unit(func(u *units.Unit) { u.Config, u.Watched, u.Reloadable = "new", "seen", "old" }),
			want: []string{"reload-service app@lnd.service reloadable-file-differs"},
		},
		"one that it can read again changed, and one that it can't": {
			app:  withReloadable(),
			unit: unit(func(u *units.Unit) { u.Config, u.Watched, u.Reloadable = "old", "seen", "old" }),
			want: []string{"restart app@lnd.service config-differs"},
		},
		"a file that it can read again changed while it is down": {
			app:  withReloadable(),
			unit: units.Unit{Loaded: true, Active: units.Inactive, Stopped: true, Config: "new", Watched: "seen", Reloadable: "old"},
			want: []string{"leave app@lnd.service stopped-by-operator"},
		},
		"a reload that did not help": {
			app:     withReloadable(),
			unit:    unit(func(u *units.Unit) { u.Config, u.Watched, u.Reloadable = "new", "seen", "old" }),
			history: units.History{"lnd": {ManifestDigest: "m1", Tries: 1, Escalation: 1, Why: units.ReasonReloadableFileDiffers, Last: now.Add(-10 * time.Second)}},
			want:    []string{"restart app@lnd.service reloadable-file-differs"},
		},
		"the configuration that it was started with is unknown": {
			app: withConfig("new", ""), unit: well, want: []string{"restart app@lnd.service config-differs"},
		},
		"the configuration that it would be started with is unknown": {
			app: withConfig("", ""), unit: unit(func(u *units.Unit) { u.Config = "old" }),
		},
		"the same configuration": {
			app: withConfig("new", "seen"), unit: unit(func(u *units.Unit) { u.Config, u.Watched = "new", "seen" }),
		},
		"the app that it follows is not up again": {
			app:    following("node", withConfig("new", "other")),
			unit:   unit(func(u *units.Unit) { u.Config, u.Watched = "new", "seen" }),
			others: map[string]units.Unit{"app@node.service": {Loaded: true, Active: units.Activating}},
		},
		"its restart job is running, and the app that it follows restarted again": {
			app: withConfig("new", "other"),
			unit: unit(func(u *units.Unit) {
				u.Config, u.Watched, u.Job, u.Invocation = "new", "seen", "restart", "i1"
			}),
			history: units.History{"lnd": {ManifestDigest: "m1", Tries: 1, Escalation: 1, Why: units.ReasonWatchedFileDiffers, Last: now, Pending: map[string]string{service: "i1"}}},
			want:    []string{"leave app@lnd.service job-under-way"},
		},
		"a job is running, whatever else is wrong": {
			unit: unit(func(u *units.Unit) { u.Digest, u.Health, u.Paused, u.Job = "old", units.Unhealthy, true, "stop" }),
			want: []string{"leave app@lnd.service job-under-way"},
		},
		"the app that it follows is about to restart": {
			app:    following("node", withConfig("new", "other")),
			unit:   unit(func(u *units.Unit) { u.Config, u.Watched = "new", "seen" }),
			others: map[string]units.Unit{"app@node.service": {Loaded: true, Active: units.Active, Job: "restart"}},
		},
		"the app that it follows restarted and serves": {
			app:    following("node", withConfig("new", "other")),
			unit:   unit(func(u *units.Unit) { u.Config, u.Watched = "new", "seen" }),
			others: map[string]units.Unit{"app@node.service": {Loaded: true, Active: units.Active}},
			want:   []string{"restart app@lnd.service watched-file-differs"},
		},
		"a file that another app writes changed": {
			app: withConfig("new", "other"), unit: unit(func(u *units.Unit) { u.Config, u.Watched = "new", "seen" }),
			want: []string{"restart app@lnd.service watched-file-differs"},
		},
		"it changed again at once: its own start may change it": {
			app: withConfig("new", "other"), unit: unit(func(u *units.Unit) { u.Config, u.Watched = "new", "seen" }),
			history: units.History{"lnd": {ManifestDigest: "m1", Tries: 1, Escalation: 1, Why: units.ReasonWatchedFileDiffers, Last: now.Add(-time.Second)}},
			want:    []string{"leave app@lnd.service backing-off"},
		},
		"a configuration changed while the app is down": {
			app: withConfig("new", ""), unit: units.Unit{Loaded: true, Active: units.Inactive, Stopped: true, Config: "old"},
			want: []string{"leave app@lnd.service stopped-by-operator"},
		},
		"manifest changed: file and container differ": {
			unit: unit(func(u *units.Unit) { u.Digest = "old" }), files: file(units.FileDiffers),
			want: []string{"write app@lnd.container file-differs", "reload  file-differs", "restart app@lnd.service digest-differs"},
		},
		"file right, container of an older file": {
			unit: unit(func(u *units.Unit) { u.Digest = "old" }), want: []string{"restart app@lnd.service digest-differs"},
		},
		"the running container is unknown": {unit: unit(func(u *units.Unit) { u.Digest = "" })},

		"loading":    {unit: unit(func(u *units.Unit) { u.Health = units.Loading }), want: []string{"leave app@lnd.service loading"}},
		"needs user": {unit: unit(func(u *units.Unit) { u.Health = units.NeedsUser }), want: []string{"leave app@lnd.service needs-user"}},
		"unsure":     {unit: unit(func(u *units.Unit) { u.Health = units.Failing }), want: []string{"leave app@lnd.service not-answering-yet"}},
		"sick":       {unit: unit(func(u *units.Unit) { u.Health = units.Unhealthy }), want: []string{"restart app@lnd.service not-serving"}},
		"paused":     {unit: unit(func(u *units.Unit) { u.Paused = true }), want: []string{"restart app@lnd.service paused"}},
		"starting":   {unit: units.Unit{Loaded: true, Active: units.Activating}, want: []string{"leave app@lnd.service starting"}},
		"starting with these files": {
			unit: units.Unit{Loaded: true, Active: units.Activating, Digest: "new"}, want: []string{"leave app@lnd.service starting"},
		},
		"starting with other files": {
			unit: units.Unit{Loaded: true, Active: units.Activating, Digest: "old"}, want: []string{"restart app@lnd.service digest-differs"},
		},
		"stopping": {unit: units.Unit{Loaded: true, Active: units.Deactivating}, want: []string{"leave app@lnd.service stopping"}},
		"systemd restarts it": {
			unit: units.Unit{Loaded: true, Active: units.Activating, Restarting: true},
			want: []string{"leave app@lnd.service restarted-by-systemd"},
		},

		"systemd restarts it, and its manifest changed": {
			unit: units.Unit{Loaded: true, Active: units.Activating, Restarting: true}, files: file(units.FileDiffers),
			want: []string{
				"write app@lnd.container file-differs", "reload  file-differs",
				"reset-failed app@lnd.service changed-while-restarting", "restart app@lnd.service changed-while-restarting",
			},
		},
		"systemd restarts it, and its prestart steps changed": {
			unit:  units.Unit{Loaded: true, Active: units.Activating, Restarting: true},
			files: map[string]units.FoundFile{"archipelago-lnd.recipe": {State: units.FileDiffers, App: "lnd"}},
			want: []string{
				"write archipelago-lnd.recipe file-differs",
				"reset-failed app@lnd.service changed-while-restarting", "restart app@lnd.service changed-while-restarting",
			},
		},
		"systemd restarts it, and has not read its file since it changed": {
			unit: units.Unit{Loaded: true, Active: units.Activating, Restarting: true, NeedsReload: true},
			want: []string{
				"reload  needs-reload", "reset-failed app@lnd.service changed-while-restarting", "restart app@lnd.service changed-while-restarting",
			},
		},
		"systemd restarts it, and a configuration file or secret changed": {
			app: withConfig("new", ""), unit: units.Unit{Loaded: true, Active: units.Activating, Restarting: true, Config: "old"},
			want: []string{"restart app@lnd.service config-differs"},
		},
		"systemd restarts it, and it was restarted for its configuration": {
			app: withConfig("new", ""), unit: units.Unit{Loaded: true, Active: units.Activating, Restarting: true, Config: "old"},
			history: units.History{"lnd": {ManifestDigest: "m1", Tries: 1, Escalation: 1, Why: units.ReasonConfigDiffers, Last: now.Add(-time.Second)}},
			want:    []string{"leave app@lnd.service backing-off"},
		},
		"systemd restarts it, with the configuration that it should have": {
			app: withConfig("new", ""), unit: units.Unit{Loaded: true, Active: units.Activating, Restarting: true, Config: "new"},
			want: []string{"leave app@lnd.service restarted-by-systemd"},
		},

		"never active since boot": {
			unit: units.Unit{Loaded: true, Active: units.Inactive}, want: []string{"start app@lnd.service never-started"},
		},
		"never active, disabled": {
			app: new(disabled(lnd)), unit: units.Unit{Loaded: true, Active: units.Inactive}, want: []string{"leave app@lnd.service disabled"},
		},
		"exited successfully: the operator stopped it": {
			unit: units.Unit{Loaded: true, Active: units.Inactive, Stopped: true}, want: []string{"leave app@lnd.service stopped-by-operator"},
		},
		"down in the middle of a repair": {
			unit:    units.Unit{Loaded: true, Active: units.Inactive, Stopped: true, Invocation: "i1"},
			history: units.History{"lnd": {ManifestDigest: "m1", Tries: 1, Why: units.ReasonFailed, Escalation: 1, Last: now, Pending: map[string]string{service: "i1"}}},
			want:    []string{"reset-failed app@lnd.service failed", "start app@lnd.service failed"},
		},
		"stopped by the operator after a repair that was not recorded as finished": {
			unit:    units.Unit{Loaded: true, Active: units.Inactive, Stopped: true, Invocation: "i2"},
			history: units.History{"lnd": {ManifestDigest: "m1", Tries: 1, Last: now, Pending: map[string]string{service: "i1"}}},
			want:    []string{"leave app@lnd.service stopped-by-operator"},
		},
		"the operator stopped it, and systemd had to kill it": {
			unit: units.Unit{Loaded: true, Active: units.Failed, Stopped: true}, want: []string{"leave app@lnd.service stopped-by-operator"},
		},
		"a repair stopped it, and systemd had to kill it": {
			unit:    units.Unit{Loaded: true, Active: units.Failed, Stopped: true, Invocation: "i1"},
			history: units.History{"lnd": {ManifestDigest: "m1", Tries: 1, Why: units.ReasonFailed, Escalation: 1, Last: now, Pending: map[string]string{service: "i1"}}},
			want:    []string{"reset-failed app@lnd.service failed", "start app@lnd.service failed"},
		},
		"failed": {
			unit: units.Unit{Loaded: true, Active: units.Failed},
			want: []string{"reset-failed app@lnd.service failed", "start app@lnd.service failed"},
		},
		"masked": {
			unit: units.Unit{Loaded: true, Masked: true, Active: units.Inactive}, want: []string{"leave app@lnd.service masked"},
		},
		"masked while it runs": {
			unit: unit(func(u *units.Unit) { u.Masked, u.Digest, u.Health = true, "old", units.Unhealthy }), files: file(units.FileDiffers),
			want: []string{"write app@lnd.container file-differs", "reload  file-differs", "leave app@lnd.service masked"},
		},
		"failed, disabled": {
			app: new(disabled(lnd)), unit: units.Unit{Loaded: true, Active: units.Failed}, want: []string{"leave app@lnd.service disabled"},
		},
		"failed again within the delay": {
			unit:    units.Unit{Loaded: true, Active: units.Failed},
			history: units.History{"lnd": {ManifestDigest: "m1", Tries: 1, Last: now.Add(-9 * time.Second)}},
			want:    []string{"leave app@lnd.service backing-off"},
		},
		"failed again, the delay is over": {
			unit:    units.Unit{Loaded: true, Active: units.Failed},
			history: units.History{"lnd": {ManifestDigest: "m1", Tries: 1, Why: units.ReasonFailed, Escalation: 1, Last: now.Add(-10 * time.Second)}},
			want:    []string{"reset-failed app@lnd.service failed", "recreate app@lnd.service failed"},
		},
		"failed after five tries": {
			unit:    units.Unit{Loaded: true, Active: units.Failed},
			history: units.History{"lnd": {ManifestDigest: "m1", Tries: 5, Last: now.Add(-time.Minute)}},
			want:    []string{"leave app@lnd.service gave-up"},
		},
		"given up: one more repair an hour": {
			unit:    units.Unit{Loaded: true, Active: units.Failed},
			history: units.History{"lnd": {ManifestDigest: "m1", Tries: 50, Why: units.ReasonFailed, Escalation: 50, Last: now.Add(-time.Hour)}},
			want:    []string{"reset-failed app@lnd.service failed", "recreate app@lnd.service failed"},
		},
		"given up, but the manifest changed": {
			unit:    units.Unit{Loaded: true, Active: units.Failed},
			history: units.History{"lnd": {ManifestDigest: "m0", Tries: 5, Last: now}},
			want:    []string{"reset-failed app@lnd.service failed", "start app@lnd.service failed"},
		},
		"given up for another reason: from the first escalation": {
			unit:    units.Unit{Loaded: true, Active: units.Failed},
			history: units.History{"lnd": {ManifestDigest: "m1", Tries: 50, Why: units.ReasonNotServing, Escalation: 50, Last: now.Add(-time.Hour)}},
			want:    []string{"reset-failed app@lnd.service failed", "start app@lnd.service failed"},
		},
		"the clock was set back": {
			unit:    units.Unit{Loaded: true, Active: units.Failed},
			history: units.History{"lnd": {ManifestDigest: "m1", Tries: 5, Why: units.ReasonFailed, Escalation: 5, Last: now.Add(24 * time.Hour)}},
			want:    []string{"reset-failed app@lnd.service failed", "recreate app@lnd.service failed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := lnd
			if tt.app != nil {
				app = *tt.app
			}
			have := units.Observed{Files: tt.files, Room: tt.room, Units: map[string]units.Unit{service: tt.unit}}
			maps.Copy(have.Units, tt.others)
			plan := decide(units.Desired{Apps: []units.App{app}, Complete: true}, have, tt.history, now)
			if d := cmp.Diff(tt.want, lines(plan)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			quiet := true
			for _, l := range tt.want {
				quiet = quiet && l[:5] == "leave"
			}
			if plan.Idle() != quiet {
				t.Errorf("Idle() = %v", plan.Idle())
			}
		})
	}
}

// TestFollowerRestartsAfterTheAppThatItFollows: a plan that restarts an app also restarts the apps
// that track its address, directly or through another one, after it.
func TestFollowerRestartsAfterTheAppThatItFollows(t *testing.T) {
	app := func(id string, follow ...string) units.App {
		a := units.App{ID: id, ManifestDigest: "m1", Enabled: true, Needs: follow, RestartAfter: follow}
		a.Parts = []units.Part{{Service: "app@" + id + ".service", File: "app@" + id + ".container", Digest: "d2"}}
		for _, other := range follow {
			a.Parts[0].TracksAddressOf = append(a.Parts[0].TracksAddressOf, "app@"+other+".service")
		}
		return a
	}
	running := func(digest string) units.Unit {
		return units.Unit{Loaded: true, Active: units.Active, Digest: digest, Health: units.Serving}
	}
	stopped := units.Unit{Loaded: true, Active: units.Inactive, Stopped: true}
	plan := decide(
		units.Desired{Apps: []units.App{app("a-wallet", "node"), app("node"), app("page", "a-wallet"), app("other"), app("idle", "node")}},
		units.Observed{Units: map[string]units.Unit{
			"app@a-wallet.service": running("d2"), "app@node.service": running("d1"), "app@page.service": running("d2"),
			"app@other.service": running("d2"), "app@idle.service": stopped,
		}}, nil, now)
	want := []string{
		"restart app@node.service digest-differs", "restart app@a-wallet.service watched-file-differs",
		"restart app@page.service watched-file-differs", "leave app@idle.service stopped-by-operator",
	}
	if d := cmp.Diff(want, lines(plan)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestEscalation: the kinds of successive repairs, and when each is due.
func TestEscalation(t *testing.T) {
	sick := unit(func(u *units.Unit) { u.Health = units.Unhealthy })
	paused := unit(func(u *units.Unit) { u.Paused = true })
	for name, tt := range map[string]struct {
		scope units.Scope
		unit  units.Unit
		want  [4]units.Kind
	}{
		"sick":               {units.User, sick, [4]units.Kind{units.Restart, units.Recreate, units.Recreate, units.Recreate}},
		"sick, under root":   {units.System, sick, [4]units.Kind{units.ReloadNetwork, units.Restart, units.Recreate, units.Recreate}},
		"paused":             {units.User, paused, [4]units.Kind{units.Restart, units.Recreate, units.Recreate, units.Recreate}},
		"paused, under root": {units.System, paused, [4]units.Kind{units.Restart, units.Recreate, units.Recreate, units.Recreate}},
		"never ran":          {units.User, units.Unit{Loaded: true}, [4]units.Kind{units.Start, units.Recreate, units.Recreate, units.Recreate}},
	} {
		t.Run(name, func(t *testing.T) {
			history, at := units.History{}, now
			have := units.Observed{Units: map[string]units.Unit{"app@lnd.service": tt.unit}}
			for try, kind := range tt.want {
				plan := decide(units.Desired{Apps: []units.App{lnd}, Scope: tt.scope}, have, history, at)
				if len(plan.Steps) != 1 || plan.Steps[0].Kind != kind || !plan.Steps[0].Repair || !plan.Due.IsZero() {
					t.Errorf("try %d: %v, due %v, want %s", try, plan.Steps, plan.Due, kind)
				}
				history.Repaired(lnd, plan.Steps[len(plan.Steps)-1].Reason, at)
				next := history["lnd"].Next()
				early := decide(units.Desired{Apps: []units.App{lnd}, Scope: tt.scope}, have, history, next.Add(-1))
				if !early.Idle() || !early.Due.Equal(next) {
					t.Errorf("try %d, too early: %v, due %v, want %v", try, early.Steps, early.Due, next)
				}
				at = next
			}
		})
	}
}

// TestForgetRestarts: ten minutes after the last automatic restart of a part that is healthy,
// systemd forgets its restarts. A pass is due then.
func TestForgetRestarts(t *testing.T) {
	after := func(up time.Duration, change func(*units.Unit)) units.Unit {
		return unit(func(u *units.Unit) {
			u.Restarts, u.Up = 3, up
			change(u)
		})
	}
	same := func(*units.Unit) {}
	forgotten := []string{"reset-failed app@lnd.service healthy-since-restart"}
	for name, tt := range map[string]struct {
		unit    units.Unit
		request units.Kind
		want    []string
		// due is how long after this pass the next one is due.
		due time.Duration
	}{
		"just restarted":         {unit: after(time.Second, same), due: 10*time.Minute - time.Second},
		"almost long enough":     {unit: after(10*time.Minute-1, same), due: 1},
		"long enough":            {unit: after(10*time.Minute, same), want: forgotten},
		"without a probe":        {unit: after(time.Hour, func(u *units.Unit) { u.Health = units.HealthUnknown }), want: forgotten},
		"never restarted":        {unit: after(time.Hour, func(u *units.Unit) { u.Restarts = 0 })},
		"not well for long":      {unit: after(time.Minute, func(u *units.Unit) { u.Health = units.Failing }), want: []string{"leave app@lnd.service not-answering-yet"}, due: 9 * time.Minute},
		"not well at that time":  {unit: after(time.Hour, func(u *units.Unit) { u.Health = units.Failing }), want: []string{"leave app@lnd.service not-answering-yet"}},
		"still loading":          {unit: after(time.Hour, func(u *units.Unit) { u.Health = units.Loading }), want: []string{"leave app@lnd.service loading"}},
		"sick":                   {unit: after(time.Hour, func(u *units.Unit) { u.Health = units.Unhealthy }), want: []string{"restart app@lnd.service not-serving"}},
		"restarts again":         {unit: after(time.Hour, func(u *units.Unit) { u.Active, u.Restarting = units.Activating, true }), want: []string{"leave app@lnd.service restarted-by-systemd"}},
		"restarted for a change": {unit: after(time.Hour, func(u *units.Unit) { u.Digest = "old" }), want: []string{"restart app@lnd.service digest-differs"}},
		"stops":                  {unit: after(time.Hour, func(u *units.Unit) { u.Job = "stop" }), want: []string{"leave app@lnd.service job-under-way"}},
		"stopped on request":     {unit: after(time.Hour, same), request: units.Stop, want: []string{"stop app@lnd.service asked"}},
	} {
		t.Run(name, func(t *testing.T) {
			app := lnd
			app.Request = tt.request
			have := units.Observed{Units: map[string]units.Unit{"app@lnd.service": tt.unit}}
			plan := decide(units.Desired{Apps: []units.App{app}, Complete: true}, have, nil, now)
			if d := cmp.Diff(tt.want, lines(plan)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			want := now.Add(tt.due)
			if tt.due == 0 {
				want = time.Time{}
			}
			if !plan.Due.Equal(want) {
				t.Errorf("due %v, want %v", plan.Due, want)
			}
			if slices.ContainsFunc(plan.Resets, func(a units.Action) bool { return a.Repair }) || plan.Idle() != (len(plan.Resets)+len(plan.Steps) == 0) {
				t.Errorf("idle %v, resets %v", plan.Idle(), plan.Resets)
			}
		})
	}
}

// TestForgetRestartsOfEachPart: each service has its own row. An app that a pass refuses stays as
// it is.
func TestForgetRestartsOfEachPart(t *testing.T) {
	app := units.App{ID: "shop", Enabled: true, Files: units.Set{{Name: "app@shop.container"}}, Parts: []units.Part{
		{Service: "app@shop.service", File: "app@shop.container", Digest: "new"},
		{Service: "app@shop.db.service", File: "app@shop.db.container", Digest: "new"},
	}}
	restarted := unit(func(u *units.Unit) { u.Restarts, u.Up = 1, time.Hour })
	have := units.Observed{Units: map[string]units.Unit{"app@shop.service": restarted, "app@shop.db.service": restarted}}
	want := units.Desired{Apps: []units.App{app}, Complete: true}
	if d := cmp.Diff([]string{
		"reset-failed app@shop.service healthy-since-restart", "reset-failed app@shop.db.service healthy-since-restart",
	}, lines(decide(want, have, nil, now))); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	have.Files = map[string]units.FoundFile{"app@shop.container": {State: units.FileForeign, App: "shop"}}
	if plan := decide(want, have, nil, now); len(plan.Resets) > 0 || len(plan.Refused) != 1 {
		t.Errorf("refused %v, resets %v", plan.Refused, plan.Resets)
	}
}

func lines(p units.Plan) []string {
	actions := p.Actions()
	if len(actions) == 0 {
		return nil
	}
	list := make([]string, 0, len(actions))
	for _, a := range actions {
		list = append(list, string(a.Kind)+" "+a.Target+" "+string(a.Reason))
	}
	return list
}

// TestAsked: a request takes precedence over state and budget.
func TestAsked(t *testing.T) {
	const service = "app@lnd.service"
	spent := units.History{"lnd": {ManifestDigest: "m1", Tries: 5, Last: now}}
	for name, tt := range map[string]struct {
		asked units.Kind
		unit  units.Unit
		want  []string
	}{
		"start what was stopped":      {units.Start, units.Unit{Loaded: true, Active: units.Inactive, Stopped: true}, []string{"start app@lnd.service asked"}},
		"start what is masked":        {units.Start, units.Unit{Loaded: true, Masked: true, Active: units.Inactive}, []string{"leave app@lnd.service masked"}},
		"stop what is masked":         {units.Stop, units.Unit{Loaded: true, Masked: true, Active: units.Active}, []string{"stop app@lnd.service asked"}},
		"start what was given up":     {units.Start, units.Unit{Loaded: true, Active: units.Failed}, []string{"reset-failed app@lnd.service asked", "start app@lnd.service asked"}},
		"start what systemd restarts": {units.Start, units.Unit{Loaded: true, Active: units.Activating, Restarting: true}, []string{"start app@lnd.service asked"}},
		"stop what systemd restarts":  {units.Stop, units.Unit{Loaded: true, Active: units.Activating, Restarting: true}, []string{"stop app@lnd.service asked"}},
		"start what runs":             {units.Start, well, nil},
		"start what runs an old one":  {units.Start, unit(func(u *units.Unit) { u.Digest = "old" }), []string{"restart app@lnd.service digest-differs"}},
		"restart what runs":           {units.Restart, well, []string{"restart app@lnd.service asked"}},
		"stop what runs":              {units.Stop, well, []string{"stop app@lnd.service asked"}},
		"stop what starts":            {units.Stop, units.Unit{Loaded: true, Active: units.Activating}, []string{"stop app@lnd.service asked"}},
		"stop what is stopped":        {units.Stop, units.Unit{Loaded: true, Active: units.Inactive}, []string{"leave app@lnd.service stopped-by-operator"}},
	} {
		t.Run(name, func(t *testing.T) {
			app := disabled(lnd)
			app.Request = tt.asked
			have := units.Observed{Units: map[string]units.Unit{service: tt.unit}}
			if d := cmp.Diff(tt.want, lines(decide(units.Desired{Apps: []units.App{app}}, have, spent, now))); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestAskedAtTheStartLimit: systemd refuses to start what was started too often, also if that is down and did
// not fail. An operator's request counts more; a repair does not.
func TestAskedAtTheStartLimit(t *testing.T) {
	limited := func(name string) units.File {
		return units.File{Name: name, App: "trio", Digest: "d", Content: []byte("[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=3\n")}
	}
	app := units.App{
		ID: "trio", ManifestDigest: "m1", Enabled: true, Files: units.Set{limited("app@trio.container"), limited("app@trio.db.container")},
		Parts: []units.Part{
			{Service: "app@trio.service", File: "app@trio.container", Digest: "d"},
			{Service: "app@trio.api.service", File: "app@trio.api.container", Digest: "d"},
			{Service: "app@trio.db.service", File: "app@trio.db.container", Digest: "d", PartOf: []string{"app@trio.service"}},
		},
	}
	for name, tt := range map[string]struct {
		asked    units.Kind
		main, db units.ActiveState
		want     []string
	}{
		"start what is down":   {units.Start, units.Inactive, units.Inactive, []string{"reset-failed app@trio.service asked", "reset-failed app@trio.db.service asked", "start app@trio.service asked"}},
		"start what failed":    {units.Start, units.Failed, units.Failed, []string{"reset-failed app@trio.db.service failed", "reset-failed app@trio.service asked", "start app@trio.service asked"}},
		"restart what runs":    {units.Restart, units.Active, units.Active, []string{"reset-failed app@trio.service asked", "reset-failed app@trio.db.service asked", "restart app@trio.service asked"}},
		"a repair of the main": {"", units.Failed, units.Inactive, []string{"reset-failed app@trio.service failed", "start app@trio.service failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			app.Request = tt.asked
			have := units.Observed{Units: map[string]units.Unit{}}
			for service, state := range map[string]units.ActiveState{"app@trio.service": tt.main, "app@trio.api.service": units.Inactive, "app@trio.db.service": tt.db} {
				have.Units[service] = units.Unit{Loaded: true, Active: state, Digest: "d"}
			}
			plan := decide(units.Desired{Apps: []units.App{app}}, have, nil, now)
			got := lines(plan)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestAwaited: a pass that only waits for an app makes no repair, but it queues the start that an
// earlier pass recorded and did not make.
func TestAwaited(t *testing.T) {
	const service = "app@lnd.service"
	for name, tt := range map[string]struct {
		pending map[string]string
		unit    units.Unit
		want    []string
	}{
		"its start failed":           {map[string]string{service: ""}, units.Unit{Loaded: true, Active: units.Failed, Invocation: "1"}, []string{"leave app@lnd.service failed"}},
		"its start was never queued": {map[string]string{service: ""}, units.Unit{Loaded: true, Active: units.Inactive}, []string{"start app@lnd.service never-started"}},
		"no start was noted":         {nil, units.Unit{Loaded: true, Active: units.Inactive}, []string{"leave app@lnd.service never-started"}},
	} {
		t.Run(name, func(t *testing.T) {
			app := lnd
			app.Request = units.Leave
			have := units.Observed{Units: map[string]units.Unit{service: tt.unit}}
			history := units.History{"lnd": {ManifestDigest: "m1", Tries: 1, Last: now, Pending: tt.pending}}
			if d := cmp.Diff(tt.want, lines(decide(units.Desired{Apps: []units.App{app}}, have, history, now))); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestRemoval: apps missing from a complete and valid set are stopped and removed; everything else
// stays.
func TestRemoval(t *testing.T) {
	const service = "app@old.service"
	stale := map[string]units.FoundFile{
		"app@old.container":            {State: units.FileStale, App: "old", Service: service},
		"archipelago-shared.x.network": {State: units.FileStale},
		"archipelago-old.d.volume":     {State: units.FileStale, App: "old"},
		"app@stopped.container":        {State: units.FileStale, App: "stopped", Service: "app@stopped.service"},
		"archipelago-app.lnd.volume":   {State: units.FileStale, App: "lnd"},
	}
	have := units.Observed{Files: stale, Units: map[string]units.Unit{
		service: {Loaded: true, Active: units.Active}, "app@stopped.service": {Loaded: true, Active: units.Inactive}, "app@lnd.service": well,
	}}
	for name, tt := range map[string]struct {
		want  units.Desired
		lines []string
	}{
		"whole set": {units.Desired{Apps: []units.App{lnd}, Complete: true}, []string{
			"stop app@old.service removed",
			"remove app@old.container removed", "remove app@stopped.container removed", "remove archipelago-app.lnd.volume removed",
			"remove archipelago-old.d.volume removed", "remove archipelago-shared.x.network removed", "reload  removed",
		}},
		"its manifest became invalid": {units.Desired{Apps: []units.App{lnd}, Invalid: []string{"old"}, Complete: true}, []string{
			"remove app@stopped.container removed", "remove archipelago-app.lnd.volume removed", "reload  removed", "leave  invalid-manifest",
		}},
		"only some apps are in scope": {units.Desired{Apps: []units.App{lnd}}, []string{
			"remove archipelago-app.lnd.volume removed", "reload  removed",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tt.lines, lines(decide(tt.want, have, nil, now))); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestOrphans: services that are not wanted and have no file are stopped, whether or not other
// files of the app exist; services that may be wanted stay.
func TestOrphans(t *testing.T) {
	gone := unit(func(u *units.Unit) { u.Loaded = false })
	have := units.Observed{
		Files: map[string]units.FoundFile{"archipelago-old.d.volume": {State: units.FileStale, App: "old"}},
		Units: map[string]units.Unit{
			"app@old.service": gone, "app@lnd.service": well, "app@lnd.dropped.service": gone, "app@invalid.part.service": gone, "app@theirs.service": well,
		},
	}
	want := units.Desired{Apps: []units.App{lnd}, Invalid: []string{"invalid"}, Complete: true}
	if d := cmp.Diff([]string{
		"stop app@lnd.dropped.service removed", "stop app@old.service removed",
		"remove archipelago-old.d.volume removed", "reload  removed", "leave  invalid-manifest",
	}, lines(decide(want, have, nil, now))); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestPulls: a failed pull unit is reset once its app lacks nothing or is not wanted, and not
// before.
func TestPulls(t *testing.T) {
	forget := func(why units.Reason) []string {
		return []string{"reset-failed archipelago-pull@lnd.service " + string(why)}
	}
	failed := units.Unit{Loaded: true, Active: units.Failed}
	for name, tt := range map[string]struct {
		app, pull units.Unit
		want      units.Desired
		files     map[string]units.FoundFile
		lines     []string
	}{
		"the app runs":       {app: well, pull: failed, lines: forget("prerequisites-ready")},
		"the app is removed": {pull: failed, want: units.Desired{Apps: []units.App{}}, lines: forget("removed")},
		"its manifest is invalid": {
			app: well, pull: failed, want: units.Desired{Apps: []units.App{}, Invalid: []string{"lnd"}}, lines: []string{"leave  invalid-manifest"},
		},
		"its files wait for it": {
			app: well, pull: failed, files: map[string]units.FoundFile{"app@lnd.container": {State: units.FileDiffers, App: "lnd"}},
			lines: []string{"write app@lnd.container file-differs", "reload  file-differs"},
		},
		"systemd restarts the app repeatedly": {
			app: units.Unit{Loaded: true, Active: units.Activating, Restarting: true}, pull: failed, lines: []string{"leave app@lnd.service restarted-by-systemd"},
		},
		"it is running": {app: well, pull: units.Unit{Loaded: true, NeedsReload: true, Active: units.Activating}},
	} {
		t.Run(name, func(t *testing.T) {
			have := units.Observed{Files: tt.files, Units: map[string]units.Unit{units.PullOf("lnd"): tt.pull}}
			if tt.app.Active != "" {
				have.Units["app@lnd.service"] = tt.app
			}
			tt.want.Complete = true
			if tt.want.Apps == nil {
				tt.want.Apps = []units.App{lnd}
			}
			if d := cmp.Diff(tt.lines, lines(decide(tt.want, have, nil, now))); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestParts: a start of the main service starts the others.
func TestParts(t *testing.T) {
	app := units.App{ID: "shop", Enabled: true, Parts: []units.Part{
		{Service: "app@shop.service", File: "app@shop.container", Digest: "new"},
		{Service: "app@shop.db.service", File: "app@shop.db.container", Digest: "new"},
	}}
	stopped := units.Unit{Loaded: true, Active: units.Inactive, Stopped: true}
	failed := units.Unit{Loaded: true, Active: units.Failed}
	old := unit(func(u *units.Unit) { u.Digest = "old" })
	for name, tt := range map[string]struct {
		main, db units.Unit
		want     []string
	}{
		"both changed":                 {old, old, []string{"restart app@shop.service digest-differs", "restart app@shop.db.service digest-differs"}},
		"only the database changed":    {well, old, []string{"restart app@shop.db.service digest-differs"}},
		"both stopped by the operator": {stopped, stopped, []string{"leave app@shop.service stopped-by-operator", "leave app@shop.db.service main-stopped"}},
		"the database alone stopped":   {well, stopped, []string{"leave app@shop.db.service stopped-by-operator"}},
		"the database failed": {well, failed, []string{
			"reset-failed app@shop.db.service failed", "start app@shop.db.service failed",
		}},
		"the database failed under a stopped app": {stopped, failed, []string{
			"leave app@shop.service stopped-by-operator", "leave app@shop.db.service main-stopped",
		}},
		"both failed": {failed, failed, []string{
			"reset-failed app@shop.db.service failed", "reset-failed app@shop.service failed", "start app@shop.service failed",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			have := units.Observed{Units: map[string]units.Unit{"app@shop.service": tt.main, "app@shop.db.service": tt.db}}
			if d := cmp.Diff(tt.want, lines(decide(units.Desired{Apps: []units.App{app}}, have, nil, now))); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestOrder: an app comes after the apps that it needs; otherwise ids decide.
func TestOrder(t *testing.T) {
	app := func(id string, needs ...string) units.App {
		return units.App{ID: id, Enabled: true, Needs: needs, Parts: []units.Part{{Service: id}}}
	}
	want := units.Desired{Apps: []units.App{app("a", "lnd"), app("lnd", "knots", "tor"), app("tor"), app("b", "absent"), app("knots")}}
	if d := cmp.Diff([]string{
		"start knots never-started", "start tor never-started", "start lnd never-started", "start a never-started", "start b never-started",
	}, lines(decide(want, units.Observed{}, nil, now))[1:]); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestBudget: the delays between repairs, and what ends a record.
func TestBudget(t *testing.T) {
	h := units.History{}
	delays := make([]time.Duration, 0, 12)
	at := now
	for range 12 {
		h.Repaired(lnd, units.ReasonNotServing, at)
		delays = append(delays, h["lnd"].Next().Sub(at))
		at = h["lnd"].Next()
	}
	s := time.Second
	if d := cmp.Diff([]time.Duration{10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 320 * s, 640 * s, 1280 * s, 2560 * s, 3600 * s, 3600 * s, 3600 * s}, delays); d != "" {
		t.Errorf("delays: -want +got:\n%s", d)
	}
	changed := lnd
	changed.ManifestDigest = "m2"
	h.Repaired(changed, units.ReasonNotServing, at)
	if got := h["lnd"].Tries; got != 1 {
		t.Errorf("%d tries after the manifest changed, want 1", got)
	}
	h.ExpireIfHealthy("lnd", at.Add(10*time.Minute-1))
	if len(h) != 1 {
		t.Error("the record is gone before ten minutes")
	}
	h.ExpireIfHealthy("lnd", at.Add(10*time.Minute))
	if len(h) != 0 {
		t.Errorf("history is %v after ten good minutes", h)
	}
	h.MarkPending(lnd, "app@lnd.service", "")
	h.ClearPending("lnd")
	if len(h) != 0 {
		t.Errorf("history is %v after a restart that was no repair", h)
	}
}
