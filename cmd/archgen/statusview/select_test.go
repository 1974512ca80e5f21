package statusview

import (
	"testing"

	"github.com/archipelago-os/archipelago/units/status"
)

func TestStatusOfAnUnknownApp(t *testing.T) {
	t.Parallel()
	apps := []App{{App: status.App{ID: "lnd"}}, {App: status.App{ID: "web"}}}
	if one, err := Select(apps, []string{"web"}); err != nil || len(one) != 1 || one[0].ID != "web" {
		t.Errorf("%v, %v", one, err)
	}
	_, err := Select(apps, []string{"wbe"})
	if err == nil || err.Error() != `there is no app "wbe"; there are: lnd, web` {
		t.Errorf("%v", err)
	}
}
