package importer

// Severity says what happens to a key of the source.
type Severity string

// The severities, the least first.
const (
	// Kept is said by the manifest.
	Kept Severity = "kept"
	// Asked is decided by a default, which an answer can change.
	Asked Severity = "asked"
	// Approximated is said by something near, or by an escape hatch.
	Approximated Severity = "approximated"
	// Dropped is left out: the app runs without it, and differs.
	Dropped Severity = "dropped"
	// Refused is something that the app needs and that no manifest can say, or that only a
	// person can decide.
	Refused Severity = "refused"
)

// Code is the stable name of what happens to a key.
type Code string

// The codes. Each has an entry in Losses.
const (
	KeptAsIs        Code = "kept"
	NoMeaning       Code = "no-meaning"
	Journal         Code = "journal"
	MainPart        Code = "main-part"
	NewVolume       Code = "new-volume"
	HostPath        Code = "host-path"
	Exposure        Code = "exposure"
	UserInterface   Code = "user-interface"
	UIScheme        Code = "ui-scheme"
	Capabilities    Code = "linux-capabilities"
	SecretValue     Code = "secret"
	Variable        Code = "variable"
	PassedVariable  Code = "passed-variable"
	TimeZone        Code = "time-zone"
	Profile         Code = "profile"
	Privilege       Code = "privilege"
	ExistingVolume  Code = "existing-volume"
	Specifier       Code = "specifier"
	LoginProxy      Code = "login-proxy"
	ForeignVolume   Code = "foreign-volume"
	AnonymousVolume Code = "anonymous-volume"
	EngineSocket    Code = "engine-socket"
	MovedImage      Code = "moved-image"

	RawArgument      Code = "raw-argument"
	PlainSecret      Code = "plain-secret"
	StaticAddress    Code = "static-address"
	FileReadOnly     Code = "file-read-only"
	DirectoryFiles   Code = "directory-files"
	RandomPort       Code = "random-port"
	RestartLimit     Code = "restart-limit"
	LocalBuild       Code = "local-build"
	PullInterval     Code = "pull-interval"
	UserNamespace    Code = "user-namespace"
	HostNamespace    Code = "host-namespace"
	RestartCondition Code = "restart-condition"
	NotRecorded      Code = "not-recorded"
	NoCommand        Code = "no-command"
	OtherName        Code = "container-name"
	PodMember        Code = "pod"
	SystemdUnit      Code = "systemd-unit"
	EnginePath       Code = "engine-path"
	OneAddress       Code = "one-address"

	ProxyLabel     Code = "proxy-label"
	Label          Code = "label"
	LogDriver      Code = "log-driver"
	Swarm          Code = "swarm"
	NoEquivalent   Code = "no-equivalent"
	UnknownKey     Code = "unknown-key"
	StartInterval  Code = "start-interval"
	DependsOption  Code = "depends-option"
	MountOption    Code = "mount-option"
	NetworkOption  Code = "network-option"
	BuildOption    Code = "build-option"
	PortOption     Code = "port-option"
	CPUReservation Code = "cpu-reservation"
	SecurityOption Code = "security-option"
	Directive      Code = "directive"
	Script         Code = "script"

	UnsetVariable    Code = "unset-variable"
	BadInterpolation Code = "bad-interpolation"
	BadSource        Code = "bad-source"
	BadSourceValue   Code = "bad-source-value"
	NotRepresentable Code = "not-representable"
	NoService        Code = "no-service"
	ImageName        Code = "image-name"
	SecretInValue    Code = "secret-in-value"
	ExternalNetwork  Code = "external-network"
	NetworkDriver    Code = "network-driver"
	ForeignContainer Code = "foreign-container"
	VolumeDriver     Code = "volume-driver"
	InitialContent   Code = "initial-content"
	BinaryFile       Code = "binary-file"
	MissingFile      Code = "missing-file"
	OutsideDirectory Code = "outside-directory"
	BuildSource      Code = "build-source"
	GPU              Code = "gpu"
	Runtime          Code = "runtime"
	HostName         Code = "host-name"
	HostPathName     Code = "host-path-name"
	SysctlValue      Code = "sysctl-value"
	Replicas         Code = "replicas"
	LifecycleHook    Code = "lifecycle-hook"
	Model            Code = "model"
	Protocol         Code = "protocol"
	EmptyEntrypoint  Code = "empty-entrypoint"
	ExternalSecret   Code = "external-secret"
	MountKind        Code = "mount-kind"
	ForeignUnit      Code = "foreign-unit"
	HostCommand      Code = "host-command"
	UnitKind         Code = "unit-kind"
	ForeignSecret    Code = "foreign-secret"
	ForeignValue     Code = "foreign-value"
	OnionAddress     Code = "onion-address"
	MachineAddress   Code = "machine-address"
	HostDirectory    Code = "host-directory"
)

