// Package manifests owns the meaning of a manifest: its schema with the defaults, overlays,
// validation, and the resolution of a set of manifests against each other (capabilities,
// conflicts, order).
//
// It never renders a unit and never talks to Podman, systemd or the network. Only Loaded reads
// files.
package manifests

import "cmp"

// The schema. A key is one field: its doc comment is the reference
// (docs/manifest.md and the JSON Schema are generated from it), and its tags
// are read by the decoder:
//
//	key:"name"        the key as written; embedded structs are flattened
//	need:"required"   must be given
//	enum:"a|b"        the accepted words
//	pattern:"name"    a named pattern of patterns.go
//	min:"1" max:"9"   range of a number
//	default:"text"    the value of a key that is left out, given by defaults.go
//	variables:"yes"   ${…} variables are replaced, by variables.go
//
// A test demands a case in testdata for every key.

// SchemaVersion is the newest `schema:` that this package understands.
const SchemaVersion = 1

// Document is a whole manifest file.
type Document struct {
	// Version of the manifest schema. A newer one than archgen knows is refused.
	Schema int `key:"schema" min:"1" default:"1"`
	// The app that the file describes.
	App App `key:"app" need:"required"`
}

// App is one application: one or more containers that are started, stopped and
// updated together.
type App struct {
	// Identifies the app on the machine: the unit is `app@ID.service`, the container `ID`. The file is named ID.yaml or ID.toml.
	ID string `key:"id" need:"required" pattern:"appid"`
	// Display name.
	Name string `key:"name" need:"required" pattern:"line"`
	// Version of the app, as text: `1.10` stays `1.10`.
	Version string `key:"version" need:"required" pattern:"line"`
	// Number of this release of the manifest in its catalog. It grows with each release, and alone decides which of two releases is newer; `version` is for people.
	Revision int `key:"revision" min:"1" max:"1000000000"`
	// Purpose of the app, one sentence.
	Description string `key:"description" pattern:"line"`
	// Name of an icon, for user interfaces.
	Icon string `key:"icon" pattern:"id"`
	// Links to show: `website`, `source`, `documentation`, `support`, `changelog` or any other word, each a URL. `archgen update --dry-run` prints `changelog`.
	Links map[string]string `key:"links" pattern:"url"`
	// Facts to know before installing the app, one or two sentences each: it has no login, needs the internet at its first start, or can't be downgraded. `archgen install` prints them for a new app, `archgen catalog show` always.
	Notices []string `key:"notices" pattern:"line"`
	// Bitcoin networks that the app supports; all when left out. If `network` of the settings is not among them, the app is refused.
	Networks []string `key:"networks" enum:"mainnet|testnet4|signet|regtest"`
	// The app's only container; the same as `containers: {main: …}`.
	Container *Container `key:"container"`
	// The app's containers ("parts") by name. `main` is `app@ID.service`, another part is `app@ID.PART.service`.
	Containers map[string]*Container `key:"containers"`
	// Networks of the containers (`networks`) that lead nowhere else: not to the internet, and not to the host. `app` is the app's own network.
	InternalNetworks []string `key:"internal_networks" pattern:"id"`
	// Address of the user interface; also gives the container with that port a default probe, unless that has a `health.serving`.
	UI *UI `key:"ui"`
	// Settings of the app's named volumes, by name. Volumes without settings need not be listed.
	Volumes map[string]*VolumeOptions `key:"volumes"`
	// Volumes of the app that other apps may mount.
	Shares []Share `key:"shares"`
	// Capabilities that the app offers to other apps.
	Provides []Provide `key:"provides"`
	// Capabilities that the app uses.
	Requires []Require `key:"requires"`
	// Ids of apps that can't be installed together with this one.
	Conflicts []string `key:"conflicts" pattern:"id"`
	// Ids of apps that are installed, started, stopped and removed with this one, such as a user interface, if they agree in `companion_of`. A crash of this app does not restart them.
	Companions []string `key:"companions" pattern:"id"`
	// Ids of apps whose companion this one is, if they list it in `companions`.
	CompanionOf []string `key:"companion_of" pattern:"id"`
	// Secrets of the app. A manifest never holds their values.
	Secrets []Secret `key:"secrets"`
	// Steps around the start of the app.
	Hooks Hooks `key:"hooks"`
	// Ports that get a Tor hidden service if an app provides the capability `tor`.
	Onion []Onion `key:"onion"`
	// What happens to the app's data.
	Data Data `key:"data"`
	// How the app gets newer versions.
	Update Update `key:"update"`
	// Whether the app starts at boot.
	Enabled bool `key:"enabled" default:"true"`
	// Wait until the machine is online before the first start. Without a network, this delays the boot by up to 90 s; leave it off for apps that start without one.
	WaitOnline bool `key:"wait_online"`
}

