package units

import (
	"cmp"
	"strings"
)

// Port is a port of the host that is published for a container. Host and Container may be ranges,
// FIRST-LAST.
type Port struct {
	Address   string `json:"address"`
	Host      string `json:"host"`
	Container string `json:"container"`
	Protocol  string `json:"protocol"`
}

// Ports is the ports that a container file publishes, without those whose host port Podman
// chooses.
func (f File) Ports() []Port {
	list := []Port{}
	for _, text := range f.Values("PublishPort") {
		text, protocol, _ := strings.Cut(text, "/")
		at := strings.LastIndexByte(text, ':')
		if at < 0 {
			continue
		}
		address, host := "0.0.0.0", text[:at]
		if colon := strings.LastIndexByte(host, ':'); colon >= 0 {
			address, host = strings.Trim(host[:colon], "[]"), host[colon+1:]
		}
		list = append(list, Port{Address: address, Host: host, Container: text[at+1:], Protocol: cmp.Or(protocol, "tcp")})
	}
	return list
}
