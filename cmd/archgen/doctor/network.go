package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/cmd/archgen/ui"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/machine"
)

func checkPorts(_ context.Context, e *Env) Result {
	a, err := e.Apps()
	if err != nil {
		return warn("", "can't be checked without the manifests: %v", err)
	}
	services, err := e.Services()
	if err != nil {
		return warn("", "can't be checked without the manager: %v", err)
	}
	return e.judgePorts(a.Want.Apps, services)
}

// judgePorts looks for ports of apps that another program uses.
func (e *Env) judgePorts(apps []units.App, services map[string]machine.Service) Result {
	taken, n := e.listeners(), 0
	lowest := e.lowestPort()
	for _, app := range apps {
		for _, part := range app.Parts {
			file, _ := app.Files.Find(part.File)
			u := services[part.Service].State
			for _, want := range expand(file.Ports()) {
				n++
				if int(want.addr.Port()) < lowest {
					return problem("echo net.ipv4.ip_unprivileged_port_start="+strconv.Itoa(int(want.addr.Port()))+
						" | sudo tee /etc/sysctl.d/50-archipelago.conf && sudo sysctl --system",
						"%s needs port %d, but users may only use ports from %d up", app.ID, want.addr.Port(), lowest)
				}
				if u.Active == units.Active {
					continue // it could not be active without its port
				}
				for _, has := range taken {
					if !want.clashes(has) || e.belongs(has, app.ID) {
						continue
					}
					return problem(fmt.Sprintf("sudo ss -lnp --%s 'sport = :%d'   # stop that process, or give %s another port in %s.d/ports.yaml",
						want.protocol, want.addr.Port(), app.ID, app.ID),
						"%s needs %s/%s, but %s uses it", app.ID, want.addr, want.protocol, e.holder(has))
				}
			}
		}
	}
	return fine("%s, none used by another program", ui.Count(n, "port"))
}

// lowestPort is the lowest port that the containers may listen on.
func (e *Env) lowestPort() int {
	if e.Scope == units.System || e.UID == 0 {
		return 0
	}
	data, err := os.ReadFile(filepath.Join(e.Root, "proc/sys/net/ipv4/ip_unprivileged_port_start"))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return n
}

// listener is a listening socket, or one that an app would open.
type listener struct {
	protocol string
	addr     netip.AddrPort
	inode    string
}

func (l listener) clashes(o listener) bool {
	a, b := l.addr.Addr(), o.addr.Addr()
	return l.protocol == o.protocol && l.addr.Port() == o.addr.Port() && (a == b || a.IsUnspecified() || b.IsUnspecified())
}

// expand returns a listener for each port of the ranges.
func expand(ports []units.Port) []listener {
	var list []listener
	for _, p := range ports {
		address, err := netip.ParseAddr(p.Address)
		first, last, isRange := strings.Cut(p.Host, "-")
		if !isRange {
			last = first
		}
		from, errFrom := strconv.ParseUint(first, 10, 16)
		to, errTo := strconv.ParseUint(last, 10, 16)
		if err != nil || errFrom != nil || errTo != nil {
			continue
		}
		for n := from; n <= to; n++ {
			list = append(list, listener{protocol: p.Protocol, addr: netip.AddrPortFrom(address, uint16(n))})
		}
	}
	return list
}

// listeners reads the listening sockets of the machine.
func (e *Env) listeners() []listener {
	var list []listener
	for _, table := range []struct{ file, protocol, state string }{
		{"tcp", "tcp", "0A"}, {"tcp6", "tcp", "0A"}, {"udp", "udp", "07"}, {"udp6", "udp", "07"},
	} {
		data, err := os.ReadFile(filepath.Join(e.Root, "proc/net", table.file))
		if err != nil {
			continue // a kernel without IPv6
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != table.state {
				continue
			}
			if addr, ok := socketAddress(f[1]); ok {
				list = append(list, listener{table.protocol, addr, f[9]})
			}
		}
	}
	return list
}

// socketAddress reads an address of /proc/net/tcp: words of 32 bits in the byte order of
// the machine. All machines that Podman supports are little-endian.
func socketAddress(text string) (netip.AddrPort, bool) {
	host, portText, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(portText, 16, 16)
	if err != nil || len(host)%8 != 0 {
		return netip.AddrPort{}, false
	}
	var raw []byte
	for ; host != ""; host = host[8:] {
		word, err := strconv.ParseUint(host[:8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, false
		}
		raw = append(raw, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}

// belongs reports whether a process of an app holds a socket: the app is starting.
func (e *Env) belongs(l listener, app string) bool {
	process := e.process(l.inode)
	if process == "" {
		return false
	}
	groups, err := os.ReadFile(filepath.Join(process, "cgroup"))
	return err == nil && (strings.Contains(string(groups), "/app@"+app+".service") || strings.Contains(string(groups), "/app@"+app+"."))
}

// holder is the process that holds a socket, as far as this user can see it.
func (e *Env) holder(l listener) string {
	process := e.process(l.inode)
	if process == "" {
		return "another user's process"
	}
	name, err := os.ReadFile(filepath.Join(process, "comm"))
	if err != nil {
		return "process " + filepath.Base(process)
	}
	return ui.OneLine(string(name)) + " (process " + filepath.Base(process) + ")"
}

// process is the directory of the process that has a socket open, or empty if the process
// is another user's.
func (e *Env) process(inode string) string {
	links, err := filepath.Glob(filepath.Join(e.Root, "proc/[0-9]*/fd/*"))
	if err != nil {
		return ""
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == "socket:["+inode+"]" {
			return filepath.Dir(filepath.Dir(link))
		}
	}
	return ""
}