// UI is the address of the app's user interface.
type UI struct {
	// Name of the port that serves the user interface.
	Port string `key:"port" need:"required" pattern:"id"`
	// Path below the port.
	Path string `key:"path" pattern:"urlpath" default:"/"`
	// Protocol of the user interface. The default probe of `https` does not verify the certificate.
	Scheme string `key:"scheme" enum:"http|https" default:"http; https for a port that health.serving probes by https"`
	// Whether the container with that port has a default probe. With `false` the start waits for no answer, for example of an interface that answers only after it was set up.
	Probe bool `key:"probe" default:"true"`
}

// Container is one part of an app.
type Container struct {
	// Reference of the image. Pin it by digest: `docker.io/library/x:1@sha256:…`.
	Image string `key:"image" pattern:"image"`
	// Build the image from a Containerfile instead of pulling one.
	Build *Build `key:"build"`
	// Whether a start pulls the image: only if it is missing, always, only if a newer one exists, or never.
	Pull string `key:"pull" enum:"missing|always|newer|never" default:"missing"`
	// Pull the image in a separate unit (`.image`), outside the container's start timeout.
	Prefetch bool `key:"prefetch"`
	// Kind of program; decides the default of `stop.timeout`. Guessed from the image's name when left out.
	Kind string `key:"kind" enum:"service|database|chain"`
	// Program to run instead of the image's entrypoint: a list, or one string that is split as by a shell, without running one. `${…}` variables are replaced.
	Entrypoint Words `key:"entrypoint" variables:"yes"`
	// Arguments of the entrypoint: a list, or one string that is split as by a shell, without running one. `${…}` variables are replaced.
	Command Words `key:"command" variables:"yes"`
	// User and group in the container, `uid`, `uid:gid` or names.
	User string `key:"user" pattern:"user"`
	// Additional groups of the user.
	GroupAdd []string `key:"group_add" pattern:"user"`
	// User namespace, such as `keep-id` or `keep-id:uid=1000,gid=1000`. A named volume needs none.
	UserNS string `key:"userns" pattern:"option"`
	// Working directory of the program.
	WorkingDir string `key:"working_dir" pattern:"target"`
	// Host name inside the container. `${…}` variables are replaced.
	Hostname string `key:"hostname" pattern:"dnsname" variables:"yes"`
	// Time zone in the container; `local` is the host's.
	Timezone string `key:"timezone" pattern:"timezone"`
	// Environment variables. Values are text as written; `${…}` variables are replaced.
	Env Env `key:"env" variables:"yes"`
	// Files with NAME=value lines: by an absolute path on the host, read at each start, or by its name in ID.files/ beside the manifest, where one of that name in ID.d/files/ takes precedence. A value is the rest of the line as written, with quotes. A variable of `env` takes precedence, then one of a later file beside the manifest, then one of a later file on the host. A change of a file beside the manifest restarts the container.
	EnvFiles []string `key:"env_files" pattern:"envfile"`
	// Ports that the container listens on.
	Ports []Port `key:"ports"`
	// Volumes and host paths to mount. Map every VOLUME of the image: Podman deletes the content of an unmapped one at each stop.
	Volumes []Volume `key:"volumes"`
	// Memory file systems (tmpfs).
	Tmpfs []Tmpfs `key:"tmpfs"`
	// Configuration files to render for the container.
	Files []File `key:"files"`
	// Secrets to mount into the container.
	Secrets []SecretMount `key:"secrets"`
	// Devices of the host to add.
	Devices []Device `key:"devices"`
	// Access to Podman's API, at /var/run/docker.sock in the container, for programs that show or manage containers. `read`: list the containers of the user who runs Podman, and read their state, statistics, events, processes and logs, through a proxy that passes nothing else: no environment, arguments, files or secrets. Each user of the container may connect. `full`: Podman's own socket, with which the app can do whatever that user can. Only root of the container may connect. Where SELinux confines containers, either also needs `security.label_disable`.
	Engine string `key:"engine" enum:"read|full"`
	// Mount the image's file system read-only; /run, /tmp and /var/tmp are memory file systems.
	ReadOnly bool `key:"read_only"`
	// Give the container all privileges of the user that runs Podman. Flagged by `check --strict`.
	Privileged bool `key:"privileged"`
	// Linux capabilities. All others are dropped.
	Capabilities Capabilities `key:"capabilities"`
	// Confinement by the kernel's security modules.
	Security Security `key:"security"`
	// Resource limits.
	Limits Limits `key:"limits"`
	// Kernel parameters of the container's namespaces.
	Sysctls map[string]string `key:"sysctls" pattern:"options"`
	// Processes that the container sees: its own (`private`), or all of the host.
	PID string `key:"pid" enum:"private|host" default:"private"`
	// Shared memory and semaphores that the container sees: its own (`private`), or those of the host.
	IPC string `key:"ipc" enum:"private|host" default:"private"`
	// Run a minimal init as process 1 that reaps children. Leave it off if the image has its own.
	Init bool `key:"init"`
	// Keep standard input open.
	Stdin bool `key:"stdin"`
	// Give the container a terminal.
	TTY bool `key:"tty"`
	// Network of the container: `app` (the networks of the app and those of its capabilities), `host`, `none`, or `part:NAME` to share the network of another part.
	Network string `key:"network" pattern:"network" default:"app"`
	// Private networks of the app that the container joins with `network: app`, by names that the manifest chooses, such as `front` and `back`. Containers reach each other on a network that both join. `app` is the app's own network.
	Networks []string `key:"networks" pattern:"id" default:"[app]"`
	// Additional names of the container on the app's networks. The name of the part is always one of them. `${…}` variables are replaced.
	Aliases []string `key:"aliases" pattern:"dnsname" variables:"yes"`
	// Additional host names: name to address, or `host-gateway`. `${…}` variables are replaced in the names.
	Hosts map[string]string `key:"hosts" pattern:"address" variables:"yes"`
	// Name servers to use instead of the network's.
	DNS []string `key:"dns" pattern:"address"`
	// Labels of the container.
	Labels map[string]string `key:"labels"`
	// The container exits when its work is done; its unit stays active.
	Oneshot bool `key:"oneshot"`
	// How the container starts.
	Start Start `key:"start"`
	// How the container stops.
	Stop Stop `key:"stop"`
	// How the running program reloads the files marked with `reload: true`. A change of one of them then restarts nothing.
	Reload *Reload `key:"reload"`
	// How systemd restarts the container.
	Restart Restart `key:"restart"`
	// Probes that check whether the container works.
	Health Health `key:"health"`
	// Parts of the same app that start before this one.
	After []After `key:"after"`
	// Escape hatch: further arguments of `podman run` that change only the container, each as one word (`--flag=value`). Flagged by `check --strict`.
	PodmanArgs []string `key:"podman_args"`
	// Escape hatch: further directives, section to directive to values. Flagged by `check --strict`.
	Unit map[string]map[string][]string `key:"unit"`
}

