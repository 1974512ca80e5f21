package update

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Reason is why a release may be installed, or may not. Scripts may rely on the words.
type Reason string

// The reasons.
const (
	ComesWithImage Reason = "comes-with-image"
	UnderWay       Reason = "under-way"
	Own            Reason = "own"
	UnknownOrigin  Reason = "unknown-origin"
	Edited         Reason = "edited"
	Gone           Reason = "gone"
	Withdrawn      Reason = "withdrawn"
	Stale          Reason = "stale"
	Current        Reason = "current"
	Older          Reason = "older"
	NeedsOther     Reason = "needs-other"
	DoesNotFit     Reason = "does-not-fit"
	Hidden         Reason = "hidden"
	IsRefused      Reason = "refused"
	Masked         Reason = "masked"
	Stopped        Reason = "stopped"
	NoRoom         Reason = "no-room"
	NoSnapshot     Reason = "no-snapshot"
	WantsMore      Reason = "wants-more"
	OtherPublisher Reason = "other-publisher"
	OtherContract  Reason = "other-contract"
	OneWay         Reason = "one-way"
	Differs        Reason = "differs"
	Held           Reason = "held"
	Waiting        Reason = "waiting"
	PartlyHidden   Reason = "partly-hidden"
	NotSecurity    Reason = "not-security"
	Manual         Reason = "manual"
	NotServing     Reason = "not-serving"
	Ready          Reason = "ready"
	IsOnTrial      Reason = "on-trial"
)

// The words that --allow takes besides rights.
const (
	AllowPublisher = "publisher"
	AllowContract  = "contract"
	// AllowRoot is the right of a container to run as root that ran as another user.
	AllowRoot = "root"
)

// Installed is an app as it is installed.
type Installed struct {
	ID string
	// Version is that of its manifest, and Digest identifies the manifest with its files.
	Version, Digest string
	// Origin is the release that was installed, nil if that is unknown.
	Origin *Origin
	// IsOfImage: the manifest is in a directory of the operating system's image.
	IsOfImage bool
}

// Candidate is the release that the app's catalog has now.
type Candidate struct {
	Origin
	// FirstSeen is when this machine first saw it, the zero time if never.
	FirstSeen time.Time
	// Rollout is how long after that this machine is among those that take it.
	Rollout time.Duration
	// ClosesHole: an earlier release has a known hole that this one has not.
	ClosesHole bool
	// Withdrawn is why the author of the catalog says not to install it, empty if it may be.
	Withdrawn string
	// IsStale: its catalog has expired.
	IsStale bool
}

// Settings is what the manifest and its overlays say about updates.
type Settings struct {
	Policy string
	Wait   time.Duration
	Hold   *Hold
}

// Hold keeps an app at its version.
type Hold struct {
	// Until is the first day on which it is not held any more, as 2027-01-31. Empty is forever.
	Until, Why string
}

// isOver reports whether the day has come.
func (h Hold) isOver(now time.Time) bool {
	return h.Until != "" && now.Format(time.DateOnly) >= h.Until
}

// Right is a right that a release asks for and the installed one does not have.
type Right struct {
	// ID is KIND or KIND:SUBJECT.
	ID string `json:"id"`
	// Allows completes "the app can …".
	Allows string `json:"allows"`
}

// Facts is what else decides about a candidate.
type Facts struct {
	// Trial is when the trial of the installed release ends, the zero time if it is not on trial.
	Trial time.Time
	// IsUnderWay: an update of the app was begun and has not ended.
	IsUnderWay bool
	// RolledBack is an app that it needs, and whose update in this run was rolled back.
	RolledBack string
	// Misfit is the first error of the installed apps with the candidate, empty without one.
	Misfit string
	// Uncarried is why what was edited in the installed manifest can't be carried over to it, empty if it
	// can or nothing was edited.
	Uncarried string
	// Hidden is the places of edits and overlays that keep an image as it is, Kept those that keep another
	// value that it changes.
	Hidden, Kept []string
	// Refusal is why it was rolled back before, nil if it was not.
	Refusal *Refusal
	// Masked and Stopped: the app is not to run now. NotServing: it should, and is not up.
	Masked, Stopped, NotServing bool
	// Newer is the tags that follow those of an own manifest's images. IsAsked: registries were asked.
	Newer   []Tags
	IsAsked bool
	// Room is the room that an update needs in each file system. It is measured only when one is about to be
	// made.
	Room []Room
	// Unsaved is why no snapshot of the data can be taken that it converts, empty if one can. It is found
	// out only when an update is about to be made with a snapshot.
	Unsaved string
	// Rights is the rights that it asks for in addition.
	Rights []Right
	// Publishers is the publishers of images that are new to the app.
	Publishers []string
	// Lost is what others may rely on, and that it lacks.
	Lost []string
	// OneWay is why the data can't be restored that it converts, empty if it can or it converts none.
	OneWay string
}

