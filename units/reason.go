package units

// Reason says why. Its text is part of the contract of the journal and of reports.
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
	ReasonHealthySinceRestart    Reason = "healthy-since-restart"
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
	ReasonNeedRolledBack         Reason = "need-rolled-back"
	ReasonMainStopped            Reason = "main-stopped"
	ReasonPulling                Reason = "pulling"
	ReasonPullFailed             Reason = "pull-failed"
	ReasonMayLack                Reason = "may-lack-prerequisites"
	ReasonPrerequisitesReady     Reason = "prerequisites-ready"
	ReasonLegacy                 Reason = "legacy"
	ReasonAdopted                Reason = "adopted"
	ReasonAdoptionReverted       Reason = "adoption-reverted"
	ReasonNoWatchInstance        Reason = "no-inotify-instance"
	ReasonNoWatch                Reason = "no-inotify-watch"
	ReasonNotWatched             Reason = "not-watched"
	ReasonUnreadable             Reason = "unreadable"
	ReasonLimitReached           Reason = "limit-reached"
	ReasonLimitRaised            Reason = "limit-raised"
)

// Meanings explains each reason.
var Meanings = []struct {
	Reason  Reason
	Meaning string
}{
	{ReasonFileMissing, "a unit file is missing"},
	{ReasonFileDiffers, "a unit file differs from the manifest: the file or the manifest was edited"},
	{ReasonFileNotRegular, "a link, a directory or damaged data is where a unit file belongs"},
	{ReasonFileForeign, "a file that archgen did not write has the name of a unit file; move it away"},
	{ReasonRemoved, "its manifest was removed"},
	{ReasonNotGranted, "it needs a right that is not granted"},
	{ReasonGrantsUnrecorded, "it has rights that no grants.toml holds yet: from before there were grants, or from the catalog"},
	{ReasonNotLoaded, "systemd has not loaded the unit"},
	{ReasonNeedsReload, "systemd has not read the unit file since it changed"},
	{ReasonDigestDiffers, "the container was started from an earlier unit file"},
	{ReasonConfigDiffers, "a configuration file or a secret changed since it started"},
	{ReasonWatchedFileDiffers, "a file that another app writes for it, or the address of an app that it follows, changed since it started"},
	{ReasonReloadableFileDiffers, "a configuration file that it reads without a restart changed"},
	{ReasonConfigUnknown, "archgen can't render its configuration files, for example because a secret is missing"},
	{ReasonPaused, "its container is paused"},
	{ReasonNotServing, "it runs, and has failed its probe as often as its manifest allows"},
	{ReasonDependencyRestarted, "it stopped serving when a container of the same app restarted"},
	{ReasonNotAnsweringYet, "it runs, and its probe fails, but not as often as its manifest allows"},
	{ReasonLoading, "it answers that it is not ready yet"},
	{ReasonStarting, "systemd is starting it"},
	{ReasonDependencyStarting, "it restarts with its new configuration once the containers of the same app that it is ordered after are up"},
	{ReasonStopping, "systemd is stopping it"},
	{ReasonJobUnderWay, "systemd has a queued or running job for it; see systemctl list-jobs"},
	{ReasonRestartedBySystemd, "it exited, and systemd restarts it"},
	{ReasonChangedWhileRestarting, "its files changed while systemd restarts it repeatedly"},
	{ReasonHealthySinceRestart, "it has been healthy for ten minutes since systemd restarted it: the delay before the next restart is the shortest again"},
	{ReasonFailed, "it exited, and systemd does not restart it"},
	{ReasonNeverStarted, "it has not been started since the boot or its installation"},
	{ReasonStoppedByOperator, "stopped by an operator, or exited as configured"},
	{ReasonDisabled, "it is disabled and does not start by itself"},
	{ReasonMasked, "its unit is masked, and systemd does not start it"},
	{ReasonNeedsUser, "it waits for a person, for example to unlock a wallet"},
	{ReasonInvalidManifest, "its manifest has an error, so it stays as it was"},
	{ReasonBackingOff, "it was repaired recently; the next repair waits"},
	{ReasonGaveUp, "repairs did not help; archgen repairs it once an hour"},
	{ReasonAsked, "a person asked for it"},
	{ReasonRolledBack, "it did not serve after its last change and has its last good files"},
	{ReasonNeedRolledBack, "an app that it needs was rolled back while it started"},
	{ReasonMainStopped, "the main container of the app is stopped"},
	{ReasonPulling, "archgen is pulling images or creating secrets for it"},
	{ReasonPullFailed, "an image or a secret is unavailable"},
	{ReasonMayLack, "an image or a secret may be missing; archgen acquires it before it changes the app"},
	{ReasonPrerequisitesReady, "its images and secrets are available"},
	{ReasonLegacy, "a container that archgen did not create has its name"},
	{ReasonAdopted, "it serves and replaces such a container"},
	{ReasonAdoptionReverted, "it did not serve when it replaced such a container, which is restored"},
	{ReasonNoWatchInstance, "changes are found late: the user has no inotify instance left (fs.inotify.max_user_instances)"},
	{ReasonNoWatch, "changes are found late: the user has no inotify watch left (fs.inotify.max_user_watches)"},
	{ReasonNotWatched, "changes are found late: a watch of files failed"},
	{ReasonUnreadable, "the state of its container can't be read, so it stays as it is"},
	{ReasonLimitReached, "a limit of the machine, such as that of kernel keys, keeps its container from starting; it starts by itself once the limit is raised"},
	{ReasonLimitRaised, "the limit that kept its container from starting has room again"},
}

// Meaning explains a reason. It is empty for an unknown one.
func (r Reason) Meaning() string {
	for _, m := range Meanings {
		if m.Reason == r {
			return m.Meaning
		}
	}
	return ""
}