// Build makes an image from a Containerfile.
type Build struct {
	// Build context, a directory; relative to the manifest's directory.
	Context string `key:"context" need:"required" pattern:"line"`
	// Path of the Containerfile; relative to the context.
	Containerfile string `key:"containerfile" pattern:"line" default:"Containerfile"`
	// Build arguments.
	Args map[string]string `key:"args"`
	// Stage of the Containerfile to build.
	Target string `key:"target" pattern:"option"`
	// Name of the built image.
	Tag string `key:"tag" pattern:"image" default:"localhost/ID:VERSION; localhost/ID.PART:VERSION for another part"`
}

// Port is a port that a container listens on. A container port can be published several times, at other addresses or ports of the host. In short: "host:container", "bind:host:container" or "container", with "/udp" for UDP.
type Port struct {
	// Name for other keys to refer to.
	Name string `key:"name" pattern:"id"`
	// Port of the host. Without one, only other containers reach the port.
	Host int `key:"host" min:"1" max:"65535"`
	// Port in the container.
	Container int `key:"container" need:"required" min:"1" max:"65535"`
	// Number of consecutive ports, for a range.
	Count int `key:"count" min:"1" max:"1000" default:"1"`
	// Transport protocol.
	Protocol string `key:"protocol" enum:"tcp|udp" default:"tcp"`
	// Address of the host to listen on. `0.0.0.0` or `::` opens the port to the network.
	Bind string `key:"bind" pattern:"ip" default:"127.0.0.1"`
}

