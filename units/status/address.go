package status

import (
	"net"
	"net/netip"
	"strings"

	"github.com/archipelago-os/archipelago/units"
)

// LANAddress is where the first port is reached from elsewhere, empty where none is. host
// is the address of the machine.
func LANAddress(ports []units.Port, host string) string {
	for _, p := range ports {
		if address := reachedFrom(p, host); address != "" && p.Protocol == "tcp" {
			return join(address, p)
		}
	}
	return ""
}

// reachedFrom is the address at which a port is reached from elsewhere, empty for none.
func reachedFrom(p units.Port, host string) string {
	address, err := netip.ParseAddr(p.Address)
	switch {
	case err != nil || address.IsLoopback():
		return ""
	case address.IsUnspecified():
		return host
	}
	return address.String()
}

// join is an address with a port, the first of a range.
func join(address string, p units.Port) string {
	first, _, _ := strings.Cut(p.Host, "-")
	return net.JoinHostPort(address, first)
}

// UI is where a person finds an app.
type UI struct {
	Scheme string `json:"scheme"`
	Port   int    `json:"port"`
	Path   string `json:"path"`
	// URL leads there from elsewhere, or from this machine where the port is open to no other.
	URL string `json:"url"`
}

// With is the UI with its URL, at a port of the host.
func (u UI) With(p units.Port, host string) *UI {
	address := reachedFrom(p, host)
	if ip, err := netip.ParseAddr(p.Address); address == "" && err == nil && ip.IsLoopback() {
		address = p.Address
	}
	if address == "" {
		address = "127.0.0.1"
	}
	u.URL = u.Scheme + "://" + join(address, p) + u.Path
	return &u
}
