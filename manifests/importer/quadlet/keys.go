package quadlet

import "github.com/archipelago-os/archipelago/manifests/importer"

// row says what happens to one key: the key of a Compose service that says the same, a function
// that reads it, or the code of its loss.
type row struct {
	section, key string
	form         form
	// compose is the key of Compose; before it stands what an option of several is called there.
	compose, option string
	read            func(*unit, entry)
	loss            importer.Code
}

// form is how the values of a key stand in its lines.
type form int

const (
	// isOnce has one value; the last line counts.
	isOnce form = iota
	// isLine has a value on each line.
	isLine
	// isWords has words on each line.
	isWords
)

// containerRows is every key of a .container file. Keys of the sections Unit and Service that are
// not here are passed on if a manifest can set them.
var containerRows = []row{
	{section: "Container", key: "AddCapability", form: isWords, read: (*unit).addCapability},
	{section: "Container", key: "AddDevice", form: isWords, read: (*unit).device},
	{section: "Container", key: "AddHost", form: isLine, compose: "extra_hosts"},
	{section: "Container", key: "Annotation", form: isWords, compose: "annotations"},
	{section: "Container", key: "AppArmor", compose: "security_opt", option: "apparmor="},
	{section: "Container", key: "AutoUpdate", read: (*unit).autoUpdate},
	{section: "Container", key: "CgroupsMode", loss: importer.NoEquivalent},
	{section: "Container", key: "ContainerName", read: (*unit).containerName},
	{section: "Container", key: "ContainersConfModule", loss: importer.NoEquivalent},
	{section: "Container", key: "DNS", form: isLine, compose: "dns"},
	{section: "Container", key: "DNSOption", form: isLine, compose: "dns_opt"},
	{section: "Container", key: "DNSSearch", form: isLine, compose: "dns_search"},
	{section: "Container", key: "DropCapability", form: isWords, read: (*unit).dropCapability},
	{section: "Container", key: "Entrypoint", read: (*unit).entrypoint},
	{section: "Container", key: "Environment", form: isWords, compose: "environment"},
	{section: "Container", key: "EnvironmentFile", form: isWords, read: (*unit).environmentFile},
	{section: "Container", key: "EnvironmentHost", loss: importer.NoEquivalent},
	{section: "Container", key: "Exec", read: (*unit).exec},
	{section: "Container", key: "ExposeHostPort", form: isLine, compose: "expose"},
	{section: "Container", key: "GIDMap", form: isLine, read: raw("--gidmap")},
	{section: "Container", key: "GlobalArgs", form: isWords, loss: importer.NoEquivalent},
	{section: "Container", key: "Group", read: (*unit).group},
	{section: "Container", key: "GroupAdd", form: isLine, compose: "group_add"},
	{section: "Container", key: "HealthCmd", read: (*unit).healthCmd},
	{section: "Container", key: "HealthInterval", compose: "healthcheck.interval"},
	{section: "Container", key: "HealthLogDestination", loss: importer.NoEquivalent},
	{section: "Container", key: "HealthMaxLogCount", loss: importer.NoEquivalent},
	{section: "Container", key: "HealthMaxLogSize", loss: importer.NoEquivalent},
	{section: "Container", key: "HealthOnFailure", read: (*unit).healthOnFailure},
	{section: "Container", key: "HealthRetries", compose: "healthcheck.retries"},
	{section: "Container", key: "HealthStartPeriod", compose: "healthcheck.start_period"},
	{section: "Container", key: "HealthStartupCmd", loss: importer.NoMeaning},
	{section: "Container", key: "HealthStartupInterval", loss: importer.NoMeaning},
	{section: "Container", key: "HealthStartupRetries", loss: importer.NoMeaning},
	{section: "Container", key: "HealthStartupSuccess", loss: importer.NoMeaning},
	{section: "Container", key: "HealthStartupTimeout", loss: importer.NoMeaning},
	{section: "Container", key: "HealthTimeout", compose: "healthcheck.timeout"},
	{section: "Container", key: "HostName", compose: "hostname"},
	{section: "Container", key: "HttpProxy", read: raw("--http-proxy")},
	{section: "Container", key: "IP", compose: "networks.default.ipv4_address"},
	{section: "Container", key: "IP6", compose: "networks.default.ipv6_address"},
	{section: "Container", key: "Image", read: (*unit).image},
	{section: "Container", key: "Label", form: isWords, read: (*unit).label},
	{section: "Container", key: "LogDriver", compose: "logging.driver"},
	{section: "Container", key: "LogOpt", form: isLine, loss: importer.LogDriver},
	{section: "Container", key: "Mask", form: isWords, read: (*unit).mask},
	{section: "Container", key: "Memory", compose: "mem_limit"},
	{section: "Container", key: "Mount", form: isWords, read: (*unit).mount},
	{section: "Container", key: "Network", form: isLine, read: (*unit).network},
	{section: "Container", key: "NetworkAlias", form: isLine, read: (*unit).networkAlias},
	{section: "Container", key: "NoNewPrivileges", compose: "security_opt", option: "no-new-privileges:"},
	{section: "Container", key: "Notify", read: (*unit).notify},
	{section: "Container", key: "PidsLimit", compose: "pids_limit"},
	{section: "Container", key: "Pod", loss: importer.UnitKind},
	{section: "Container", key: "PodmanArgs", form: isWords, read: (*unit).podmanArg},
	{section: "Container", key: "PublishPort", form: isLine, read: (*unit).publish},
	{section: "Container", key: "Pull", read: (*unit).pull},
	{section: "Container", key: "ReadOnly", compose: "read_only"},
	{section: "Container", key: "ReadOnlyTmpfs", read: raw("--read-only-tmpfs")},
	{section: "Container", key: "ReloadCmd", loss: importer.NoEquivalent},
	{section: "Container", key: "ReloadSignal", loss: importer.NoEquivalent},
	{section: "Container", key: "RemapGid", form: isLine, loss: importer.UserNamespace},
	{section: "Container", key: "RemapUid", form: isLine, loss: importer.UserNamespace},
	{section: "Container", key: "RemapUidSize", loss: importer.UserNamespace},
	{section: "Container", key: "RemapUsers", loss: importer.UserNamespace},
	{section: "Container", key: "Retry", loss: importer.NoEquivalent},
	{section: "Container", key: "RetryDelay", loss: importer.NoEquivalent},
	{section: "Container", key: "Rootfs", loss: importer.ImageName},
	{section: "Container", key: "RunInit", compose: "init"},
	{section: "Container", key: "SeccompProfile", compose: "security_opt", option: "seccomp="},
	{section: "Container", key: "Secret", form: isLine, read: (*unit).secret},
	{section: "Container", key: "SecurityLabelDisable", read: (*unit).labelDisable},
	{section: "Container", key: "SecurityLabelFileType", compose: "security_opt", option: "label=filetype:"},
	{section: "Container", key: "SecurityLabelLevel", compose: "security_opt", option: "label=level:"},
	{section: "Container", key: "SecurityLabelNested", compose: "security_opt", option: "label=nested:"},
	{section: "Container", key: "SecurityLabelType", compose: "security_opt", option: "label=type:"},
	{section: "Container", key: "ServiceName", loss: importer.NoMeaning},
	{section: "Container", key: "ShmSize", compose: "shm_size"},
	{section: "Container", key: "StartWithPod", loss: importer.NoMeaning},
	{section: "Container", key: "StopSignal", compose: "stop_signal"},
	{section: "Container", key: "StopTimeout", compose: "stop_grace_period"},
	{section: "Container", key: "SubGIDMap", read: raw("--subgidname")},
	{section: "Container", key: "SubUIDMap", read: raw("--subuidname")},
	{section: "Container", key: "Sysctl", form: isWords, compose: "sysctls"},
	{section: "Container", key: "Timezone", read: (*unit).timezone},
	{section: "Container", key: "Tmpfs", form: isLine, compose: "tmpfs"},
	{section: "Container", key: "UIDMap", form: isLine, read: raw("--uidmap")},
	{section: "Container", key: "Ulimit", form: isLine, read: argument("--ulimit")},
	{section: "Container", key: "Unmask", form: isWords, read: (*unit).unmask},
	{section: "Container", key: "User", read: (*unit).user},
	{section: "Container", key: "UserNS", compose: "userns_mode"},
	{section: "Container", key: "VolatileTmp", loss: importer.NoEquivalent},
	{section: "Container", key: "Volume", form: isLine, read: (*unit).volume},
	{section: "Container", key: "WorkingDir", compose: "working_dir"},

	{section: "Unit", key: "Description", read: (*unit).description},
	{section: "Unit", key: "After", form: isWords, read: (*unit).after},
	{section: "Unit", key: "Requires", form: isWords, read: (*unit).requires},
	{section: "Unit", key: "BindsTo", form: isWords, read: (*unit).requires},
	{section: "Unit", key: "Requisite", form: isWords, read: (*unit).requires},
	{section: "Unit", key: "Wants", form: isWords, read: (*unit).requires},
	{section: "Unit", key: "Upholds", form: isWords, read: (*unit).requires},
	{section: "Unit", key: "PartOf", form: isWords, read: (*unit).partOf},
	{section: "Unit", key: "Before", form: isWords, read: (*unit).before},
	{section: "Unit", key: "StartLimitIntervalSec", read: (*unit).limitInterval},
	{section: "Unit", key: "StartLimitBurst", read: (*unit).limitBurst},

	{section: "Service", key: "Type", read: (*unit).serviceType},
	{section: "Service", key: "RemainAfterExit", loss: importer.NoMeaning},
	{section: "Service", key: "Restart", read: (*unit).restart},
	{section: "Service", key: "RestartSec", read: (*unit).restartDelay},
	{section: "Service", key: "RestartSteps", loss: importer.NoMeaning},
	{section: "Service", key: "RestartMaxDelaySec", read: (*unit).restartMaxDelay},
	{section: "Service", key: "SuccessExitStatus", form: isWords, read: (*unit).exitStatus},
	{section: "Service", key: "TimeoutStartSec", read: (*unit).startTimeout},
	{section: "Service", key: "TimeoutStopSec", read: (*unit).stopTimeout},
	{section: "Service", key: "TimeoutSec", read: (*unit).timeout},
	{section: "Service", key: "Environment", form: isWords, read: (*unit).serviceEnvironment},
	{section: "Service", key: "EnvironmentFile", form: isLine, loss: importer.Directive},
	{section: "Service", key: "CPUWeight", read: (*unit).cpuWeight},
	{section: "Service", key: "MemoryLow", read: (*unit).memoryLow},
	{section: "Service", key: "ExecCondition", form: isLine, loss: importer.HostCommand},
	{section: "Service", key: "ExecStartPre", form: isLine, loss: importer.HostCommand},
	{section: "Service", key: "ExecStartPost", form: isLine, loss: importer.HostCommand},
	{section: "Service", key: "ExecReload", form: isLine, loss: importer.HostCommand},
	{section: "Service", key: "ExecStop", form: isLine, loss: importer.HostCommand},
	{section: "Service", key: "ExecStopPost", form: isLine, loss: importer.HostCommand},

	{section: "Install", key: "WantedBy", form: isWords, read: (*unit).wantedBy},
	{section: "Install", key: "RequiredBy", form: isWords, read: (*unit).wantedBy},
	{section: "Install", key: "Alias", form: isWords, loss: importer.NoMeaning},
	{section: "Install", key: "UpheldBy", form: isWords, loss: importer.Directive},
	{section: "Quadlet", key: "DefaultDependencies", loss: importer.NoMeaning},
}

