package units

// Reason says why. Tests, journal entries and reports rely on the words.
type Reason string

// The reasons.
const (
	ReasonFileMissing            Reason = "file-missing"
	ReasonFileDiffers            Reason = "file-differs"
	ReasonFileNotRegular         Reason = "file-not-regular"
	ReasonFileForeign            Reason = "file-foreign"
	ReasonRemoved                Reason = "removed"
	ReasonNotGranted             Reason = "not-granted"
	ReasonGrantsUnrecorded       Reason = "grants-unrecorded"
	ReasonNotLoaded              Reason = "not-loaded"
	ReasonNeedsReload            Reason = "needs-reload"
	ReasonDigestDiffers          Reason = "digest-differs"
	ReasonConfigDiffers          Reason = "config-differs"
	ReasonWatchedFileDiffers     Reason = "watched-file-differs"
	ReasonReloadableFileDiffers  Reason = "reloadable-file-differs"
	ReasonConfigUnknown          Reason = "config-unknown"
	ReasonPaused                 Reason = "paused"
	ReasonNotServing             Reason = "not-serving"
	ReasonDependencyRestarted    Reason = "dependency-restarted"
	ReasonNotAnsweringYet        Reason = "not-answering-yet"
	ReasonLoading                Reason = "loading"
	ReasonStarting               Reason = "starting"
	ReasonDependencyStarting     Reason = "dependency-starting"
	ReasonStopping               Reason = "stopping"
	ReasonJobUnderWay            Reason = "job-under-way"
	ReasonRestartedBySystemd     Reason = "restarted-by-systemd"
	ReasonChangedWhileRestarting Reason = "changed-while-restarting"
	ReasonFailed                 Reason = "failed"
	ReasonNeverStarted           Reason = "never-started"
	ReasonStoppedByOperator      Reason = "stopped-by-operator"
	ReasonDisabled               Reason = "disabled"
	ReasonMasked                 Reason = "masked"
	ReasonNeedsUser              Reason = "needs-user"
	ReasonInvalidManifest        Reason = "invalid-manifest"
	ReasonBackingOff             Reason = "backing-off"
	ReasonGaveUp                 Reason = "gave-up"
	ReasonAsked                  Reason = "asked"
	ReasonRolledBack             Reason = "rolled-back"
	ReasonMainStopped            Reason = "main-stopped"
	ReasonPulling                Reason = "pulling"
	ReasonPullFailed             Reason = "pull-failed"
	ReasonMayLack                Reason = "may-lack-prerequisites"
	ReasonPrerequisitesReady     Reason = "prerequisites-ready"
	ReasonLegacy                 Reason = "legacy"
	ReasonAdopted                Reason = "adopted"
	ReasonAdoptionReverted       Reason = "adoption-reverted"
)

// Meanings says what each reason means.
var Meanings = []struct {
	Reason  Reason
	Meaning string
}{
	{ReasonFileMissing, "a unit file is not there"},
	{ReasonFileDiffers, "a unit file is not as the manifest says: it was edited, or the manifest was"},
	{ReasonFileNotRegular, "a link, a directory or junk is in the place of a unit file"},
	{ReasonFileForeign, "somebody else's file has the name of a unit file; move it away"},
	{ReasonRemoved, "its manifest is gone"},
	{ReasonNotGranted, "it asks for a right that nobody has granted, or that was revoked"},
	{ReasonGrantsUnrecorded, "it has rights that are in no grants.toml yet: those of before there were grants, or of the catalog"},
	{ReasonNotLoaded, "systemd does not know the unit"},
	{ReasonNeedsReload, "systemd has not read the unit file since it changed"},
	{ReasonDigestDiffers, "the container was started from another unit file"},
	{ReasonConfigDiffers, "a configuration file or secret is another than when it started"},
	{ReasonWatchedFileDiffers, "what another app writes for it is another than when it started"},
	{ReasonReloadableFileDiffers, "a configuration file that it reads again without a restart is another than it has read"},
	{ReasonConfigUnknown, "what its configuration files should hold can't be told"},
	{ReasonPaused, "its container is paused"},
	{ReasonNotServing, "it runs, and has not answered as often as its manifest allows"},
	{ReasonDependencyRestarted, "it has not served since a container of the same app was restarted"},
	{ReasonNotAnsweringYet, "it does not answer, but not for long"},
	{ReasonLoading, "it answers that it is not ready yet"},
	{ReasonStarting, "systemd starts it"},
	{ReasonDependencyStarting, "it is restarted for its configuration once the containers of the same app are up that it is started after"},
	{ReasonStopping, "systemd stops it"},
	{ReasonJobUnderWay, "systemd has a job for it that is not done yet: see systemctl list-jobs"},
	{ReasonRestartedBySystemd, "it ended by itself, and systemd starts it again"},
	{ReasonChangedWhileRestarting, "its files changed while systemd starts it again and again"},
	{ReasonFailed, "it ended by itself, and systemd does not start it again"},
	{ReasonNeverStarted, "it has not run since the machine came up, or since it was installed"},
	{ReasonStoppedByOperator, "somebody stopped it, or it was to end and did"},
	{ReasonDisabled, "it is not to start by itself"},
	{ReasonMasked, "somebody has forbidden systemd to start it"},
	{ReasonNeedsUser, "it waits for a person, such as for the password of a wallet"},
	{ReasonInvalidManifest, "its manifest has an error, so it stays as it last was"},
	{ReasonBackingOff, "it was repaired lately; the next try comes later"},
	{ReasonGaveUp, "repairs did not help; one more is tried every hour"},
	{ReasonAsked, "a person asked for it"},
	{ReasonRolledBack, "it did not serve after its last change, and runs as before"},
	{ReasonMainStopped, "the app's main container is stopped"},
	{ReasonPulling, "images or secrets that it lacks are being got"},
	{ReasonPullFailed, "images or secrets that it lacks can't be had"},
	{ReasonMayLack, "images or secrets that it needs may be missing; what is missing is got before anything is changed"},
	{ReasonPrerequisitesReady, "it lacks nothing any more"},
	{ReasonLegacy, "a container that is not ours has its name"},
	{ReasonAdopted, "it serves in the place of such a container"},
	{ReasonAdoptionReverted, "it did not serve in the place of such a container, which runs again"},
}

// Meaning is what a reason means, empty where it is none.
func (r Reason) Meaning() string {
	for _, m := range Meanings {
		if m.Reason == r {
			return m.Meaning
		}
	}
	return ""
}
