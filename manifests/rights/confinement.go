package rights

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
)

func index(at string, i int) string { return fmt.Sprintf("%s[%d]", at, i) }

func privileged(c *collector, at string, _ *manifests.Container) {
	c.add(Privileged, "", Critical, at, "do everything that the user who runs Podman can do")
}

func engine(c *collector, at string, p *manifests.Container) {
	if p.Engine == "full" {
		c.add(EngineFull, "", Critical, at, "do everything that the user who runs Podman can do, on the host and in all apps, through Podman's socket")
		return
	}
	c.add(EngineRead, "", High, at, "see all containers of the user who runs Podman and read their logs, but not their environment, arguments, files and secrets")
}

func network(c *collector, at string, p *manifests.Container) {
	if p.Network == "host" {
		c.add(HostNetwork, "", High, at, "use the network of the host, with every port and every service on loopback")
	}
}

// separate is user namespaces that are further from the host's than the default.
var separate = []string{"auto", "nomap", "private"}

func userns(c *collector, at string, p *manifests.Container) {
	switch mode, _, _ := strings.Cut(p.UserNS, ":"); {
	case mode == "keep-id":
		c.add(HostUser, p.UserNS, Medium, at, "run with the user ID of the user who runs Podman")
	case !slices.Contains(separate, mode):
		c.add(UserNamespace, p.UserNS, High, at, "run in the user namespace %s, which is not its own", p.UserNS)
	}
}

func groupAdd(c *collector, at string, p *manifests.Container) {
	for i, group := range p.GroupAdd {
		if group == "keep-groups" {
			c.add(HostGroups, "", High, index(at, i), "keep the groups of the user who runs Podman, with their files and devices")
		}
	}
}

// defaultCapabilities is what Podman gives a container by default
// (containers.conf(5)). In a container without host paths and devices they reach
// nothing outside.
var defaultCapabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

// takeOver is capabilities that lead out of a container by themselves where
// Podman runs as root, and what they let a program do (capabilities(7)).
var takeOver = map[string]string{
	"ALL":             "keep all capabilities",
	"BPF":             "load BPF programs into the kernel",
	"DAC_READ_SEARCH": "read every file, also by its number",
	"MAC_ADMIN":       "change the policy of SELinux or AppArmor",
	"MKNOD":           "make device files",
	"PERFMON":         "read the memory of the kernel and of other programs through performance counters",
	"SYS_ADMIN":       "mount file systems and configure the kernel, nearly as much as privileged",
	"SYS_BOOT":        "restart the machine and load another kernel",
	"SYS_MODULE":      "load kernel modules",
	"SYS_PTRACE":      "read and change other programs that run",
	"SYS_RAWIO":       "read and write memory and disks directly",
}

func capabilities(c *collector, at string, caps *manifests.Capabilities) {
	for i, name := range caps.Add {
		if slices.Contains(defaultCapabilities, name) {
			continue
		}
		if allows, ok := takeOver[name]; ok {
			c.add(Capability, name, Critical, index(at, i), "%s", allows)
			continue
		}
		c.add(Capability, name, High, index(at, i), "%s", cmp.Or(beyondDefault[name], "keep the capability "+name))
	}
}

// beyondDefault says what some other capabilities let a program do.
var beyondDefault = map[string]string{
	"IPC_LOCK":  "lock memory without a limit",
	"NET_ADMIN": "change addresses, routes and firewall rules of its networks",
	"NET_RAW":   "send and receive any packet on its networks, also under the addresses of others",
	"SYS_NICE":  "run before all other programs",
	"SYS_TIME":  "set the clock of the machine",
}

func newPrivileges(c *collector, at string, _ *manifests.Security) {
	c.add(NewPrivileges, "", High, at, "gain privileges through set-user-ID programs")
}

func seccomp(c *collector, at string, s *manifests.Security) {
	if s.Seccomp == "unconfined" {
		c.add(Seccomp, s.Seccomp, High, at, "make every system call")
		return
	}
	c.add(Seccomp, s.Seccomp, High, at, "make the system calls that the file %s of the host allows, instead of those that Podman allows", s.Seccomp)
}

func appArmor(c *collector, at string, s *manifests.Security) {
	if s.AppArmor == "unconfined" {
		c.add(AppArmor, s.AppArmor, High, at, "run without an AppArmor profile")
		return
	}
	c.add(AppArmor, s.AppArmor, High, at, "run with the AppArmor profile %s instead of Podman's", s.AppArmor)
}

func labelDisable(c *collector, at string, _ *manifests.Security) {
	c.add(SELinux, "disable", High, at, "run without SELinux separation from the host and from other containers")
}

func labelType(c *collector, at string, s *manifests.Security) {
	if s.LabelType != "container_t" {
		c.add(SELinux, s.LabelType, High, at, "run with the SELinux type %s instead of container_t", s.LabelType)
	}
}

func unmask(c *collector, at string, s *manifests.Security) {
	for i, name := range s.Unmask {
		if name == "ALL" {
			c.add(Unmask, name, High, index(at, i), "read and change all kernel files that Podman hides")
			continue
		}
		c.add(Unmask, name, High, index(at, i), "read and change the kernel files at %s, which Podman hides", name)
	}
}

func memlock(c *collector, at string, l *manifests.Limits) {
	if l.MemLock == -1 {
		c.add(Unlimited, "memlock", Medium, at, "lock memory without a limit")
	}
}

// usualWeight is the weight of a service without one.
const usualWeight = 100

func cpuWeight(c *collector, at string, l *manifests.Limits) {
	if l.CPUWeight > usualWeight {
		c.add(Priority, "cpu", Medium, at, "get %g times the processor time of another app when they compete", float64(l.CPUWeight)/usualWeight)
	}
}

func ulimits(c *collector, at string, l *manifests.Limits) {
	for _, name := range sorted(l.Ulimits) {
		if slices.Contains(strings.Split(l.Ulimits[name], ":"), "-1") {
			c.add(Unlimited, name, Medium, at+"."+name, "exceed every limit of %s", name)
		}
	}
}

// hostNamespaces is arguments of podman run that have a kind of their own.
var hostNamespaces = map[string]func(c *collector, at string){
	"--pid=host": (*collector).hostPID,
	"--ipc=host": (*collector).hostIPC,
}

func (c *collector) hostPID(at string) {
	c.add(HostPID, "", Critical, at, "see and signal the processes of the host")
}

func (c *collector) hostIPC(at string) {
	c.add(HostIPC, "", Critical, at, "use the shared memory and semaphores of the host")
}

func pid(c *collector, at string, p *manifests.Container) {
	if p.PID == "host" {
		c.hostPID(at)
	}
}

func ipc(c *collector, at string, p *manifests.Container) {
	if p.IPC == "host" {
		c.hostIPC(at)
	}
}

func podmanArgs(c *collector, at string, p *manifests.Container) {
	for i, arg := range p.PodmanArgs {
		if add, ok := hostNamespaces[arg]; ok {
			add(c, index(at, i))
			continue
		}
		c.add(PodmanArg, arg, Critical, index(at, i), "pass %s to podman run, unchecked", arg)
	}
}

func unit(c *collector, at string, p *manifests.Container) {
	for _, section := range sorted(p.Unit) {
		for _, name := range sorted(p.Unit[section]) {
			for i, value := range p.Unit[section][name] {
				c.directive(index(at+"."+section+"."+name, i), section+"."+name, value)
			}
		}
	}
}

func (c *collector) directive(at, name, value string) {
	c.add(UnitDirective, name+"="+value, High, at, "set %s=%s in its systemd unit, unchecked", name[strings.IndexByte(name, '.')+1:], value)
}