// volumeRows is every key of a .volume file.
var volumeRows = []row{
	{section: "Volume", key: "VolumeName", read: (*unit).readElsewhere},
	{section: "Volume", key: "ServiceName", loss: importer.NoMeaning},
	{section: "Volume", key: "Label", form: isWords, loss: importer.NoMeaning},
	{section: "Volume", key: "Device", read: (*unit).volumeOption},
	{section: "Volume", key: "Type", read: (*unit).volumeOption},
	{section: "Volume", key: "Options", read: (*unit).volumeOption},
	{section: "Volume", key: "Copy", loss: importer.MountOption},
	{section: "Volume", key: "User", loss: importer.MountOption},
	{section: "Volume", key: "Group", loss: importer.MountOption},
	{section: "Volume", key: "Driver", loss: importer.VolumeDriver},
	{section: "Volume", key: "Image", loss: importer.VolumeDriver},
	{section: "Volume", key: "PodmanArgs", form: isWords, loss: importer.MountOption},
	{section: "Volume", key: "GlobalArgs", form: isWords, loss: importer.MountOption},
	{section: "Volume", key: "ContainersConfModule", loss: importer.MountOption},
}

// networkRows is every key of a .network file.
var networkRows = []row{
	{section: "Network", key: "NetworkName", compose: "name"},
	{section: "Network", key: "ServiceName", loss: importer.NoMeaning},
	{section: "Network", key: "Internal", compose: "internal"},
	{section: "Network", key: "Driver", compose: "driver"},
	{section: "Network", key: "Label", form: isWords, loss: importer.NoMeaning},
	{section: "Network", key: "Subnet", form: isLine, loss: importer.StaticAddress},
	{section: "Network", key: "Gateway", form: isLine, loss: importer.StaticAddress},
	{section: "Network", key: "IPRange", form: isLine, loss: importer.StaticAddress},
	{section: "Network", key: "IPAMDriver", loss: importer.NetworkOption},
	{section: "Network", key: "IPv6", loss: importer.NetworkOption},
	{section: "Network", key: "DNS", form: isLine, loss: importer.NetworkOption},
	{section: "Network", key: "DisableDNS", loss: importer.NetworkOption},
	{section: "Network", key: "InterfaceName", loss: importer.NetworkOption},
	{section: "Network", key: "NetworkDeleteOnStop", loss: importer.NoMeaning},
	{section: "Network", key: "Options", form: isWords, read: (*unit).networkOption},
	{section: "Network", key: "PodmanArgs", form: isWords, loss: importer.NetworkOption},
	{section: "Network", key: "GlobalArgs", form: isWords, loss: importer.NetworkOption},
	{section: "Network", key: "ContainersConfModule", loss: importer.NetworkOption},
}

