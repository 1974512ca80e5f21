package rights

// Kind is the stable word for what a right is about. Scripts may rely on it; a
// word is never given a second meaning.
type Kind string

// The kinds. Every one has an entry in Kinds and a case in testdata.
const (
	HostWrite     Kind = "host-write"
	HostRead      Kind = "host-read"
	ControlSocket Kind = "control-socket"
	EngineFull    Kind = "engine-full"
	EngineRead    Kind = "engine-read"
	DeviceAccess  Kind = "device"
	MountType     Kind = "mount-type"
	Privileged    Kind = "privileged"
	HostNetwork   Kind = "host-network"
	HostPID       Kind = "host-pid"
	HostIPC       Kind = "host-ipc"
	UserNamespace Kind = "user-namespace"
	HostUser      Kind = "host-user"
	HostGroups    Kind = "host-groups"
	Capability    Kind = "capability"
	NewPrivileges Kind = "new-privileges"
	Seccomp       Kind = "seccomp"
	AppArmor      Kind = "apparmor"
	SELinux       Kind = "selinux"
	Unmask        Kind = "unmask"
	PodmanArg     Kind = "podman-arg"
	UnitDirective Kind = "unit-directive"
	Listen        Kind = "listen"
	Onion         Kind = "onion"
	VolumeWrite   Kind = "volume-write"
	VolumeRead    Kind = "volume-read"
	Use           Kind = "use"
	Provide       Kind = "provide"
	Replace       Kind = "replace"
	Answer        Kind = "answer"
	Control       Kind = "control"
	Exclude       Kind = "exclude"
	Build         Kind = "build"
	ImageName     Kind = "image-name"
	AutoUpdate    Kind = "auto-update"
	Unlimited     Kind = "unlimited"
	Priority      Kind = "priority"
)

// Entry documents a kind.
type Entry struct {
	Kind Kind
	// Subject is what follows the kind in an ID, empty where nothing does.
	Subject string
	Meaning string
}

// Kinds lists every kind in the order of the reference (docs/rights.md is
// generated from it).
var Kinds = []Entry{
	{HostWrite, "PATH", "Read and change a file or directory of the host. Critical where a write gets code run by the host: system directories, a home, hidden files in a home, or a path that the app can replace by a link."},
	{HostRead, "PATH", "Read a file or directory of the host. Critical where it holds a control socket: a read-only mount does not keep a program from connecting to one."},
	{ControlSocket, "PATH", "Control Podman, another container engine, systemd or D-Bus through a socket."},
	{EngineFull, "", "Do everything that the user who runs Podman can do, on the host and in all apps, through Podman's socket (`engine: full`)."},
	{EngineRead, "", "See all containers of the user who runs Podman: their names, labels, mounts, networks, state, statistics, events, programs and logs, into which some programs write passwords (`engine: read`). Not their environment, arguments, files and secrets."},
	{DeviceAccess, "PATH", "Use a device of the host, by its path or CDI name. Rootless Podman does not enforce `permissions`, so they are not part of the right. Critical for memory, disks and input devices."},
	{MountType, "TYPE", "Mount a file system of the kernel, or of a type that archgen does not know, as a volume."},
	{Privileged, "", "Do everything that the user who runs Podman can do."},
	{HostNetwork, "", "Use the network of the host: every port and every service on loopback."},
	{HostPID, "", "See and signal the processes of the host (`pid: host`)."},
	{HostIPC, "", "Use the shared memory and semaphores of the host (`ipc: host`)."},
	{UserNamespace, "VALUE", "Run in the user namespace of the host or of another container."},
	{HostUser, "VALUE", "Run with the user ID of the host's user (`userns: keep-id`)."},
	{HostGroups, "", "Keep the supplementary groups of the host's user (`group_add: [keep-groups]`)."},
	{Capability, "NAME", "Keep a Linux capability that is not among those that Podman gives by default."},
	{NewPrivileges, "", "Gain privileges through set-user-ID programs of the image."},
	{Seccomp, "PROFILE", "Use another system call filter than Podman's, or none."},
	{AppArmor, "PROFILE", "Use another AppArmor profile than Podman's, or none."},
	{SELinux, "TYPE", "Run with another SELinux type than Podman's; `disable` is without separation."},
	{Unmask, "PATH", "Read and change kernel files that Podman hides."},
	{PodmanArg, "ARGUMENT", "Pass an argument to `podman run`. archgen does not know what it does."},
	{UnitDirective, "SECTION.NAME=VALUE", "Set a directive of the app's systemd unit. archgen does not know what it does."},
	{Listen, "ADDRESS:PORT/PROTOCOL", "Accept connections from other machines."},
	{Onion, "PORT", "Be reached from the Tor network by everyone who knows the address, and share a network with all apps that provide or require `tor`."},
	{VolumeWrite, "VOLUME", "Read and change a volume that is not the app's own, or what is at a path in it (`subpath`)."},
	{VolumeRead, "VOLUME", "Read a volume that is not the app's own, or what is at a path in it."},
	{Use, "CAPABILITY", "Share a network with all apps that provide or require a capability, and read what the provider exports to consumers, its secrets included."},
	{Provide, "CAPABILITY", "Serve other apps that require a capability."},
	{Replace, "CAPABILITY", "Serve a capability beside another provider (`shared: true`): consumers get the first by id."},
	{Answer, "NAME", "Answer to a name on the networks of the capabilities that the app uses."},
	{Control, "APP", "Start, stop and restart another app together with this one (`companions`), where that app agrees (`companion_of`)."},
	{Exclude, "APP", "Keep another app from being installed (`conflicts`)."},
	{Build, "CONTEXT", "Run the steps of a Containerfile, with Podman's default privileges and the network, instead of the container's own limits."},
	{ImageName, "IMAGE", "Give a built image a name that another app may run."},
	{AutoUpdate, "", "Get a new image without a new manifest."},
	{Unlimited, "LIMIT", "Use a resource without a limit."},
	{Priority, "RESOURCE", "Get more of a resource than other apps when they compete for it (`limits.cpu_weight` above 100)."},
}