// Volume mounts one thing. Exactly one of `name`, `path` and `disposable` says what.
type Volume struct {
	// A named volume of the app, or, with `app`, of another.
	Name string `key:"name" pattern:"id"`
	// Id of another app whose named volume is mounted.
	App string `key:"app" pattern:"id"`
	// Mount nothing if the other app is not installed, or does not share the volume. When that changes, the container is restarted.
	Optional bool `key:"optional"`
	// Directory or file in the named volume that is mounted instead of the whole volume. It must not be reached through a link that leads out of the volume. If it is missing, a container that can write to a volume of its own app creates a directory before its start; a volume with `device`, and one of another app, must have it. Needs Podman 5.4.
	Subpath string `key:"subpath" pattern:"relpath"`
	// A file or directory of the host.
	Path string `key:"path" pattern:"hostpath"`
	// The content is deleted at each stop. For a VOLUME of the image whose content is not needed.
	Disposable bool `key:"disposable"`
	// Mount point in the container.
	Target string `key:"target" need:"required" pattern:"target"`
	// Mount it read-only.
	ReadOnly bool `key:"read_only"`
	// Change the owner of the content to the container's user at each start (Podman's `U`). For host paths. A new named volume needs no `chown`: it belongs to the container's user, with the content of the image's directory, regardless of that directory's owner. If several parts mount the volume, it belongs to the user of the first part that can write to it, `main` first. A volume that holds data keeps its owners. A volume with `device`, `type` or `options` has those of its file system. If the manifest sets no `user` and the image starts as root, the volume keeps the owner of the image's directory: such an image changes its user by itself.
	Chown bool `key:"chown"`
	// SELinux label: `shared` between containers or `private` to this one.
	Relabel string `key:"relabel" enum:"shared|private"`
	// Files in the volume of another app, or in its `subpath`, that the container reads only at its start, such as a `.cookie`. When the content of one changes, the container is restarted once. The volume must be mounted `read_only`.
	Watch []string `key:"watch" pattern:"relpath"`
}

// VolumeOptions are settings of a named volume. They apply when it is created.
type VolumeOptions struct {
	// Device or directory that backs the volume.
	Device string `key:"device" pattern:"path"`
	// File system type of the device.
	Type string `key:"type" pattern:"option"`
	// Mount options of the device.
	Options string `key:"options" pattern:"option"`
	// Labels of the volume.
	Labels map[string]string `key:"labels"`
	// An existing volume of Podman, or directory of the host, that replaces the volume `ID.NAME`. `archgen adopt` writes this key for the volumes and directories of the container that it adopts.
	Existing string `key:"existing" pattern:"source"`
	// Initial content: path in the volume, or `.` for the volume itself, to a file or folder in ID.files/ beside the manifest. One of that name in ID.d/files/ takes precedence. archgen copies it once, byte for byte, when the volume is new; the files then belong to the app. A volume with `device` takes none, and with `existing` it has no effect.
	Seed map[string]string `key:"seed" pattern:"filename"`
}

// Tmpfs is a memory file system.
type Tmpfs struct {
	// Where it is mounted in the container.
	Target string `key:"target" need:"required" pattern:"target"`
	// Maximum size.
	Size Size `key:"size" min:"4k"`
	// Permissions of its root directory.
	Mode Mode `key:"mode"`
}

// File is a configuration file, rendered from a template.
type File struct {
	// Name of the template in ID.files/ beside the manifest. A file of that name in ID.d/files/ takes precedence. docs/files.md describes the syntax.
	Template string `key:"template" need:"required" pattern:"filename"`
	// Mount point in the container, read-only.
	Target string `key:"target" need:"required" pattern:"target"`
	// Permissions of the file. Its owner is the container's user.
	Mode Mode `key:"mode" default:"0400"`
	// The running program can read the file again: a change reloads the container instead of restarting it. The container needs `reload`.
	Reload bool `key:"reload"`
}

// Secret is a value that only the containers that use it can read.
type Secret struct {
	// Name of the secret within the app.
	Name string `key:"name" need:"required" pattern:"id"`
	// Purpose of the secret, shown to the operator who supplies it.
	Description string `key:"description" pattern:"line"`
	// Generate a random value. Without it, the operator supplies the value.
	Generate *Generate `key:"generate"`
	// Derive the value from another secret of the app.
	Derive *Derive `key:"derive"`
	// The operator needs the value, such as the first password of a user interface: `archgen install` prints the command that shows it.
	Show bool `key:"show"`
}

// Generate describes a random secret.
type Generate struct {
	// Number of characters.
	Length int `key:"length" min:"8" max:"1024" default:"32"`
	// Set of characters.
	Alphabet string `key:"alphabet" enum:"alnum|hex|url|base64" default:"url"`
}

// Derive makes a secret from another one.
type Derive struct {
	// Name of the other secret.
	From string `key:"from" need:"required" pattern:"id"`
	// How the value is derived. docs/secrets.md describes the methods.
	Method string `key:"method" need:"required" enum:"hmac|bcrypt|rpcauth|base64"`
}