// Room is how many bytes are needed, and how many are free.
type Room struct {
	// Path is a directory of the file system.
	Path       string
	Need, Free int64
}

// Finding is a reason with its details, in one sentence.
type Finding struct {
	Reason Reason `json:"reason"`
	Text   string `json:"text"`
}

// answer says whether a reason permits an update.
type answer int

const (
	no answer = iota
	yes
	// ifAllowed: with --allow. ifRetried: with --retry.
	ifAllowed
	ifRetried
)

// question is everything that a row can ask for.
type question struct {
	installed Installed
	candidate *Candidate
	settings  Settings
	facts     Facts
	now       time.Time
}

// row is one reason: when it applies, and to whom the update is permitted nevertheless.
type row struct {
	reason Reason
	// timer is the answer to an update that no operator asked for, all to one of all apps, and named to
	// one of this app.
	timer, all, named answer
	// isLast: no later row says anything of use.
	isLast  bool
	applies func(question) bool
	text    func(question) string
}

// rows is the policy. The first reason that applies is what an operator is told.
var rows = []row{
	{ComesWithImage, no, no, no, true, func(q question) bool { return q.installed.IsOfImage }, say("comes with the image of the operating system, and is updated with it")},
	{UnderWay, no, no, no, true, func(q question) bool { return q.facts.IsUnderWay }, say("an update was begun and has not ended; archgen apply completes it")},
	{IsOnTrial, no, no, no, true, isOnTrial, func(q question) string {
		return "up to date; on trial until " + q.facts.Trial.In(q.now.Location()).Format(time.DateTime)
	}},
	{UnknownOrigin, no, no, no, true, hasUnknownOrigin, say("it is unknown which release was installed; archgen install ID takes the one of the catalog")},
	{Own, no, no, no, true, func(q question) bool { return isOwn(q) && q.candidate == nil }, ownText},
	{Gone, no, no, no, true, func(q question) bool { return q.candidate == nil }, func(q question) string { return q.installed.Origin.Catalog + " does not have it any more" }},
	{Withdrawn, no, no, no, true, func(q question) bool { return q.candidate.Withdrawn != "" }, func(q question) string { return "withdrawn by the author of the catalog: " + q.candidate.Withdrawn }},
	{Current, no, no, no, true, func(q question) bool { return q.candidate.Digest == q.installed.Digest }, say("up to date")},
	{Current, no, no, no, true, isUnchanged, say("up to date; its manifest was edited here")},
	{Older, no, no, no, true, isOlder, func(q question) string { return "the catalog has an older release: " + q.candidate.String() }},
	{Edited, no, no, no, true, func(q question) bool { return q.facts.Uncarried != "" }, func(q question) string { return q.facts.Uncarried }},
	{Stale, no, no, no, false, func(q question) bool { return q.candidate.IsStale }, say("its catalog has expired; archgen catalog refresh")},
	{NeedsOther, no, no, no, false, func(q question) bool { return q.facts.RolledBack != "" }, func(q question) string { return q.facts.RolledBack + ", which it needs, was rolled back" }},
	{DoesNotFit, no, no, no, false, func(q question) bool { return q.facts.Misfit != "" }, func(q question) string { return "does not fit: " + q.facts.Misfit }},
	{Hidden, no, no, no, false, func(q question) bool { return len(q.facts.Hidden) > 0 }, func(q question) string {
		return "an edit or overlay keeps the image: " + strings.Join(q.facts.Hidden, ", ")
	}},
	{IsRefused, no, no, ifRetried, false, func(q question) bool { return q.facts.Refusal != nil }, refusedText},
	{Masked, no, no, no, false, func(q question) bool { return q.facts.Masked }, say("masked, so it can't be verified")},
	{Stopped, no, no, no, false, func(q question) bool { return q.facts.Stopped }, say("stopped, so it can't be verified; archgen start ID")},
	{NoRoom, no, no, no, false, func(q question) bool { return slices.ContainsFunc(q.facts.Room, Room.IsShort) }, noRoomText},
	{NoSnapshot, no, no, no, false, func(q question) bool { return q.facts.Unsaved != "" }, func(q question) string {
		return "its data can't be saved: " + q.facts.Unsaved + " (archgen update --without-snapshot " + q.installed.ID + ")"
	}},
	{WantsMore, no, no, ifAllowed, false, func(q question) bool { return len(q.facts.Rights) > 0 }, wantsMoreText},
	{OtherPublisher, no, no, ifAllowed, false, func(q question) bool { return len(q.facts.Publishers) > 0 }, func(q question) string {
		return "an image is from another publisher: " + strings.Join(q.facts.Publishers, ", ")
	}},
	{OtherContract, no, no, ifAllowed, false, func(q question) bool { return len(q.facts.Lost) > 0 }, func(q question) string { return "it lacks " + strings.Join(q.facts.Lost, ", ") }},
	{OneWay, no, no, yes, false, func(q question) bool { return q.facts.OneWay != "" }, func(q question) string {
		return "it converts the data, and there is no way back: " + q.facts.OneWay
	}},
	{Differs, no, no, yes, false, isOfUnknownOrder, say("the catalog has another text without a higher revision")},
	{Held, no, no, yes, false, isHeld, heldText},
	{Waiting, no, no, yes, false, isWaiting, waitingText},
	{PartlyHidden, yes, yes, yes, false, func(q question) bool { return len(q.facts.Kept) > 0 }, func(q question) string {
		return "ready; edits or overlays keep what it changes: " + strings.Join(q.facts.Kept, ", ")
	}},
	{NotSecurity, no, yes, yes, false, func(q question) bool { return q.settings.Policy == "security" && !q.candidate.ClosesHole }, say("ready; closes no known hole")},
	{Manual, no, yes, yes, false, isManual, manualText},
	{NotServing, yes, yes, yes, false, func(q question) bool { return q.facts.NotServing }, say("ready; it is not up now")},
	{Ready, yes, yes, yes, true, func(question) bool { return true }, say("ready")},
}

