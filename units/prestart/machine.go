package prestart

import (
	"net"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/archipelago-os/archipelago/generator/configfile"
)

// ThisMachine is what templates may know of this machine. It is the same for
// whoever asks, or a file that is rendered before a start would differ from the
// one that is compared with it.
func ThisMachine() configfile.Machine {
	m := configfile.Machine{Cores: runtime.NumCPU(), Address: Address()}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		m.Memory = int(uint64(info.Totalram) * uint64(info.Unit) >> 20) //nolint:unconvert // it is no uint64 on every machine
	}
	return m
}

// Address is that of this machine in its network: the one that connections to elsewhere
// leave from, empty where none do. No packet is sent.
func Address() string {
	c, err := net.Dial("udp", "192.0.2.1:9") //nolint:noctx // it only asks the kernel for a route
	if err != nil {
		return ""
	}
	host, _, _ := net.SplitHostPort(c.LocalAddr().String())
	if c.Close() != nil {
		return ""
	}
	return host
}