// SecretMount hands a secret to a container.
type SecretMount struct {
	// Name of a secret of the app.
	Name string `key:"name" pattern:"id"`
	// Capability that the app requires, instead of `name`: its provider has the secret. An optional one without a provider gives none.
	Capability string `key:"capability" pattern:"id"`
	// Name of the export of the capability, such as `password_secret`.
	Export string `key:"export" pattern:"export"`
	// Path of the file in the container; NAME is the name of the secret, or of the export.
	Target string `key:"target" pattern:"target" default:"/run/secrets/NAME"`
	// Permissions of the file.
	Mode Mode `key:"mode" default:"0400"`
	// Owner of the file.
	UID *int `key:"uid" min:"0" max:"4294967294"`
	// Group of the file.
	GID *int `key:"gid" min:"0" max:"4294967294"`
	// Environment variable that gets the value instead of a file, for programs that can't read one.
	Env string `key:"env" pattern:"envname"`
	// Reason for using the environment.
	Waiver string `key:"waiver" pattern:"line"`
}

// Device is a device of the host. In short: the path, or the CDI name. Exactly one of `path` and `cdi` says which.
type Device struct {
	// Path on the host.
	Path string `key:"path" pattern:"devpath"`
	// Name in the Container Device Interface, such as `nvidia.com/gpu=all` for all GPUs of NVIDIA. The host needs a CDI specification of the device, such as the one that `nvidia-ctk cdi generate` writes. Other GPUs need none: their path is `/dev/dri`.
	CDI string `key:"cdi" pattern:"cdi"`
	// Path in the container; the same when left out.
	Target string `key:"target" pattern:"devpath"`
	// Permissions: any of r (read), w (write), m (make nodes).
	Permissions string `key:"permissions" enum:"r|w|m|rw|rm|wm|rwm"`
	// Start without the device if the host does not have it.
	Optional bool `key:"optional"`
}

// Capabilities are Linux capabilities, without the CAP_ prefix.
type Capabilities struct {
	// Capabilities that the container keeps.
	Add []string `key:"add" pattern:"capability"`
}

// Security configures the confinement beyond Linux capabilities.
type Security struct {
	// Processes can gain privileges through set-user-ID programs.
	AllowNewPrivileges bool `key:"allow_new_privileges"`
	// Seccomp profile on the host, or `unconfined`.
	Seccomp string `key:"seccomp" pattern:"profile"`
	// AppArmor profile, or `unconfined`.
	AppArmor string `key:"apparmor" pattern:"option"`
	// Disable SELinux separation.
	LabelDisable bool `key:"label_disable"`
	// SELinux process type.
	LabelType string `key:"label_type" pattern:"option"`
	// Kernel paths to hide.
	Mask []string `key:"mask" pattern:"path"`
	// Kernel paths to show, or ALL.
	Unmask []string `key:"unmask" pattern:"unmask"`
}

// Limits bound the resources of a container.
type Limits struct {
	// Memory. All containers of a service together never get more than 80% of the machine's memory (`MemoryMax=`).
	Memory Size `key:"memory" min:"6m"`
	// Memory that the kernel reclaims from the container only if it can reclaim none elsewhere (`MemoryLow=` of the service). It protects memory in use and allocates none. What the slices above the service protect limits it; they protect nothing unless the operator sets their `MemoryLow=`.
	MemoryReservation Size `key:"memory_reservation" min:"1m"`
	// Processor cores; fractions are allowed.
	CPUs Decimal `key:"cpus"`
	// Share of the processors when services compete for them, relative to others, which have 100 (`CPUWeight=` of the service). Above 100, the app needs a grant.
	CPUWeight int `key:"cpu_weight" min:"1" max:"10000"`
	// Processes and threads; Podman's default, 2048, when left out.
	Pids int `key:"pids" min:"1" max:"4194304"`
	// Open files.
	NoFile int `key:"nofile" min:"16" max:"1073741816"`
	// Locked memory; `-1` is unlimited.
	MemLock int `key:"memlock" min:"-1" max:"9223372036854775807"`
	// Other limits, as `ulimit` names them, soft or soft:hard.
	Ulimits map[string]string `key:"ulimits" pattern:"ulimit"`
	// Size of /dev/shm.
	Shm Size `key:"shm" min:"4k"`
}

// Start configures the start of a container.
type Start struct {
	// Time limit until the container serves.
	Timeout Duration `key:"timeout" min:"1s" max:"7d" default:"5m"`
}

// Stop configures the stop of a container.
type Stop struct {
	// Time limit for the program to exit before it is killed. systemd waits 30 s longer.
	Timeout Duration `key:"timeout" min:"1s" max:"1d" default:"30s; 2m for database; 30m for chain"`
	// Signal that asks the program to exit; that of the image, or SIGTERM, when left out.
	Signal string `key:"signal" pattern:"signal"`
	// Exit codes of a clean exit, besides 0, 130, 131 and 143. With one of these the unit does not count as failed, and `restart.policy: on-failure` does not restart it.
	SuccessExitCodes []int `key:"success_exit_codes" min:"1" max:"255"`
}

