package units_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/units"
)

func TestPortsOfAFile(t *testing.T) {
	t.Parallel()
	have := units.File{Content: []byte(`[Container]
PublishPort=127.0.0.1:8080:80/tcp
PublishPort=[::1]:8444:444/tcp
PublishPort=0.0.0.0:30000-30009:40000-40009/udp
PublishPort=8081:81
PublishPort=82
`)}.Ports()
	want := []units.Port{
		{Address: "127.0.0.1", Host: "8080", Container: "80", Protocol: "tcp"},
		{Address: "::1", Host: "8444", Container: "444", Protocol: "tcp"},
		{Address: "0.0.0.0", Host: "30000-30009", Container: "40000-40009", Protocol: "udp"},
		{Address: "0.0.0.0", Host: "8081", Container: "81", Protocol: "tcp"},
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Error(d)
	}
}
