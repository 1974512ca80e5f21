package filter

import (
	"slices"
	"strings"
)

// members is the members of a JSON object that the app gets. Those with nil are kept whole.
type members map[string]members

// all is members that are kept whole.
func all(names string) members {
	m := members{}
	for name := range strings.FieldsSeq(names) {
		m[name] = nil
	}
	return m
}

// with adds members of which only a part is kept.
func (m members) with(name string, of members) members {
	m[name] = of
	return m
}

// What is left out holds secrets or can: the environment, arguments and files of containers,
// the output of health checks, and proxies and registries of the engine with their passwords.
// An engine of another version that knows more shows nothing more.
var (
	info = all(`ID Name Containers ContainersRunning ContainersPaused ContainersStopped Images NCPU MemTotal Driver LoggingDriver
		CgroupDriver CgroupVersion KernelVersion OperatingSystem OSVersion OSType Architecture ServerVersion SystemTime Swarm`)

	libpodInfo = members{}.
			with("host", all("arch cpus hostname kernel memFree memTotal swapFree swapTotal os uptime distribution cgroupVersion cpuUtilization").
				with("security", all("rootless"))).
			with("store", all("graphDriverName").
				with("containerStore", all("number paused running stopped")).
				with("imageStore", all("number"))).
			with("version", nil)

	event = all("Type Action Name ID Image status id from scope time timeNano Time Status HealthStatus ContainerExitCode").
		with("Actor", all("ID Attributes"))

	listed = all(`Id Names Name Image ImageID Created CreatedAt StartedAt Exited ExitedAt ExitCode State Status Ports ExposedPorts Labels
		Mounts Networks NetworkSettings Pod PodName Pid IsInfra Restarts SizeRw SizeRootFs Size`).
		with("HostConfig", all("NetworkMode"))

	health = all("Status FailingStreak")

	inspected = all(`Id Name Created Image ImageName ImageDigest RestartCount Driver Platform Mounts NetworkSettings Pod IsInfra SizeRw SizeRootFs`).
			with("State", all("Status Running Paused Restarting OOMKilled Dead Pid ExitCode StartedAt FinishedAt").
				with("Health", health).with("Healthcheck", health)).
			with("Config", all("Hostname Domainname User Image ImageName Labels Tty OpenStdin WorkingDir ExposedPorts StopSignal StopTimeout")).
			with("HostConfig", all("NetworkMode RestartPolicy AutoRemove Memory NanoCpus CpuShares PortBindings"))
)

// keep reduces an object.
func keep(m members) func(any) any {
	return func(v any) any { return m.of(v) }
}

// keepEach reduces each object of a list.
func keepEach(m members) func(any) any {
	return func(v any) any {
		list, isList := v.([]any)
		if !isList {
			return m.of(v)
		}
		for i, item := range list {
			list[i] = m.of(item)
		}
		return list
	}
}

// of is the object with these members only. What should be an object and is none is left out.
func (m members) of(v any) any {
	object, isObject := v.(map[string]any)
	if !isObject {
		return nil
	}
	kept := map[string]any{}
	for name, inner := range m {
		value, isThere := object[name]
		switch {
		case !isThere:
		case inner == nil:
			kept[name] = value
		default:
			kept[name] = inner.of(value)
		}
	}
	return kept
}

// columns is what the app gets of the processes of a container. Of a command line it gets the
// program.
var (
	columns  = words("USER UID PID PPID C %CPU %MEM ELAPSED STIME STARTED TTY TIME VSZ RSS STAT")
	commands = words("CMD COMMAND ARGS")
)

// processes reduces the answer of top: a list of titles, and a list of texts for each process.
// The arguments of a command line may follow as texts of their own.
func processes(v any) any {
	object, _ := v.(map[string]any)
	titles, _ := object["Titles"].([]any)
	rows, _ := object["Processes"].([]any)
	keptTitles, keptRows := []any{}, make([]any, 0, len(rows))
	for _, t := range titles {
		if title, _ := t.(string); isColumn(title) {
			keptTitles = append(keptTitles, title)
		}
	}
	for _, row := range rows {
		keptRows = append(keptRows, process(titles, row))
	}
	return map[string]any{"Titles": keptTitles, "Processes": keptRows}
}

func isColumn(title string) bool {
	return slices.Contains(columns, title) || slices.Contains(commands, title)
}

// process is a row of top, reduced.
func process(titles []any, row any) []any {
	kept := []any{}
	texts, _ := row.([]any)
	for i, t := range titles {
		title, _ := t.(string)
		if i >= len(texts) || !isColumn(title) {
			continue
		}
		text, _ := texts[i].(string)
		if slices.Contains(commands, title) {
			text = program(text)
		}
		kept = append(kept, text)
	}
	return kept
}

// program is a command line without its arguments.
func program(line string) string {
	if words := strings.Fields(line); len(words) > 0 {
		return words[0]
	}
	return ""
}