// Reload makes a running program read its files again.
type Reload struct {
	// Signal that makes the program read its files again, such as `SIGHUP`. Process 1 of the container gets it.
	Signal string `key:"signal" need:"required" pattern:"signal"`
}

// Restart configures what systemd does when the container exits.
type Restart struct {
	// When systemd restarts the container.
	Policy string `key:"policy" enum:"always|on-failure|no" default:"always; no for oneshot"`
	// Delay before the first restart. It grows with each further one: by default 0.1 s, 0.5 s, 2.5 s, 12 s, 1 min, then 5 min. Ten minutes after which the container still runs and serves end the series.
	Delay Duration `key:"delay" min:"100ms" max:"1h" default:"100ms"`
	// Longest delay.
	MaxDelay Duration `key:"max_delay" min:"100ms" max:"1d" default:"5m; at least delay"`
	// Stop restarting after a number of starts within a time.
	Limit *RestartLimit `key:"limit"`
}

// RestartLimit ends a restart loop in the state `failed`. Without it systemd restarts the container every `max_delay`. Each part has its own limit; crashes of other parts do not count. With the default delays a container that exits immediately is started six times in 1.3 min, seven times in 6.3 min, and then every 5 min. The count begins again when the series of delays does.
type RestartLimit struct {
	// Number of starts.
	Burst int `key:"burst" need:"required" min:"1" max:"1000"`
	// Time within which starts are counted.
	Interval Duration `key:"interval" need:"required" min:"1s" max:"30d"`
}

// Health configures the probes of a container at three levels.
type Health struct {
	// Disable the health check of the image.
	Disable bool `key:"disable"`
	// The app answers at all.
	Alive *Probe `key:"alive"`
	// The app answers correctly. The start of the unit waits for this.
	Serving *Probe `key:"serving"`
	// The app has caught up, for example with the blockchain.
	Synced *Probe `key:"synced"`
}

// Probe is one question to a container. It has exactly one kind.
type Probe struct {
	// HTTP request; the status must be below 400.
	HTTP *HTTPProbe `key:"http"`
	// The same over TLS; the certificate is not verified.
	HTTPS *HTTPProbe `key:"https"`
	// A connection that stays open for 300 ms. This proves little: a forwarded port accepts connections for an app that is down.
	TCP *TCPProbe `key:"tcp"`
	// JSON-RPC 1.0 or 2.0 over HTTP.
	JSONRPC *JSONRPCProbe `key:"jsonrpc"`
	// Electrum protocol: server.version returns a result.
	Electrum *TCPProbe `key:"electrum"`
	// PostgreSQL: the server accepts a startup message.
	Postgres *TCPProbe `key:"postgres"`
	// Redis or Valkey: PING returns PONG, or asks for a password.
	Redis *TCPProbe `key:"redis"`
	// MySQL or MariaDB: the server sends its greeting.
	MySQL *TCPProbe `key:"mysql"`
	// A command in the container that exits with 0. It has to limit its own run time. `${…}` variables are replaced.
	Exec Words `key:"exec" variables:"yes"`
	// Time from the end of a probe to the next one.
	Interval Duration `key:"interval" min:"1s" max:"1d" default:"30s"`
	// Time limit for one answer. It can be longer than the interval: probes never overlap.
	Timeout Duration `key:"timeout" min:"100ms" max:"10m" default:"5s; at most interval"`
	// Failures in a row after which the container counts as unhealthy.
	Retries int `key:"retries" min:"1" max:"1000" default:"3"`
	// Time after the start during which failures don't count.
	StartPeriod Duration `key:"start_period" max:"7d" default:"0s"`
}

// HTTPProbe requests a page.
type HTTPProbe struct {
	// Name of a port of the container.
	Port string `key:"port" need:"required" pattern:"id"`
	// Path and query.
	Path string `key:"path" pattern:"urlpath" default:"/"`
	// Accepted status codes; any below 400 when left out.
	Status []int `key:"status" min:"100" max:"599"`
	// Text that the body must contain.
	Contains string `key:"contains" pattern:"text"`
}

// TCPProbe connects to a port.
type TCPProbe struct {
	// Name of a port of the container.
	Port string `key:"port" need:"required" pattern:"id"`
}