// Judge decides whether the release that the app's catalog has may be installed. Candidate is nil if
// the catalog has none. It returns at least one finding, the first one that an operator has to know.
func Judge(installed Installed, candidate *Candidate, settings Settings, facts Facts, now time.Time) []Finding {
	q := question{installed, candidate, settings, facts, now}
	var list []Finding
	for _, r := range rows {
		if r.reason == Ready && len(list) > 0 || !r.applies(q) {
			continue
		}
		list = append(list, Finding{r.reason, r.text(q)})
		if r.isLast {
			break
		}
	}
	return list
}

// Ask is how an update is asked for.
type Ask struct {
	// Named: an operator named the app. All: an operator asked for all apps. Otherwise no operator asked.
	Named, All bool
	// Retry: also a release that was refused.
	Retry bool
	// Allow is rights or kinds of rights, and the other words that --allow takes.
	Allow []string
}

// Blocking returns the first finding that does not permit an update that is asked for in a way, nil if
// it is permitted.
func Blocking(list []Finding, ask Ask, facts Facts) *Finding {
	for i, f := range list {
		if !ask.permits(f.Reason, facts) {
			return &list[i]
		}
	}
	return nil
}

func (a Ask) permits(reason Reason, facts Facts) bool {
	i := slices.IndexFunc(rows, func(r row) bool { return r.reason == reason })
	answered := rows[i].timer
	switch {
	case a.Named:
		answered = rows[i].named
	case a.All:
		answered = rows[i].all
	}
	switch answered {
	case ifAllowed:
		return a.allows(reason, facts)
	case ifRetried:
		return a.Retry
	case yes, no:
	}
	return answered == yes
}

// words is what --allow takes for reasons that are not about rights.
var words = map[Reason]string{OtherPublisher: AllowPublisher, OtherContract: AllowContract}

// allows reports whether everything that a reason is about was allowed.
func (a Ask) allows(reason Reason, facts Facts) bool {
	if word := words[reason]; word != "" {
		return slices.Contains(a.Allow, word)
	}
	return !slices.ContainsFunc(facts.Rights, func(r Right) bool { return !a.lists(r.ID) })
}

// lists reports whether a right is allowed by its ID or its kind.
func (a Ask) lists(id string) bool {
	kind, _, _ := strings.Cut(id, ":")
	return slices.Contains(a.Allow, id) || slices.Contains(a.Allow, kind)
}

// IsAvailable reports whether there is a release that is newer, or may be.
func IsAvailable(list []Finding) bool {
	i := slices.IndexFunc(rows, func(r row) bool { return r.reason == list[0].Reason })
	return !rows[i].isLast || list[0].Reason == Ready || list[0].Reason == Edited
}

// IsReady reports whether an update of all apps installs the release.
func IsReady(list []Finding) bool { return Blocking(list, Ask{All: true}, Facts{}) == nil }

