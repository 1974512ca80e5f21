package generator

// class is how Podman's converter looks a key up, which decides how a value
// has to be written so that it arrives unchanged. Measured on Podman 4.9, 5.0,
// 5.4, 5.8 and 6.0 behind systemd 252 and 257.
type class uint8

const (
	// words: separate words, unquoted and C-unescaped.
	words class = iota
	// bareWords: words, unquoted, but a backslash is kept.
	bareWords
	// line: the whole line, neither unquoted nor unescaped.
	line
	// runtimeLine: line, below the manager's runtime directory (%t).
	runtimeLine
	// single: one value, right-trimmed; what happens to outer quotes differs by version.
	single
	// directive: read by systemd itself, which expands % but not $.
	directive
	// command: an Exec line that systemd itself splits into words.
	command
	// inert: read as it stands, or by nobody but us.
	inert
)

// keyInfo says what is known of one Quadlet key.
type keyInfo struct {
	class class
	since Version
	// flag is the exact replacement in PodmanArgs= for Podman versions before
	// since. The value is appended where it ends in "=" or ":". Empty: none.
	flag string
	// omit: before since, leaving the key out means the same.
	omit bool
}

// always is the first version of keys as old as Quadlet.
var always = Version{4, 4}

// The first versions of what no key stands for: a device that may be absent,
// and waiting for a container to be healthy.
var (
	optionalDevices = Version{4, 6}
	waitForHealthy  = Version{4, 6}
)

// quadletKeys is every Quadlet key that the generator writes, by section. The
// versions are those of Podman's own tables of supported keys at each release;
// a key that the reading Podman does not know makes the whole unit disappear.
var quadletKeys = map[string]map[string]keyInfo{
	"Container": {
		"AddCapability":         {class: bareWords, since: always},
		"AddDevice":             {class: bareWords, since: always},
		"AddHost":               {class: line, since: Version{5, 3}, flag: "--add-host="},
		"Annotation":            {class: words, since: always},
		"AppArmor":              {class: single, since: Version{5, 8}, flag: "--security-opt=apparmor="},
		"AutoUpdate":            {class: single, since: Version{4, 6}, flag: "--label=io.containers.autoupdate="},
		"ContainerName":         {class: single, since: always},
		"DNS":                   {class: line, since: Version{4, 7}, flag: "--dns="},
		"DropCapability":        {class: bareWords, since: always},
		"Entrypoint":            {class: single, since: Version{5, 0}, flag: "--entrypoint="},
		"Environment":           {class: words, since: always},
		"EnvironmentFile":       {class: words, since: always},
		"Exec":                  {class: words, since: always},
		"Group":                 {class: single, since: always},
		"GroupAdd":              {class: line, since: Version{5, 1}, flag: "--group-add="},
		"HealthCmd":             {class: single, since: Version{4, 5}, flag: "--health-cmd="},
		"HealthInterval":        {class: single, since: Version{4, 5}, flag: "--health-interval="},
		"HealthOnFailure":       {class: single, since: Version{4, 5}, flag: "--health-on-failure="},
		"HealthRetries":         {class: single, since: Version{4, 5}, flag: "--health-retries="},
		"HealthStartPeriod":     {class: single, since: Version{4, 5}, flag: "--health-start-period="},
		"HealthStartupCmd":      {class: single, since: Version{4, 5}, flag: "--health-startup-cmd="},
		"HealthStartupInterval": {class: single, since: Version{4, 5}, flag: "--health-startup-interval="},
		"HealthStartupTimeout":  {class: single, since: Version{4, 5}, flag: "--health-startup-timeout="},
		"HealthTimeout":         {class: single, since: Version{4, 5}, flag: "--health-timeout="},
		"HostName":              {class: single, since: Version{4, 6}, flag: "--hostname="},
		"Image":                 {class: single, since: always},
		"Label":                 {class: words, since: always},
		"LogDriver":             {class: single, since: Version{4, 5}, flag: "--log-driver="},
		"Mask":                  {class: words, since: Version{4, 6}, flag: "--security-opt=mask="},
		"Memory":                {class: single, since: Version{5, 5}, flag: "--memory="},
		"Network":               {class: line, since: always},
		"NoNewPrivileges":       {class: single, since: always},
		"PidsLimit":             {class: single, since: Version{4, 7}, flag: "--pids-limit="},
		"PodmanArgs":            {class: words, since: always},
		"PublishPort":           {class: line, since: always},
		"Pull":                  {class: single, since: Version{4, 6}, flag: "--pull="},
		"ReadOnly":              {class: single, since: always},
		"RunInit":               {class: single, since: always},
		"SeccompProfile":        {class: single, since: always},
		"Secret":                {class: words, since: Version{4, 5}, flag: "--secret="},
		"SecurityLabelDisable":  {class: single, since: Version{4, 5}, flag: "--security-opt=label=disable"},
		"SecurityLabelType":     {class: single, since: Version{4, 5}, flag: "--security-opt=label=type:"},
		"ShmSize":               {class: single, since: Version{4, 7}, flag: "--shm-size="},
		"StopSignal":            {class: single, since: Version{5, 2}, flag: "--stop-signal="},
		"StopTimeout":           {class: single, since: Version{5, 0}, flag: "--stop-timeout="},
		"Sysctl":                {class: bareWords, since: Version{4, 6}, flag: "--sysctl="},
		"Timezone":              {class: single, since: always},
		"Tmpfs":                 {class: line, since: Version{4, 5}, flag: "--tmpfs="},
		// 4.7 to 4.9 take only one Ulimit= line.
		"Ulimit":     {class: line, since: Version{5, 0}, flag: "--ulimit="},
		"Unmask":     {class: words, since: Version{4, 6}, flag: "--security-opt=unmask="},
		"User":       {class: single, since: always},
		"UserNS":     {class: single, since: Version{4, 5}, flag: "--userns="},
		"Volume":     {class: line, since: always},
		"WorkingDir": {class: single, since: Version{4, 6}, flag: "--workdir="},
	},
	"Volume": {
		"Device":      {class: single, since: always},
		"Label":       {class: words, since: always},
		"Options":     {class: single, since: always},
		"ServiceName": {class: single, since: Version{5, 3}, omit: true},
		"Type":        {class: single, since: always},
		"VolumeName":  {class: single, since: Version{4, 7}},
	},
	"Network": {
		"Label": {class: words, since: always},
		// Before 4.7 the network is called systemd-FILE; nothing refers to it
		// but through the .network file, so only the name differs.
		"NetworkName": {class: single, since: Version{4, 7}, omit: true},
		// isolate=strict came with 4.7; a network without it would be open.
		"Options":     {class: words, since: Version{4, 7}},
		"ServiceName": {class: single, since: Version{5, 3}, omit: true},
	},
	"Build": {
		"BuildArg":            {class: words, since: Version{5, 7}, flag: "--build-arg="},
		"File":                {class: single, since: Version{5, 2}},
		"ImageTag":            {class: single, since: Version{5, 2}},
		"PodmanArgs":          {class: words, since: Version{5, 2}},
		"ServiceName":         {class: single, since: Version{5, 3}, omit: true},
		"SetWorkingDirectory": {class: single, since: Version{5, 2}},
		"Target":              {class: single, since: Version{5, 2}},
	},
	"Image": {
		"Image": {class: single, since: Version{4, 8}},
		// Without it every start asks the registry, and a node that is offline
		// could not start an app whose image it has.
		"Policy":      {class: single, since: Version{5, 6}},
		"ServiceName": {class: single, since: Version{5, 3}, omit: true},
	},
	"Quadlet": {
		// Before 5.3 a user's units waited for nothing anyway.
		"DefaultDependencies": {class: single, since: Version{5, 3}, omit: true},
	},
}