// JSONRPCProbe calls a method.
type JSONRPCProbe struct {
	// Name of a port of the container.
	Port string `key:"port" need:"required" pattern:"id"`
	// Path of the endpoint.
	Path string `key:"path" pattern:"urlpath" default:"/"`
	// Method to call.
	Method string `key:"method" need:"required" pattern:"option"`
	// User for basic authentication.
	User string `key:"user" pattern:"line"`
	// Name of the secret that holds the password.
	PasswordSecret string `key:"password_secret" pattern:"id"`
	// Members that the result must have, and their values.
	Expect map[string]string `key:"expect"`
}

// After orders the parts of an app.
type After struct {
	// Name of the other part.
	Part string `key:"part" need:"required" pattern:"id"`
	// State that the other part must have reached: its container runs, it serves, or its work is done.
	Until string `key:"until" enum:"started|serving|completed" default:"serving"`
}

// Share lets another app mount a volume of this one.
type Share struct {
	// Volume of this app.
	Volume string `key:"volume" need:"required" pattern:"id"`
	// The app that may mount it.
	App string `key:"app" need:"required" pattern:"id"`
	// It can change the content. Otherwise it has to mount the volume `read_only`.
	Write bool `key:"write"`
}

// Provide offers a capability to other apps. They reach the part under the name of the capability on the network of the capability.
type Provide struct {
	// Name of the capability.
	Capability string `key:"capability" need:"required" pattern:"id"`
	// Part that provides it.
	Part string `key:"part" pattern:"id" default:"main"`
	// Name of the port at which consumers reach it.
	Port string `key:"port" pattern:"id"`
	// Named values for consumers. A name that ends in `_secret` exports a secret. `host` is reserved, and so is `port` together with the key `port`: they are the address of the part.
	Exports map[string]string `key:"exports" pattern:"line"`
	// Exports for single apps, by id. They replace the exports of the same names. No other app gets them.
	For map[string]map[string]string `key:"for" pattern:"line"`
	// Only with `tor`: the file with the address of a hidden service, as VOLUME/PATH with `{app}` for the id of its app and `{port}` for the port of the service.
	Onions string `key:"onions" pattern:"line"`
	// Other apps can provide the capability at the same time; consumers get the first by id.
	Shared bool `key:"shared"`
}

// Require asks for a capability that another app provides.
type Require struct {
	// Name of the capability.
	Capability string `key:"capability" need:"required" pattern:"id"`
	// Parts that use it.
	Parts []string `key:"parts" pattern:"id" default:"[main]"`
	// State that the provider must have reached before this app starts: its container runs, or it serves.
	Until string `key:"until" enum:"started|serving" default:"serving"`
	// The app works without it.
	Optional bool `key:"optional"`
	// The app resolves the provider's address only at its start. It is restarted when the provider was restarted and serves.
	Follow bool `key:"follow"`
}

// Hooks are steps around the start of an app. Nothing runs on the host: steps are declarations, or commands in the app's own image.
type Hooks struct {
	// Steps before each start, in order.
	PreStart []Step `key:"pre_start"`
	// Commands that run once in the started container, in order.
	Once []Once `key:"once"`
}

// Step is one prestart step. It has exactly one of `ensure_dir`, `wait_for` and `run`. A step that fails or exceeds its timeout fails the start of its part.
type Step struct {
	// Create a directory. Links are not followed.
	EnsureDir *EnsureDir `key:"ensure_dir"`
	// Wait for a file, a port or a capability.
	WaitFor *WaitFor `key:"wait_for"`
	// Name of a migration: the command of `run` runs once for it, also for a new app.
	Migrate string `key:"migrate" pattern:"line"`
	// Run a command in the part's image, with its user, mounts, networks and environment.
	Run Words `key:"run"`
	// Part before whose start the step runs.
	Part string `key:"part" pattern:"id" default:"main"`
	// Time limit of the step. The timeout of `wait_for` takes precedence.
	Timeout Duration `key:"timeout" min:"1s" max:"1d" default:"1m"`
}

// Once is a command that runs once in the started container: when its part serves, or has started if it has no probe. archgen then records it, so that neither a later start nor a new version runs it again. A command that fails or exceeds its timeout fails the start of its part; the next start runs it again.
type Once struct {
	// Name under which archgen records that the command has run, for this part of the app.
	Name string `key:"name" need:"required" pattern:"id"`
	// Command to run, as the container's user, with its environment.
	Run Words `key:"run" need:"required"`
	// Part in whose container the command runs.
	Part string `key:"part" pattern:"id" default:"main"`
	// Time limit of the command.
	Timeout Duration `key:"timeout" min:"1s" max:"1d" default:"1m"`
}

// EnsureDir is a directory in a volume.
type EnsureDir struct {
	// Named volume of the app.
	Volume string `key:"volume" need:"required" pattern:"id"`
	// Path within the volume.
	Path string `key:"path" need:"required" pattern:"relpath"`
	// Owner in the container, `uid:gid`; the user of the part when left out.
	Owner string `key:"owner" pattern:"user"`
	// Permissions.
	Mode Mode `key:"mode" default:"0750"`
}

