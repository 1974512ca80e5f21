package units_test

import (
	"testing"

	"github.com/archipelago-os/archipelago/units"
)

// TestNames: a name leads back to what it was made of.
func TestNames(t *testing.T) {
	for _, c := range []struct{ container, app string }{{"lnd", "lnd"}, {"ledger.db", "ledger"}} {
		service := units.ServiceName(c.container)
		if got := units.ServiceOf(units.ContainerFile(c.container)); got != service {
			t.Errorf("%s: the file's service is %s, want %s", c.container, got, service)
		}
		if got := units.ContainerOf(service); got != c.container {
			t.Errorf("%s runs %s", service, got)
		}
		if got := units.AppOf(service); got != c.app {
			t.Errorf("the app of %s is %s", service, got)
		}
	}
	if got := units.AppOfPull(units.PullOf("lnd")); got != "lnd" {
		t.Errorf("the app of the pull unit of lnd is %s", got)
	}
	for got, want := range map[string]string{
		units.VolumeService(units.VolumeName("lnd", "data")):       "archipelago-lnd.data-volume.service",
		units.VolumeServices("lnd"):                                "archipelago-lnd.*-volume.service",
		units.ObjectService(units.NetworkFile("private.lnd")):      "archipelago-private.lnd-network",
		units.RecreateOf("app@ledger.db.service"):                  "archipelago-recreate@ledger.db.service",
		units.PrestartName("app@ledger.db.service"):                "archipelago-ledger.db.recipe",
		units.ObjectOf("archipelago-ledger.db.volume", ".volume"):  "ledger.db",
		units.ObjectOf("/srv/data", ".volume"):                     "/srv/data",
		units.AppOf("archipelago-lnd.data-volume.service"):         "",
		units.ServiceOf("archipelago-private.lnd.network"):         "",
		units.AppOfPull("app@lnd.service"):                         "",
		units.SecretName("lnd", "password"):                        "lnd.password",
		units.BuildFile("ledger.db") + units.ImageFile("ledger"):   "archipelago-ledger.db.buildarchipelago-ledger.image",
		units.NetworkFile(units.CapabilityNetwork("bitcoin-rpc")):  "archipelago-shared.bitcoin-rpc.network",
		units.NetworkFile(units.AppNetwork("lnd", "", false)):      "archipelago-private.lnd.network",
		units.NetworkFile(units.AppNetwork("lnd", "", true)):       "archipelago-internal.lnd.network",
		units.AppNetwork("lnd", "back", false):                     "private.lnd.back",
		units.AppNetwork("lnd", "back", true):                      "internal.lnd.back",
		units.ObjectService(units.VolumeUnitFile("lnd", "data-2")): "archipelago-lnd.data-2-volume",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
