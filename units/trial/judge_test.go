package trial

import (
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/update"
)

var since = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// onTrial is the update of an app with a database, which another app needs.
func onTrial() *update.Journal {
	return &update.Journal{App: "web", Up: []string{"shelf"}, Trial: &update.Trial{
		Since: since, Until: since.Add(10 * time.Minute), Boot: "1",
		Restarts: map[string]uint32{"app@web.service": 0, "app@web.db.service": 1, "app@shelf.service": 3},
	}}
}

// TestJudge: what ends a trial, and what is no fault of the release.
func TestJudge(t *testing.T) {
	t.Parallel()
	const web, db, shelf = "app@web.service", "app@web.db.service", "app@shelf.service"
	up := func(restarts uint32) units.Unit { return units.Unit{Active: units.Active, Restarts: restarts} }
	down := units.Unit{Active: units.Failed}
	for what, c := range map[string]struct {
		change func(*Seen)
		want   Verdict
	}{
		"all is well":          {func(*Seen) {}, Verdict{}},
		"the time is over":     {func(s *Seen) { s.Now = since.Add(10 * time.Minute) }, Verdict{Kind: Passed}},
		"it ended":             {func(s *Seen) { s.Units[web] = up(1) }, Verdict{Failed, "app@web.service ended by itself 1m0s after it served", web}},
		"a part ended":         {func(s *Seen) { s.Units[db] = up(2) }, Verdict{Failed, "app@web.db.service ended by itself 1m0s after it served", db}},
		"it starts again soon": {func(s *Seen) { s.Units[web] = units.Unit{Restarting: true} }, Verdict{Failed, "app@web.service ended by itself 1m0s after it served", web}},
		"it failed":            {func(s *Seen) { s.Units[web] = down }, Verdict{Failed, "app@web.service failed", web}},
		"it failed as the time was over": {
			func(s *Seen) { s.Now, s.Units[web] = since.Add(time.Hour), down },
			Verdict{Failed, "app@web.service failed", web},
		},
		"the machine has no room":                 {func(s *Seen) { s.Units[web] = units.Unit{Active: units.Failed, Limit: "x"} }, Verdict{}},
		"what an app needs was down, too":         {func(s *Seen) { s.IsShaken, s.Units[web] = true, up(1) }, Verdict{}},
		"it ends again and again":                 {func(s *Seen) { s.IsShaken, s.Units[web] = true, up(3) }, Verdict{Failed, "app@web.service ended by itself 1m0s after it served", web}},
		"it ended once after a boot":              {func(s *Seen) { s.Boot, s.Units[shelf], s.Units[web] = "2", up(0), up(1) }, Verdict{}},
		"it ends again and again after a boot":    {func(s *Seen) { s.Boot, s.Units[shelf], s.Units[web] = "2", up(0), up(3) }, Verdict{Failed, "app@web.service ended by itself 1m0s after it served", web}},
		"stopped":                                 {func(s *Seen) { s.Units[web] = units.Unit{Active: units.Inactive, Stopped: true} }, Verdict{Kind: Superseded, Why: "it was stopped in its trial"}},
		"its start has failed after a stop":       {func(s *Seen) { s.Units[web] = units.Unit{Active: units.Failed, Stopped: true} }, Verdict{Kind: Superseded, Why: "it was stopped in its trial"}},
		"restarted by an operator":                {func(s *Seen) { s.Units[web] = units.Unit{Active: units.Deactivating} }, Verdict{}},
		"a consumer ended once":                   {func(s *Seen) { s.Units[shelf] = up(4) }, Verdict{}},
		"a consumer ends again and again":         {func(s *Seen) { s.Units[shelf] = up(6) }, Verdict{Failed, "app@shelf.service ended by itself 1m0s after it served", shelf}},
		"a consumer failed":                       {func(s *Seen) { s.Units[shelf] = down }, Verdict{Failed, "app@shelf.service failed", shelf}},
		"a consumer was stopped":                  {func(s *Seen) { s.Units[shelf] = units.Unit{Active: units.Inactive, Stopped: true} }, Verdict{}},
		"a consumer on trial failed":              {func(s *Seen) { s.Units[shelf], s.OnTrial["shelf"] = down, true }, Verdict{}},
		"what is not watched failed":              {func(s *Seen) { s.Units["app@tor.service"] = down }, Verdict{}},
		"it did not answer, and was restarted":    {func(s *Seen) { s.History["web"] = repaired(units.ReasonNotServing, time.Minute) }, Verdict{Failed, "web was repaired: " + units.ReasonNotServing.Meaning(), web}},
		"the same of a consumer":                  {func(s *Seen) { s.History["shelf"] = repaired(units.ReasonNotServing, time.Minute) }, Verdict{Failed, "shelf was repaired: " + units.ReasonNotServing.Meaning(), shelf}},
		"repaired before":                         {func(s *Seen) { s.History["web"] = repaired(units.ReasonNotServing, -time.Minute) }, Verdict{}},
		"restarted for a file that it depends on": {func(s *Seen) { s.History["web"] = repaired(units.ReasonWatchedFileDiffers, time.Minute) }, Verdict{}},
		"not observed":                            {func(s *Seen) { s.Units = nil }, Verdict{}},
	} {
		seen := Seen{
			Now: since.Add(time.Minute), Boot: "1", OnTrial: map[string]bool{"web": true}, History: units.History{},
			Units: map[string]units.Unit{web: up(0), db: up(1), shelf: up(3)},
		}
		c.change(&seen)
		if got := Judge(onTrial(), seen); got != c.want {
			t.Errorf("%s: %+v, want %+v", what, got, c.want)
		}
	}
}

func repaired(why units.Reason, after time.Duration) units.Record {
	return units.Record{Tries: 1, Why: why, Last: since.Add(after)}
}
