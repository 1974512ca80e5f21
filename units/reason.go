package units

import "strings"

// Reason says why. Tests, journal entries and reports rely on the words.
type Reason string

// The reasons.
const (
	BecauseMissing     Reason = "file-missing"
	BecauseDiffers     Reason = "file-differs"
	BecauseOdd         Reason = "file-odd"
	BecauseForeign     Reason = "file-foreign"
	BecauseRemoved     Reason = "removed"
	BecauseNotGranted  Reason = "not-granted"
	BecauseUnrecorded  Reason = "grants-unrecorded"
	BecauseNotLoaded   Reason = "not-loaded"
	BecauseOutdated    Reason = "needs-reload"
	BecauseDigest      Reason = "digest-differs"
	BecauseConfig      Reason = "config-differs"
	BecauseWatched     Reason = "watched-file-differs"
	BecauseReloadable  Reason = "reloadable-file-differs"
	BecauseNoConfig    Reason = "config-unknown"
	BecausePaused      Reason = "paused"
	BecauseSick        Reason = "not-serving"
	BecauseStale       Reason = "dependency-restarted"
	BecauseUnsure      Reason = "not-answering-yet"
	BecauseLoading     Reason = "loading"
	BecauseStarting    Reason = "starting"
	BecauseWaiting     Reason = "dependency-starting"
	BecauseStopping    Reason = "stopping"
	BecauseJob         Reason = "job-under-way"
	BecauseCrashing    Reason = "restarted-by-systemd"
	BecauseMended      Reason = "changed-while-restarting"
	BecauseFailed      Reason = "failed"
	BecauseNeverRan    Reason = "never-started"
	BecauseStopped     Reason = "stopped-by-operator"
	BecauseDisabled    Reason = "disabled"
	BecauseMasked      Reason = "masked"
	BecauseNeedsUser   Reason = "needs-user"
	BecauseInvalid     Reason = "invalid-manifest"
	BecauseBackingOff  Reason = "backing-off"
	BecauseGaveUp      Reason = "gave-up"
	BecauseAsked       Reason = "asked"
	BecauseRolledBack  Reason = "rolled-back"
	BecauseMainStopped Reason = "main-stopped"
	BecausePulling     Reason = "pulling"
	BecausePullFailed  Reason = "pull-failed"
	BecauseSupplied    Reason = "supplied"
	BecauseLegacy      Reason = "legacy"
	BecauseAdopted     Reason = "adopted"
	BecauseLegacyRuns  Reason = "legacy-has-its-place"
)

// Meanings says what each reason means and, where a person may want to end it, by which
// command for the app ID.
var Meanings = []struct {
	Reason  Reason
	Meaning string
}{
	{BecauseMissing, "a unit file is not there"},
	{BecauseDiffers, "a unit file is not as the manifest says: it was edited, or the manifest was"},
	{BecauseOdd, "a link, a directory or junk is in the place of a unit file"},
	{BecauseForeign, "somebody else's file has the name of a unit file; move it away"},
	{BecauseRemoved, "its manifest is gone"},
	{BecauseNotGranted, "it asks for a right that nobody has granted, or that was revoked; archgen rights ID"},
	{BecauseUnrecorded, "it has rights that are in no grants.toml yet: those of before there were grants, or of the catalog"},
	{BecauseNotLoaded, "systemd does not know the unit"},
	{BecauseOutdated, "systemd has not read the unit file since it changed"},
	{BecauseDigest, "the container was started from another unit file"},
	{BecauseConfig, "a configuration file or secret is another than when it started"},
	{BecauseWatched, "what another app writes for it is another than when it started"},
	{BecauseReloadable, "a configuration file that it reads again without a restart is another than it has read"},
	{BecauseNoConfig, "what its configuration files should hold can't be told"},
	{BecausePaused, "its container is paused"},
	{BecauseSick, "it runs, and has not answered as often as its manifest allows"},
	{BecauseStale, "it has not served since a container of the same app was restarted"},
	{BecauseUnsure, "it does not answer, but not for long"},
	{BecauseLoading, "it answers that it is not ready yet"},
	{BecauseStarting, "systemd starts it"},
	{BecauseWaiting, "it is restarted for its configuration once the containers of the same app are up that it is started after"},
	{BecauseStopping, "systemd stops it"},
	{BecauseJob, "systemd has a job for it that is not done yet: see systemctl list-jobs"},
	{BecauseCrashing, "it ended by itself, and systemd starts it again"},
	{BecauseMended, "its files changed while systemd starts it again and again"},
	{BecauseFailed, "it ended by itself, and systemd does not start it again"},
	{BecauseNeverRan, "it has not run since the machine came up, or since it was installed"},
	{BecauseStopped, "somebody stopped it, or it was to end and did; archgen start ID"},
	{BecauseDisabled, "it is not to start by itself; archgen enable ID"},
	{BecauseMasked, "somebody has forbidden systemd to start it"},
	{BecauseNeedsUser, "it waits for a person, such as for the password of a wallet"},
	{BecauseInvalid, "its manifest has an error, so it stays as it last was; archgen check"},
	{BecauseBackingOff, "it was repaired lately; the next try comes later"},
	{BecauseGaveUp, "repairs did not help; one more is tried every hour"},
	{BecauseAsked, "a person asked for it"},
	{BecauseRolledBack, "it did not serve after its last change, and runs as before"},
	{BecauseMainStopped, "the app's main container is stopped"},
	{BecausePulling, "images or secrets that it lacks are being got"},
	{BecausePullFailed, "images or secrets that it lacks can't be had; archgen pull ID"},
	{BecauseSupplied, "it lacks nothing any more"},
	{BecauseLegacy, "a container that is not ours has its name"},
	{BecauseAdopted, "it serves in the place of such a container"},
	{BecauseLegacyRuns, "it did not serve in the place of such a container, which runs again"},
}

// Meaning is what a reason means for an app, empty where it is none.
func (r Reason) Meaning(app string) string {
	for _, m := range Meanings {
		if m.Reason == r {
			return strings.ReplaceAll(m.Meaning, "ID", app)
		}
	}
	return ""
}
