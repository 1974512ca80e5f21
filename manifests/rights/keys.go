package rights

// This file classifies every key of the schema, as TYPE.KEY of
// manifests/schema.go: either it asks for a right, or it is harmless. A test
// fails for a key that is in neither table, or in both. A new key that can't be
// shown to be harmless asks for a right.

// rule reports the rights that a key asks for. holder points to the structure
// that has the key; at is the path of the key.
type rule func(c *collector, at string, holder any)

// of makes a rule of a function of the structure's own type.
func of[T any](find func(c *collector, at string, holder *T)) rule {
	return func(c *collector, at string, holder any) { find(c, at, holder.(*T)) }
}

// asks is the keys that can ask for a right.
var asks = map[string]rule{
	"App.companions": of(companions),
	"App.conflicts":  of(conflicts),

	"Build.context":       of(buildContext),
	"Build.containerfile": of(containerfile),
	"Build.tag":           of(buildTag),

	"Capabilities.add": of(capabilities),

	"Container.engine":      of(engine),
	"Container.env_files":   of(envFiles),
	"Container.group_add":   of(groupAdd),
	"Container.hostname":    of(hostname),
	"Container.ipc":         of(ipc),
	"Container.network":     of(network),
	"Container.pid":         of(pid),
	"Container.podman_args": of(podmanArgs),
	"Container.privileged":  of(privileged),
	"Container.pull":        of(pull),
	"Container.unit":        of(unit),
	"Container.userns":      of(userns),

	"Device.cdi":  of(cdi),
	"Device.path": of(device),

	"Limits.cpu_weight": of(cpuWeight),
	"Limits.memlock":    of(memlock),
	"Limits.ulimits":    of(ulimits),

	"Onion.port": of(onion),

	"Port.bind": of(listen),

	"Provide.capability": of(provide),
	"Provide.shared":     of(shared),

	"Require.capability": of(require),

	"Security.allow_new_privileges": of(newPrivileges),
	"Security.apparmor":             of(appArmor),
	"Security.label_disable":        of(labelDisable),
	"Security.label_type":           of(labelType),
	"Security.seccomp":              of(seccomp),
	"Security.unmask":               of(unmask),

	"Update.policy": of(updatePolicy),

	"Volume.app":  of(foreignVolume),
	"Volume.path": of(hostVolume),

	"VolumeOptions.device":   of(volumeDevice),
	"VolumeOptions.existing": of(existing),
	"VolumeOptions.options":  of(volumeOptions),
	"VolumeOptions.type":     of(volumeType),
}

// harmless is the keys that ask for none, by the reason why.
var harmless = map[string]string{
	"people and archgen read it; nothing else does": `
		Document.schema App.name App.version App.revision App.description App.icon App.links App.notices App.networks UI.scheme
		Container.labels UI.port UI.path Port.name App.companion_of Data.retain Data.format Data.reads Backup.include Backup.exclude SecretMount.waiver VolumeOptions.labels`,

	"it is about the app's own image and process": `
		Container.image Container.prefetch Container.kind Container.entrypoint Container.command Container.working_dir
		Container.env Container.init Container.stdin Container.tty Container.timezone
		Build.args Build.target`,

	// A user ID reaches no further than the mounts, devices and capabilities, which
	// are rights of their own.
	"it selects a user of the container": `Container.user`,

	"a name that others rely on is refused": `App.id`,

	"it is inside the container's namespaces": `
		Volume.target Volume.disposable Tmpfs.target Tmpfs.size Tmpfs.mode File.template File.target File.mode File.reload Reload.signal
		SecretMount.name SecretMount.capability SecretMount.export SecretMount.target SecretMount.mode SecretMount.uid SecretMount.gid SecretMount.env
		Device.target Port.container Port.protocol Container.sysctls Container.networks Container.aliases Container.hosts Container.dns`,

	"it names a volume or a secret of the app itself": `
		Share.volume Share.app Share.write
		Volume.name VolumeOptions.seed Secret.name Secret.description Secret.show Generate.length Generate.alphabet Derive.from Derive.method
		EnsureDir.volume EnsureDir.path EnsureDir.owner EnsureDir.mode`,

	"it confines or limits the container further": `
		Container.read_only App.internal_networks Security.mask Limits.memory Limits.cpus Limits.pids Limits.nofile Limits.shm`,

	"it acts only as far as the operator protects memory of all apps": `Limits.memory_reservation`,

	"it is part of a right that another key of the same structure asks for": `
		Volume.read_only Volume.optional Volume.subpath Volume.chown Volume.relabel Volume.watch Device.permissions Device.optional Port.host Port.count
		Onion.virtual Provide.part Provide.port Provide.exports Provide.for Provide.onions
		Require.parts Require.until Require.optional Require.follow`,

	"it delays or stops updates of the app itself": `Update.wait Update.restore Update.trial Hold.until Hold.why`,

	"it is about the app's own start, stop and restart": `
		App.enabled App.wait_online Container.oneshot Start.timeout Stop.timeout Stop.signal Stop.success_exit_codes Restart.policy Restart.delay Restart.max_delay
		RestartLimit.burst RestartLimit.interval After.part After.until
		Step.migrate Step.run Step.part Step.timeout Once.name Once.run Once.part Once.timeout
		WaitFor.file WaitFor.port WaitFor.capability WaitFor.until WaitFor.timeout`,

	"it asks the container itself how it is": `
		UI.probe Health.disable Probe.exec Probe.interval Probe.timeout Probe.retries Probe.start_period
		HTTPProbe.port HTTPProbe.path HTTPProbe.status HTTPProbe.contains TCPProbe.port
		JSONRPCProbe.port JSONRPCProbe.path JSONRPCProbe.method JSONRPCProbe.user JSONRPCProbe.password_secret JSONRPCProbe.expect`,
}
