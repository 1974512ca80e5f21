package update

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestJudge has a case for each reason, and for the order in which they are told.
func TestJudge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 3, 30, 0, 0, time.UTC)
	one := Origin{Catalog: "archgen", Revision: 1, Version: "1.0", Digest: "a"}
	two := Candidate{Origin: Origin{Catalog: "archgen", Revision: 2, Version: "2.0", Digest: "b"}, FirstSeen: now.Add(-20 * time.Hour)}
	own := Origin{Version: "1.0", Digest: "a"}
	web := Installed{ID: "web", Version: "1.0", Digest: "a", Origin: &one}
	auto := Settings{Policy: "auto"}
	// question is what Judge is asked.
	type question struct {
		installed Installed
		candidate *Candidate
		settings  Settings
		facts     Facts
	}
	for what, c := range map[string]struct {
		change func(*question)
		want   []Finding
	}{
		"a newer release": {func(*question) {}, []Finding{{Ready, "ready"}}},
		"the manifest is in the image": {
			func(q *question) { q.installed.IsOfImage = true },
			[]Finding{{ComesWithImage, "comes with the image of the operating system, and is updated with it"}},
		},
		"installed before origins were recorded": {
			func(q *question) { q.installed.Origin = nil },
			[]Finding{{UnknownOrigin, "it is unknown which release was installed; archgen install web takes the one of the catalog"}},
		},
		"installed before, and the same as in the catalog": {
			func(q *question) { q.installed.Origin, q.installed.Digest = nil, "b" },
			[]Finding{{Current, "up to date"}},
		},
		"installed from a file": {
			func(q *question) { q.installed.Origin, q.candidate = &own, nil },
			[]Finding{{Own, "an own manifest; archgen updates --refresh asks its registries"}},
		},
		"registries have nothing newer": {
			func(q *question) { q.installed.Origin, q.candidate, q.facts.IsAsked = &own, nil, true },
			[]Finding{{Own, "an own manifest, which no catalog updates"}},
		},
		"registries have newer images": {
			func(q *question) {
				q.installed.Origin, q.candidate.Origin, q.facts.IsAsked = &own, Origin{Version: "1.1", Digest: "b"}, true
				q.facts.Newer = []Tags{{Image: "docker.io/x:1.0", Newest: "1.1", Digest: "sha256:0"}, {Image: "docker.io/y:1", Digest: "sha256:1", Major: "2"}}
			},
			[]Finding{{Manual, "ready; registries have docker.io/x:1.1, docker.io/y:1 with another digest, and 2"}},
		},
		"newer images on trial": {
			func(q *question) {
				q.installed.Origin, q.candidate, q.facts.Trial = &own, nil, now.Add(time.Minute)
			},
			[]Finding{{IsOnTrial, "up to date; on trial until " + now.Add(time.Minute).Format(time.DateTime)}},
		},
		"registries have another major version": {
			func(q *question) {
				q.installed.Origin, q.candidate, q.facts.IsAsked = &own, nil, true
				q.facts.Newer = []Tags{{Image: "docker.io/x:1.0", Newest: "1.1", Major: "2.0"}, {Image: "docker.io/y:1", Major: "2"}}
			},
			[]Finding{{Own, "an own manifest, which no catalog updates; registries have docker.io/x:1.1 and 2.0, docker.io/y:2"}},
		},
		"written by hand": {
			func(q *question) { q.installed.Origin, q.candidate, q.facts.IsAsked = nil, nil, true },
			[]Finding{{Own, "an own manifest, which no catalog updates"}},
		},
		"gone from the catalog": {
			func(q *question) { q.candidate = nil },
			[]Finding{{Gone, "archgen does not have it any more"}},
		},
		"withdrawn": {
			func(q *question) { q.candidate.Withdrawn = "it loses data" },
			[]Finding{{Withdrawn, "withdrawn by the author of the catalog: it loses data"}},
		},
		"the catalog has expired": {
			func(q *question) { q.candidate.IsStale = true },
			[]Finding{{Stale, "its catalog has expired; archgen catalog refresh"}},
		},
		"the same release": {func(q *question) { q.candidate.Origin = one }, []Finding{{Current, "up to date"}}},
		"the same release, on trial": {
			func(q *question) { q.candidate.Origin, q.facts.Trial = one, now.Add(time.Minute) },
			[]Finding{{IsOnTrial, "up to date; on trial until " + now.Add(time.Minute).Format(time.DateTime)}},
		},
		"the same release, edited and on trial": {
			func(q *question) {
				q.candidate.Origin, q.installed.Digest, q.facts.Trial = one, "mine", now.Add(time.Minute)
			},
			[]Finding{{IsOnTrial, "up to date; on trial until " + now.Add(time.Minute).Format(time.DateTime)}},
		},
		"the same release, edited": {
			func(q *question) { q.candidate.Origin, q.installed.Digest = one, "mine" },
			[]Finding{{Current, "up to date; its manifest was edited here"}},
		},
		"an older release":     {func(q *question) { q.installed.Origin.Revision = 3 }, []Finding{{Older, "the catalog has an older release: 2.0 (revision 2)"}}},
		"no revision any more": {func(q *question) { q.candidate.Revision = 0 }, []Finding{{Older, "the catalog has an older release: 2.0"}}},
		"edited": {
			func(q *question) { q.installed.Digest, q.facts.Uncarried = "mine", "web.files/a was edited" },
			[]Finding{{Edited, "web.files/a was edited"}},
		},
		"an update is under way": {
			func(q *question) { q.facts.IsUnderWay = true },
			[]Finding{{UnderWay, "an update was begun and has not ended; archgen apply completes it"}},
		},
		"a provider was rolled back": {func(q *question) { q.facts.RolledBack = "node" }, []Finding{{NeedsOther, "node, which it needs, was rolled back"}}},
		"an error": {
			func(q *question) { q.facts.Misfit = "web.yaml:3:5: error: x" },
			[]Finding{{DoesNotFit, "does not fit: web.yaml:3:5: error: x"}},
		},
		"what was edited is carried over": {func(q *question) { q.installed.Digest = "mine" }, []Finding{{Ready, "ready"}}},
		"an overlay":                      {func(q *question) { q.facts.Hidden = []string{"web.d/a.yaml:2"} }, []Finding{{Hidden, "an edit or overlay keeps the image: web.d/a.yaml:2"}}},
		"an overlay of a variable": {
			func(q *question) { q.facts.Kept = []string{"app.container.env.A (web.d/a.yaml:2)"} },
			[]Finding{{PartlyHidden, "ready; edits or overlays keep what it changes: app.container.env.A (web.d/a.yaml:2)"}},
		},
		"rolled back before": {
			func(q *question) { q.facts.Refusal = &Refusal{At: now.AddDate(0, 0, -3), Why: "it did not serve"} },
			[]Finding{{IsRefused, "refused on 2026-11-28: it did not serve (archgen update --retry web)"}},
		},
		"masked":  {func(q *question) { q.facts.Masked = true }, []Finding{{Masked, "masked, so it can't be verified"}}},
		"stopped": {func(q *question) { q.facts.Stopped = true }, []Finding{{Stopped, "stopped, so it can't be verified; archgen start web"}}},
		"no room": {
			func(q *question) {
				q.facts.Room = []Room{{"/", 1 << 30, 1 << 30}, {"/home", 5 << 29, 1<<30 - 1<<26}}
			},
			[]Finding{{NoRoom, "it may need 2.50 GiB in the file system of /home, which has 0.94 GiB free"}},
		},
		"room enough": {func(q *question) { q.facts.Room = []Room{{"/", 1 << 30, 1 << 30}} }, []Finding{{Ready, "ready"}}},
		"data that can't be saved": {
			func(q *question) { q.facts.Unsaved = "web.data: it is on a device" },
			[]Finding{{NoSnapshot, "its data can't be saved: web.data: it is on a device (archgen update --without-snapshot web)"}},
		},
		"more rights": {
			func(q *question) { q.facts.Rights = []Right{{ID: "onion:80"}, {ID: "listen:0.0.0.0:80/tcp"}} },
			[]Finding{{WantsMore, "asks for more: onion:80, listen:0.0.0.0:80/tcp"}},
		},
		"another publisher": {
			func(q *question) { q.facts.Publishers = []string{"docker.io/else"} },
			[]Finding{{OtherPublisher, "an image is from another publisher: docker.io/else"}},
		},
		"less than before": {
			func(q *question) { q.facts.Lost = []string{"capability page"} },
			[]Finding{{OtherContract, "it lacks capability page"}},
		},
		"no way back": {
			func(q *question) { q.facts.OneWay = "it has no volume" },
			[]Finding{{OneWay, "it converts the data, and there is no way back: it has no volume"}},
		},
		"the same revision": {
			func(q *question) { q.candidate.Revision = 1 },
			[]Finding{{Differs, "the catalog has another text without a higher revision"}},
		},
		"held": {func(q *question) { q.settings.Hold = &Hold{} }, []Finding{{Held, "held (archgen unhold web)"}}},
		"held for a while": {
			func(q *question) { q.settings.Hold = &Hold{Until: "2026-12-02", Why: "guards"} },
			[]Finding{{Held, "held until 2026-12-02: guards (archgen unhold web)"}},
		},
		"held until today": {func(q *question) { q.settings.Hold = &Hold{Until: "2026-12-01"} }, []Finding{{Ready, "ready"}}},
		"held by policy":   {func(q *question) { q.settings.Policy = "hold" }, []Finding{{Held, "held (update.policy)"}}},
		"not known for long": {
			func(q *question) { q.settings.Wait = 48 * time.Hour },
			[]Finding{{Waiting, "waits until 2026-12-02 07:30 (update.wait)"}},
		},
		"known for long": {func(q *question) { q.settings.Wait = 20 * time.Hour }, []Finding{{Ready, "ready"}}},
		"the clock was ahead": {
			func(q *question) { q.settings.Wait, q.candidate.FirstSeen = time.Hour, now.AddDate(9, 0, 0) },
			[]Finding{{Waiting, "waits until 2026-12-01 04:30 (update.wait)"}},
		},
		"it is not the machine's turn": {
			func(q *question) { q.candidate.Rollout = 48 * time.Hour },
			[]Finding{{Waiting, "waits until 2026-12-02 07:30 (rollout of the catalog)"}},
		},
		"a turn within the wait": {
			func(q *question) { q.settings.Wait, q.candidate.Rollout = 48*time.Hour, time.Hour },
			[]Finding{{Waiting, "waits until 2026-12-02 07:30 (update.wait)"}},
		},
		"it was the machine's turn": {func(q *question) { q.candidate.Rollout = time.Hour }, []Finding{{Ready, "ready"}}},
		"security does not wait": {
			func(q *question) {
				q.settings, q.candidate.ClosesHole, q.candidate.Rollout = Settings{Policy: "security", Wait: 48 * time.Hour}, true, 48*time.Hour
			},
			[]Finding{{Ready, "ready"}},
		},
		"no security":       {func(q *question) { q.settings.Policy = "security" }, []Finding{{NotSecurity, "ready; closes no known hole"}}},
		"manual":            {func(q *question) { q.settings.Policy = "manual" }, []Finding{{Manual, "ready"}}},
		"podman's, too":     {func(q *question) { q.settings.Policy = "registry" }, []Finding{{Manual, "ready"}}},
		"it does not serve": {func(q *question) { q.facts.NotServing = true }, []Finding{{NotServing, "ready; it is not up now"}}},
		"several": {
			func(q *question) {
				q.facts.Stopped, q.settings.Hold, q.settings.Policy = true, &Hold{Why: "guards"}, "manual"
			},
			[]Finding{{Stopped, "stopped, so it can't be verified; archgen start web"}, {Held, "held: guards (archgen unhold web)"}, {Manual, "ready"}},
		},
	} {
		origin, candidate := one, two
		q := question{web, &candidate, auto, Facts{}}
		q.installed.Origin = &origin
		c.change(&q)
		got := Judge(q.installed, q.candidate, q.settings, q.facts, now)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: -want +got:\n%s", what, d)
		}
	}
}