// buildRows is every key of a .build file that is read; all others are options that are left out.
var buildRows = []row{
	{section: "Build", key: "ImageTag", form: isLine, read: (*unit).imageTag},
	{section: "Build", key: "SetWorkingDirectory", read: (*unit).readElsewhere},
	{section: "Build", key: "File", read: (*unit).readElsewhere},
	{section: "Build", key: "Target", read: (*unit).buildTarget},
	{section: "Build", key: "BuildArg", form: isWords, read: (*unit).buildArg},
	{section: "Build", key: "ServiceName", loss: importer.NoMeaning},
}

// imageRows is every key of an .image file that is read; all others are options that are left out.
var imageRows = []row{
	{section: "Image", key: "Image", read: (*unit).pulledImage},
	{section: "Image", key: "Policy", read: (*unit).pull},
	{section: "Image", key: "ServiceName", loss: importer.NoMeaning},
}

// lossText is how a row without a function says what happens to its key.
var lossText = map[importer.Code]string{
	importer.NoMeaning:     "%s= says nothing that archgen does not do",
	importer.NoEquivalent:  "%s= is left out: the manifest has no such key",
	importer.LogDriver:     "%s= is left out: the log is in the journal",
	importer.UserNamespace: "%s= is left out: the container has the user namespace of the user that runs Podman",
	importer.UnitKind:      "%s= is left out: the container is in a pod, which is not imported",
	importer.ImageName:     "%s= is left out: the container has no image",
	importer.Directive:     "%s= is left out: a manifest can't set it",
	importer.HostCommand:   "%s= is left out: it runs a command of the host",
	importer.MountOption:   "%s= of the volume is left out",
	importer.VolumeDriver:  "%s= of the volume is left out: the volume is a directory of this machine",
	importer.StaticAddress: "%s= of the network is left out: the part is reached by its name",
	importer.NetworkOption: "%s= of the network is left out",
	importer.BuildOption:   "%s= is left out",
}