// sectionClass is the class of sections whose keys are systemd's or our own.
var sectionClass = map[string]class{"Unit": directive, "Service": directive, "Install": directive, "X-Archipelago": inert}

// literalDirectives are [Service] directives in which systemd expands no %.
// With it doubled, 20% would be an invalid value, which systemd ignores.
var literalDirectives = map[string]bool{
	"CPUQuota": true, "DefaultMemoryLow": true, "DefaultMemoryMin": true, "DefaultStartupMemoryLow": true, "LogFilterPatterns": true,
	"ManagedOOMMemoryPressureLimit": true, "MemoryHigh": true, "MemoryLow": true, "MemoryMax": true, "MemoryMin": true,
	"MemorySwapMax": true, "MemoryZSwapMax": true, "StartupMemoryHigh": true, "StartupMemoryLow": true, "StartupMemoryMax": true,
	"StartupMemorySwapMax": true, "StartupMemoryZSwapMax": true, "TasksMax": true,
}

// classOf is the class of a key that Podman does not look up.
func classOf(section, key string) class {
	if section == "Service" && literalDirectives[key] {
		return inert
	}
	return sectionClass[section]
}

// liveDirectives are [Service] directives that a daemon-reload applies to a
// running unit, or that only look on while a container starts. They do not
// count for the digest, so changing one restarts nobody.
var liveDirectives = map[string]bool{
	"Restart": true, "RestartMode": true, "RestartSec": true, "RestartSteps": true, "RestartMaxDelaySec": true, "RemainAfterExit": true,
	"TimeoutStartSec": true, "TimeoutStopSec": true, "SuccessExitStatus": true, "ExecStartPost": true,
	"ExecReload": true,
}
