package prestart

import (
	"net"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/generator/configfile"
)

// ThisMachine returns the facts about this machine that templates may use. They are the
// same for every caller: otherwise a file rendered before a start would differ from the one
// that it is compared with.
func ThisMachine() configfile.Machine {
	m := configfile.Machine{Cores: runtime.NumCPU(), Address: Address()}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		m.Memory = int(uint64(info.Totalram) * uint64(info.Unit) >> 20) //nolint:unconvert // not a uint64 on every architecture
	}
	return m
}

// Address returns the address of this machine in its network: the source address of
// outgoing connections, or empty if there is no route. It sends no packet.
func Address() string {
	c, err := net.Dial("udp", "192.0.2.1:9") //nolint:noctx // this only asks the kernel for a route
	if err != nil {
		return ""
	}
	host, _, _ := net.SplitHostPort(c.LocalAddr().String())
	if c.Close() != nil {
		return ""
	}
	return host
}