// say is a text in which ID stands for the app.
func say(text string) func(question) string {
	return func(q question) string { return strings.ReplaceAll(text, "ID", q.installed.ID) }
}

func hasUnknownOrigin(q question) bool {
	return q.installed.Origin == nil && q.candidate != nil && q.candidate.Digest != q.installed.Digest
}

// isOwn: it was installed from a file, or the catalogs have no app of its id.
func isOwn(q question) bool {
	return q.installed.Origin == nil && q.candidate == nil || q.installed.Origin != nil && q.installed.Origin.Catalog == ""
}

func isOnTrial(q question) bool {
	if q.facts.Trial.IsZero() || q.installed.Origin == nil {
		return false
	}
	if q.candidate == nil {
		return isOwn(q)
	}
	return q.candidate.Withdrawn == "" && isUnchanged(q)
}

// isUnchanged: the catalog has what was installed.
func isUnchanged(q question) bool { return q.candidate.Digest == q.installed.Origin.Digest }

func isOlder(q question) bool { return q.candidate.Revision < q.installed.Origin.Revision }

func isOfUnknownOrder(q question) bool {
	return q.candidate.Revision == q.installed.Origin.Revision && !isOwn(q)
}

// isManual: an operator decides about all releases, or no catalog vouches for this one.
func isManual(q question) bool {
	return isOwn(q) || q.settings.Policy != "auto" && q.settings.Policy != "security" && q.settings.Policy != "hold"
}

func isHeld(q question) bool {
	return q.settings.Policy == "hold" || q.settings.Hold != nil && !q.settings.Hold.isOver(q.now)
}

func heldText(q question) string {
	text, mend := "held", "update.policy"
	if h := q.settings.Hold; h != nil && !h.isOver(q.now) {
		mend = "archgen unhold " + q.installed.ID
		if h.Until != "" {
			text += " until " + h.Until
		}
		if h.Why != "" {
			text += ": " + h.Why
		}
	}
	return text + " (" + mend + ")"
}

// due is when a release has been known for long enough, for the app and for the rollout of the catalog.
func due(q question) time.Time {
	seen := q.candidate.FirstSeen
	if seen.IsZero() || seen.After(q.now) { // a clock that was wrong must not make it wait forever
		seen = q.now
	}
	return seen.Add(max(q.settings.Wait, q.candidate.Rollout))
}

func isWaiting(q question) bool {
	return max(q.settings.Wait, q.candidate.Rollout) > 0 && !q.candidate.ClosesHole && q.now.Before(due(q))
}

func waitingText(q question) string {
	of := "update.wait"
	if q.candidate.Rollout > q.settings.Wait {
		of = "rollout of the catalog"
	}
	return "waits until " + due(q).Format("2006-01-02 15:04") + " (" + of + ")"
}

func refusedText(q question) string {
	return fmt.Sprintf("refused on %s: %s (archgen update --retry %s)", q.facts.Refusal.At.In(q.now.Location()).Format(time.DateOnly), q.facts.Refusal.Why, q.installed.ID)
}

func ownText(q question) string {
	const text = "an own manifest, which no catalog updates"
	switch {
	case !q.facts.IsAsked:
		return "an own manifest; archgen updates --refresh asks its registries"
	case len(q.facts.Newer) == 0:
		return text
	}
	return text + "; " + newer(q)
}

func manualText(q question) string {
	if len(q.facts.Newer) == 0 {
		return "ready"
	}
	return "ready; " + newer(q)
}

// newer is what registries have.
func newer(q question) string {
	list := make([]string, 0, len(q.facts.Newer))
	for _, t := range q.facts.Newer {
		list = append(list, t.String())
	}
	return "registries have " + strings.Join(list, ", ")
}

// IsShort reports whether the file system has not the room.
func (r Room) IsShort() bool { return r.Free < r.Need }

func noRoomText(q question) string {
	i := slices.IndexFunc(q.facts.Room, Room.IsShort)
	r := q.facts.Room[i]
	return fmt.Sprintf("it may need %s in the file system of %s, which has %s free", readable(r.Need), r.Path, readable(r.Free))
}

// readable is a number of bytes for people.
func readable(bytes int64) string {
	if gib := float64(bytes) / (1 << 30); gib < 1000 {
		return fmt.Sprintf("%.2f GiB", gib)
	}
	return fmt.Sprintf("%.2f TiB", float64(bytes)/(1<<40))
}

func wantsMoreText(q question) string {
	list := make([]string, 0, len(q.facts.Rights))
	for _, r := range q.facts.Rights {
		list = append(list, r.ID)
	}
	return "asks for more: " + strings.Join(list, ", ")
}