// TestPolicy: who may install a release for each reason. n is the timer, a update --all, i update ID; f
// is with the flag that the reason names.
func TestPolicy(t *testing.T) {
	t.Parallel()
	want := map[Reason]string{
		ComesWithImage: "", Own: "", UnknownOrigin: "", Edited: "", Gone: "", Withdrawn: "", Stale: "", Current: "", IsOnTrial: "", Older: "",
		UnderWay: "", NeedsOther: "", DoesNotFit: "", Hidden: "", NoRoom: "", NoSnapshot: "", Masked: "", Stopped: "",
		IsRefused: "f", WantsMore: "f", OtherPublisher: "f", OtherContract: "f", OneWay: "if",
		Differs: "if", Held: "if", Waiting: "if", NotSecurity: "aif", Manual: "aif", NotServing: "naif", PartlyHidden: "naif", Ready: "naif",
	}
	facts := Facts{Rights: []Right{{ID: "onion:80"}, {ID: "root:main"}}}
	asks := []struct {
		letter string
		Ask
	}{
		{"n", Ask{}},
		{"a", Ask{All: true}},
		{"i", Ask{Named: true}},
		{"f", Ask{Named: true, Retry: true, Allow: []string{"onion", "root:main", AllowPublisher, AllowContract}}},
	}
	got := map[Reason]string{}
	for _, r := range rows {
		got[r.reason] = ""
		for _, ask := range asks {
			if Blocking([]Finding{{Reason: r.reason}}, ask.Ask, facts) == nil {
				got[r.reason] += ask.letter
			}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	partly := Ask{Named: true, Allow: []string{"onion"}}
	if found := Blocking([]Finding{{Reason: Ready}, {Reason: WantsMore}}, partly, facts); found == nil || found.Reason != WantsMore {
		t.Errorf("one of two rights was enough: %v", found)
	}
}

// TestIsAvailable: the list shows another release wherever there is one.
func TestIsAvailable(t *testing.T) {
	t.Parallel()
	none := []Reason{ComesWithImage, UnderWay, Own, UnknownOrigin, Gone, Withdrawn, IsOnTrial, Current, Older}
	for _, r := range rows {
		if got, want := IsAvailable([]Finding{{Reason: r.reason}}), !slices.Contains(none, r.reason); got != want {
			t.Errorf("%s: %v", r.reason, got)
		}
	}
}
