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
	// absentPath: directive, a path that must not exist (!). `~/` stands for the home directory
	// of the manager's user (%h).
	absentPath
	// runtimeFile: directive, a path below the manager's runtime directory (%t) that may be missing (-).
	runtimeFile
	// command: an Exec line that systemd itself splits into words.
	command
	// inert: read as it stands, or only by archgen and healthd.
	inert
)

// keyInfo is the properties of one Quadlet key.
type keyInfo struct {
	class class
	since Version
	// flag is the exact replacement in PodmanArgs= for Podman versions before
	// since. The value is appended where it ends in "=" or ":". Empty: none.
	flag string
	// omit: before since, leaving the key out means the same.
	omit bool
}

// always is the version of keys that every Podman has that can be rendered for.
var always = Oldest

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
		"AutoUpdate":            {class: single, since: always},
		"ContainerName":         {class: single, since: always},
		"DNS":                   {class: line, since: always},
		"DropCapability":        {class: bareWords, since: always},
		"Entrypoint":            {class: single, since: Version{5, 0}, flag: "--entrypoint="},
		"Environment":           {class: words, since: always},
		"EnvironmentFile":       {class: words, since: always},
		"Exec":                  {class: words, since: always},
		"Group":                 {class: single, since: always},
		"GroupAdd":              {class: line, since: Version{5, 1}, flag: "--group-add="},
		"HealthCmd":             {class: single, since: always},
		"HealthInterval":        {class: single, since: always},
		"HealthOnFailure":       {class: single, since: always},
		"HealthRetries":         {class: single, since: always},
		"HealthStartPeriod":     {class: single, since: always},
		"HealthStartupCmd":      {class: single, since: always},
		"HealthStartupInterval": {class: single, since: always},
		"HealthStartupTimeout":  {class: single, since: always},
		"HealthTimeout":         {class: single, since: always},
		"HostName":              {class: single, since: always},
		"Image":                 {class: single, since: always},
		"Label":                 {class: words, since: always},
		"LogDriver":             {class: single, since: always},
		"Mask":                  {class: words, since: always},
		"Mount":                 {class: words, since: always},
		"Memory":                {class: single, since: Version{5, 5}, flag: "--memory="},
		"Network":               {class: line, since: always},
		"NoNewPrivileges":       {class: single, since: always},
		"PidsLimit":             {class: single, since: always},
		"PodmanArgs":            {class: words, since: always},
		"PublishPort":           {class: line, since: always},
		"Pull":                  {class: single, since: always},
		"ReadOnly":              {class: single, since: always},
		"RunInit":               {class: single, since: always},
		"SeccompProfile":        {class: single, since: always},
		"Secret":                {class: words, since: always},
		"SecurityLabelDisable":  {class: single, since: always},
		"SecurityLabelType":     {class: single, since: always},
		"ShmSize":               {class: single, since: always},
		"StopSignal":            {class: single, since: Version{5, 2}, flag: "--stop-signal="},
		"StopTimeout":           {class: single, since: Version{5, 0}, flag: "--stop-timeout="},
		"Sysctl":                {class: bareWords, since: always},
		"Timezone":              {class: single, since: always},
		"Tmpfs":                 {class: line, since: always},
		// 4.7 to 4.9 take only one Ulimit= line.
		"Ulimit":     {class: line, since: Version{5, 0}, flag: "--ulimit="},
		"Unmask":     {class: words, since: always},
		"User":       {class: single, since: always},
		"UserNS":     {class: single, since: always},
		"Volume":     {class: line, since: always},
		"WorkingDir": {class: single, since: always},
	},
	"Volume": {
		"Device":      {class: single, since: always},
		"Label":       {class: words, since: always},
		"Options":     {class: single, since: always},
		"ServiceName": {class: single, since: Version{5, 3}, omit: true},
		"Type":        {class: single, since: always},
		"VolumeName":  {class: single, since: always},
	},
	"Network": {
		"Internal":    {class: single, since: always},
		"Label":       {class: words, since: always},
		"NetworkName": {class: single, since: always},
		"Options":     {class: words, since: always},
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
		// Without it every start contacts the registry, and an offline node could not
		// start an app whose image it has.
		"Policy":      {class: single, since: Version{5, 6}},
		"ServiceName": {class: single, since: Version{5, 3}, omit: true},
	},
	"Quadlet": {
		// Before 5.3 a user's units waited for nothing anyway.
		"DefaultDependencies": {class: single, since: Version{5, 3}, omit: true},
	},
}

// sectionClass is the class of the keys of systemd's sections and of the ownership section.
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

// liveDirectives are [Service] directives that a daemon-reload applies to a running unit, or
// that act only while a container starts. The digest does not cover them, so changing one
// restarts no app.
var liveDirectives = map[string]bool{
	"Restart": true, "RestartMode": true, "RestartSec": true, "RestartSteps": true, "RestartMaxDelaySec": true, "RemainAfterExit": true,
	"TimeoutStartSec": true, "TimeoutStopSec": true, "SuccessExitStatus": true, "ExecStartPost": true,
	"ExecReload": true,
}