// WaitFor is something to wait for.
type WaitFor struct {
	// A file in a volume of the app, as VOLUME/PATH.
	File string `key:"file" pattern:"relpath"`
	// A port of another part of the app, with a host port.
	Port string `key:"port" pattern:"id"`
	// A capability that the app requires.
	Capability string `key:"capability" pattern:"id"`
	// State that the provider of the capability must have reached.
	Until string `key:"until" enum:"started|serving|synced" default:"serving"`
	// Time limit; the timeout of the step when left out.
	Timeout Duration `key:"timeout" min:"1s" max:"1d"`
}

// Onion is a port with a Tor hidden service.
type Onion struct {
	// Name of the port.
	Port string `key:"port" need:"required" pattern:"id"`
	// Port of the hidden service; the container's port when left out.
	Virtual int `key:"virtual" min:"1" max:"65535"`
}

// Data configures what happens to the app's data.
type Data struct {
	// Keep volumes, secrets and overlays when `archgen remove` removes the app. With `false` it deletes them, after asking.
	Retain bool `key:"retain" default:"true"`
	// Content of a backup.
	Backup Backup `key:"backup"`
	// Number of the format in which this version writes the data. It grows when a version converts the data so that the version before can't read it. archgen records it at each start, and never starts a version on data that it can't read. Without it, `archgen update` saves the data whenever a version writes it with another image.
	Format int `key:"format" min:"1" max:"1000000000"`
	// Oldest format that this version can read and convert; `format` when left out.
	Reads int `key:"reads" min:"1" max:"1000000000"`
}

// Oldest is the oldest format that the app can read.
func (d Data) Oldest() int { return cmp.Or(d.Reads, d.Format) }

// Backup selects data. Entries are VOLUME or VOLUME/PATH; `*` matches within a name.
type Backup struct {
	// Include only these; everything when left out.
	Include []string `key:"include" pattern:"glob"`
	// Exclude these.
	Exclude []string `key:"exclude" pattern:"glob"`
}

// Update configures how the app gets newer versions.
type Update struct {
	// Newer releases in the app's catalog that `archgen update --auto` installs. `manual`: none. `security`: those that close a known hole. `auto`: all. The operator always decides about further rights, another publisher of an image, and the loss of what consumers rely on. `hold`: none, and `archgen update --all` leaves the app out. `registry` or `local`: as `manual`, and `podman auto-update` replaces images that have no digest.
	Policy string `key:"policy" enum:"manual|security|auto|hold|registry|local" default:"manual"`
	// How long a release has to be known to this machine before an update that does not name the app installs it.
	Wait Duration `key:"wait" min:"1m" max:"52w"`
	// Whether an update saves the data of the app before a release converts it, and restores it if the release does not serve. `never`: not, because older data does harm, as the state of payment channels does. Such a release stays then, and only an operator who names the app installs it.
	Restore string `key:"restore" enum:"auto|never" default:"auto"`
	// How long an app is on trial once it serves after an update. If it, or an app that needs it, fails in this time, the update is rolled back.
	Trial Duration `key:"trial" min:"1s" max:"7d" default:"10m"`
	// Keeps the app at its version. `archgen hold` writes it into an overlay.
	Hold *Hold `key:"hold"`
}

// Hold keeps an app at its version. An update that names the app still updates it.
type Hold struct {
	// First day on which the app is not held any more; without it the app is held until `archgen unhold`.
	Until string `key:"until" pattern:"date"`
	// Reason, for people.
	Why string `key:"why" pattern:"line"`
}

// Settings are what differs between nodes, from archipelago.toml.
type Settings struct {
	// Bitcoin network, `${settings.network}`.
	Network string `key:"network" enum:"mainnet|testnet4|signet|regtest" default:"mainnet"`
	// Host name of the machine for its users, `${settings.host_name}`.
	HostName string `key:"host_name" pattern:"hostname" default:"localhost"`
	// Podman version to render for.
	Podman string `key:"podman" pattern:"podman"`
	// Rights that every app has beyond the safe set, as in `grants.toml`. Prefer `KIND` to `KIND:SUBJECT`.
	Allow []string `key:"allow" pattern:"right"`
}

// Grants is what the operator grants to one app, from grants.toml in the directory of its overlays.
type Grants struct {
	// Rights that the app has beyond the safe set: `KIND:SUBJECT` as `archgen rights` lists them, or `KIND` for all of that kind.
	Allow []string `key:"allow" need:"required" pattern:"right"`
}