// Loss documents a code: what happens to the key, and what a person can do.
type Loss struct {
	Code     Code
	Severity Severity
	Meaning  string
	Mend     string
}

// Losses lists every code. docs/import.md is generated from it. When the schema learns to say
// something, the row of its code changes.
var Losses = []Loss{
	{KeptAsIs, Kept, "The manifest says the same.", ""},
	{NoMeaning, Kept, "The key says nothing about how the app runs: an `x-` key, `version`, or a tool's own setting.", ""},
	{Journal, Kept, "What the container prints is in the journal.", ""},

	{MainPart, Asked, "The service becomes the part `main`, which is `app@ID.service`.", "`--set main=SERVICE` to choose another one."},
	{NewVolume, Asked, "A directory beside the source becomes a named volume, which begins with a copy of what the directory has now (`ID.files`).", "Copy later data into the volume, or `--set mount.PATH=/absolute/path` to mount a directory of the host."},
	{HostPath, Asked, "The app mounts a file or directory of the host, which other programs may use. Installing the app needs a grant for it.", "`--set mount.PATH=/other/path`, or `--set mount.PATH=volume` for a named volume."},
	{Exposure, Asked, "Compose publishes the port on all addresses; the manifest publishes it on loopback only.", "`--set expose=network` for all ports, or `--set expose.PORT=network` for one."},
	{UserInterface, Asked, "The port becomes the user interface. archgen then asks it for a page, and an answer below 400 within the start timeout is needed to start.", "`--set ui=none`, or `--set ui=PORT` with the host port."},
	{UIScheme, Asked, "The port of the user interface usually speaks https, and archgen asks it for a page by https.", "`--set ui.scheme=http`."},
	{Capabilities, Asked, "Compose keeps 14 Linux capabilities; archgen drops all that the manifest does not list. The manifest lists them.", "`--set capabilities=none` if the program needs none of them, `--set capabilities=podman` for the 11 that need no grant. Neither lets set-user-ID programs gain privileges."},
	{SecretValue, Asked, "The value becomes a secret. The manifest does not hold it.", "`archgen secret set ID.NAME` with the value, `--set secret.NAME=generate` for a random one, or `--set secret.NAME=plain` to write it into the manifest."},
	{Variable, Asked, "The variable has its default.", "`--set variable.NAME=VALUE`."},
	{PassedVariable, Asked, "The variable would be passed on from the shell of the caller. It is left out.", "`--set variable.NAME=VALUE`."},
	{TimeZone, Asked, "The time zone is that of the host.", "`--set timezone=Europe/Zurich`."},
	{Profile, Asked, "The service belongs to a profile and is not imported.", "`--set profiles=NAME,NAME`."},
	{Privilege, Asked, "The container gets a right that can harm the host. Installing the app needs a grant for it.", "Remove the key from the manifest if the app works without it."},
	{ExistingVolume, Asked, "The volume exists outside of the app. The manifest names it with `existing`; Podman must have it before the app starts.", "`--set mount.NAME=volume` for a new, empty volume. `podman volume import` copies a volume of Docker."},
	{Specifier, Asked, "A specifier of systemd, such as `%h`, is replaced by what it stands for where the user that imports runs the unit.", "`--set specifier.h=/home/USER`."},

	{LoginProxy, Asked, "The platform asks for its login before it shows the app. Nothing does that here; the user interface is published on loopback only.", "Use the login of the app if it has one, before `--set expose=network`."},
	{ForeignVolume, Asked, "The app mounts a volume of another app, which has to share it.", "Add `shares` to the other app, in an overlay; `archgen check` prints the line."},
	{AnonymousVolume, Asked, "What the container stores there is in a volume without a name. The manifest has a new volume; archgen does not adopt the container before its data is copied, and prints the commands.", "`--set mount.TARGET=disposable` if the data may be lost."},
	{EngineSocket, Asked, "The container uses the socket of the container engine. With `engine: read` it sees all containers, and no secrets; with `engine: full` it can do whatever the user can who runs Podman. Installing the app needs a grant for either. Without an answer, a socket that is not mounted read-only is left out, and the finding is `refused`.", "`--set engine=read`, `full` or `none`, or `--set engine.SERVICE=read` for one service."},
	{MovedImage, Asked, "The name of the image refers to another image since the container was made. The app runs that one.", "Write the digest: `image: NAME@sha256:…`."},

	{RawArgument, Approximated, "An argument of `podman run` says it (`podman_args`), which archgen does not check.", "Leave it out if the app works without it."},
	{PlainSecret, Approximated, "A password stays in the manifest as plain text.", "Have the program read it from a file in /run/secrets, or from a template of `files`."},
	{StaticAddress, Approximated, "The container has no fixed address; other parts reach it by its name.", "Replace the address by the name of the part where the app is told it."},
	{FileReadOnly, Approximated, "The file becomes a template in `ID.files`, which is mounted read-only. The app can't change it.", "Have the app write to a volume, or `--set mount.PATH=/absolute/path`."},
	{DirectoryFiles, Approximated, "Each file of the directory becomes a template that is mounted by itself. Other files that the image has there stay visible.", "`--set mount.PATH=/absolute/path` to mount a directory of the host."},
	{RandomPort, Approximated, "Compose picks a free host port at each start. The manifest publishes one fixed port, or none.", "Write the host port."},
	{RestartLimit, Approximated, "The number of restarts is limited within a time instead of in all.", "Change `restart.limit`."},
	{LocalBuild, Approximated, "The image is built from a directory of this machine, which has to stay there.", "Push the image to a registry and write `image`."},
	{PullInterval, Approximated, "The image is pulled at a start if there is a newer one.", "Set `update.policy`."},
	{UserNamespace, Approximated, "The container has the user namespace of the user that runs Podman.", "Set `userns`."},
	{HostNamespace, Approximated, "An argument of `podman run` shares a namespace of the host (`podman_args`).", "Leave it out if the app works without it."},
	{RestartCondition, Approximated, "systemd restarts the container in other cases than the manifest can name.", "Set `restart.policy`."},
	{NotRecorded, Approximated, "archgen rendered the files, and they do not record all of the manifest.", "Use the manifest that they were rendered from."},
	{NoCommand, Approximated, "Podman does not know the command that made the container, and so not its kernel parameters, devices of rootless containers, and secrets in environment variables.", "Import what made the container, such as a Compose project, or compare."},
	{OtherName, Approximated, "The container has another name than that of the part, by which archgen finds what it adopts. Without that, the container and the part would run at the same time, with the same volumes.", "Rename the container, as the message says, or stop it, before the app is installed."},
	{PodMember, Approximated, "Containers of a pod become parts that share the network of one of them, and no other namespace. The pod keeps its ports until it is stopped.", "`podman pod stop POD` before the app is installed, and `podman pod rm POD` when the app serves."},
	{EnginePath, Approximated, "The socket of the container engine has another path in the container.", "Tell the program, often with `DOCKER_HOST: unix:///var/run/docker.sock` in `env`."},
	{OneAddress, Approximated, "The source has all addresses of the machine. The manifest has `${machine.address}`, the one in the local network.", "Add other addresses by hand if people use them."},
	{SystemdUnit, Approximated, "A unit of systemd starts and restarts the container, and Podman does not know how. The part restarts always. archgen does not adopt the container while the unit is enabled.", "Import the Quadlet file, if it has one, with `archgen import quadlet`."},

	{ProxyLabel, Dropped, "The label configures a reverse proxy that is not part of the app.", "Publish the port, and configure the proxy that you run."},
	{Label, Dropped, "The label's name is one that archgen does not accept.", "Rename it."},
	{LogDriver, Dropped, "The log goes to the journal and nowhere else.", "Forward the journal."},
	{Swarm, Dropped, "Only a cluster reads the key.", ""},
	{NoEquivalent, Dropped, "The manifest has no such key.", "Leave it out if the app works without it."},
	{UnknownKey, Dropped, "Compose has no such key.", "Correct its spelling."},
	{StartInterval, Dropped, "The health check has one interval, also during the start.", "Shorten `interval`."},
	{DependsOption, Dropped, "A part that restarts does not restart the parts that started after it.", ""},
	{MountOption, Dropped, "The option of the mount is left out.", "Check that the app works without it."},
	{NetworkOption, Dropped, "The option of the network is left out.", "Check that the app works without it."},
	{BuildOption, Dropped, "The option of the build is left out.", "Build the image yourself and write `image`."},
	{PortOption, Dropped, "The option of the port is left out.", ""},
	{CPUReservation, Dropped, "No processor time is reserved.", "Set `limits.cpus` of other apps."},
	{Directive, Dropped, "A manifest can't set the directive of systemd.", "Leave it out, or set it in a drop-in of the unit."},
	{SecurityOption, Dropped, "The security option is left out.", "See `security` in docs/manifest.md."},
	{Script, Dropped, "A script of the platform is not run. The app may need what it does.", "Read it. What prepares the app goes into `hooks.pre_start`, what sets up the running app into `hooks.once`, a value into `--set variable.NAME=VALUE`."},

	{UnsetVariable, Refused, "A variable has no value.", "`--set variable.NAME=VALUE`, or write it into `.env` beside the source."},
	{BadInterpolation, Refused, "A `$` is followed by something that is not a variable.", "Write `$$` for a literal `$`."},
	{BadSource, Refused, "The file can't be read as Compose reads it.", "Correct it at the position shown."},
	{BadSourceValue, Refused, "The value is not one that Compose takes for this key.", "Correct it at the position shown."},
	{NotRepresentable, Refused, "`archgen check` refuses what the value becomes, so it is left out.", "The message says what the manifest accepts."},
	{NoService, Refused, "There is no service to import.", "Name a directory or file with services."},
	{ImageName, Refused, "The service has no image, or one whose name is no image reference.", "Correct the name; a variable may be unset."},
	{SecretInValue, Refused, "A secret is a part of a larger value, which a manifest says only of environment variables, and of scripts for a shell (`sh -c`) outside of single quotes. The value is left out.", "Have the program read the secret from its environment or a file, or `--set secret.NAME=plain`."},
	{ExternalNetwork, Refused, "The network belongs to another project.", "Offer what is reached there as a capability (`provides`), and require it here."},
	{NetworkDriver, Refused, "Apps have bridge networks only.", "Publish the port, or set `network: host`."},
	{ForeignContainer, Refused, "The service uses a container or service that is not part of the app.", "Add it to the app, or offer it as a capability."},
	{VolumeDriver, Refused, "A volume is a directory or a device of the machine.", "Mount the remote file system on the host, and `--set mount.NAME=/absolute/path`."},
	{InitialContent, Refused, "The directory has more than a new volume can begin with (4 MiB in 1,000 files), or what can't be read. The volume is empty.", "Copy the content into the volume, or `--set mount.PATH=/absolute/path` to mount the directory of the host."},
	{BinaryFile, Refused, "The file is not text, or too large for a template.", "`--set mount.PATH=/absolute/path` to mount the file of the host."},
	{MissingFile, Refused, "The file does not exist beside the source.", "Import the directory that has it."},
	{OutsideDirectory, Refused, "The path leads out of the directory that is imported.", "`--set mount.PATH=/absolute/path`, or import the directory above."},
	{BuildSource, Refused, "The image is built from something that is not a directory beside the source.", "Build it yourself and write `image`."},
	{GPU, Refused, "The device has a driver other than NVIDIA's and no CDI name.", "Add its device files or its CDI name with `devices`."},
	{Runtime, Refused, "Apps run with the default runtime of Podman.", "Leave it out if the app works without it."},
	{HostName, Refused, "The name is not one that a manifest accepts.", "Rename it where it is used, too."},
	{HostPathName, Refused, "The path has characters that a manifest does not accept.", "Make a link without them, and `--set mount.PATH=/other/path`."},
	{SysctlValue, Refused, "The kernel parameter has characters that a manifest does not accept.", "Set it on the host."},
	{Replicas, Refused, "A part is one container.", "Make a part for each, or leave it at one."},
	{LifecycleHook, Refused, "The source runs the command at every start or stop of the container. A manifest runs one before each start, or once after the first.", "`hooks.pre_start`, or `hooks.once`."},
	{Model, Refused, "The service is provided by a program other than a container.", "Run what provides it as an app of its own."},
	{Protocol, Refused, "Ports are TCP or UDP.", "Set `network: host`."},
	{EmptyEntrypoint, Refused, "The entrypoint of the image can't be removed, only replaced.", "Write the program as `entrypoint`."},
	{ExternalSecret, Refused, "The value is stored by a cluster.", "Declare it with `file` or `environment`."},
	{MountKind, Refused, "The manifest has no mount of this kind.", "Use a volume, a path or a tmpfs."},
	{ForeignUnit, Refused, "The unit depends on one that is not part of the app.", "Import them together with `--id`, or offer the other one as a capability."},
	{HostCommand, Refused, "The unit runs a command of the host, which no app does.", "Run the command in the app's image with `hooks.pre_start`."},
	{UnitKind, Refused, "The file is of a kind that is not imported: a pod, a Kubernetes file, or a template of a unit.", "Write a .container file for each container."},
	{ForeignSecret, Refused, "The value is a secret of another app. It is left out.", "Have the program read it from a template of `files`, which can name it."},
	{ForeignValue, Refused, "The value is one that another app decides, and no capability exports it. It is left out.", "`--set variable.NAME=VALUE`."},
	{OnionAddress, Refused, "The value is the address of a hidden service of another app, or of a port that Tor can't reach. It is left out.", "`--set variable.NAME=ADDRESS` once it is known."},
	{MachineAddress, Refused, "The value is an address of the machine or of its networks that no variable has. It is left out.", "`--set variable.NAME=ADDRESS`, or write `${machine.address}` or `${network.subnet}`."},
	{HostDirectory, Refused, "The value is the directory of the host that the app's data is in. It is left out, since the data is in volumes.", "`--set variable.NAME=/path/in/the/container`."},
}

// lossOf is the entry of a code.
func lossOf(code Code) Loss {
	for _, l := range Losses {
		if l.Code == code {
			return l
		}
	}
	panic("the code " + string(code) + " has no entry")
}
