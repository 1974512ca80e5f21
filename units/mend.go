package units

import (
	"slices"
	"strings"
)

// mends is the command that fixes a reason of the app ID, or shows what has to be fixed. A reason
// that ends by itself has none, nor one that no command of archgen fixes.
var mends = map[Reason]string{
	ReasonFileMissing:           "archgen apply",
	ReasonFileDiffers:           "archgen apply",
	ReasonFileNotRegular:        "archgen apply",
	ReasonRemoved:               "archgen apply",
	ReasonNotLoaded:             "archgen apply",
	ReasonNeedsReload:           "archgen apply",
	ReasonDigestDiffers:         "archgen apply",
	ReasonConfigDiffers:         "archgen apply",
	ReasonWatchedFileDiffers:    "archgen apply",
	ReasonReloadableFileDiffers: "archgen apply",
	ReasonNotGranted:            "archgen rights ID",
	ReasonInvalidManifest:       "archgen check",
	ReasonPullFailed:            "archgen pull ID",
	ReasonDisabled:              "archgen enable ID",
	ReasonStoppedByOperator:     "archgen start ID",
	ReasonNeverStarted:          "archgen start ID",
	ReasonFailed:                "archgen start ID",
	ReasonMainStopped:           "archgen start ID",
	ReasonPaused:                "archgen restart ID",
	ReasonNotServing:            "archgen restart ID",
	ReasonBackingOff:            "archgen restart ID",
	ReasonGaveUp:                "archgen restart ID",
	ReasonRolledBack:            "archgen restart ID",
	ReasonLegacy:                "archgen adopt ID",
	ReasonUnreadable:            "archgen restart ID",
	ReasonLimitReached:          "archgen doctor",
}

// Mend is the command that fixes the reason for the state of an app, empty if there is none.
func (r Reason) Mend(app string, scope Scope) string {
	command := strings.ReplaceAll(mends[r], "ID", app)
	if scope != System || command == "" {
		return command
	}
	words := strings.Fields(command) // archgen VERB [ID]
	return strings.Join(slices.Insert(words, 2, "--system"), " ")
}
