package status

import (
	"net"
	"net/netip"
	"strings"

	"github.com/archipelago-os/archipelago/units"
)

// LANAddress returns the address of the first port that other machines can reach, or an
// empty string. host is the address of this machine.
func LANAddress(ports []units.Port, host string) string {
	for _, p := range ports {
		if address := reachedFrom(p, host); address != "" && p.Protocol == "tcp" {
			return join(address, p)
		}
	}
	return ""
}

// reachedFrom returns the address at which other machines reach a port, or an empty string.
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

// join joins an address and a port, the first one of a range.
func join(address string, p units.Port) string {
	first, _, _ := strings.Cut(p.Host, "-")
	return net.JoinHostPort(address, first)
}

// UI is the user interface of an app.
type UI struct {
	Scheme string `json:"scheme"`
	Port   int    `json:"port"`
	Path   string `json:"path"`
	// URL is the address for other machines, or for this machine if only it can reach the
	// port.
	URL string `json:"url"`
}

// With returns the UI with its URL at a port of the host.
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
