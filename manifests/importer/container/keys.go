package container

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/manifests/importer"
)

// row is one value of podman inspect.
type row struct {
	// path is where podman inspect prints it, and key the key of a Compose service that says the
	// same.
	path, key string
	// text is the value; empty for what the image or Podman decides.
	text func(*container) string
}

// rows is every value that is one text.
var rows = []row{
	{"ImageName", "image", (*container).imageName},
	{"Name", "container_name", func(c *container) string { return c.Name }},
	{"Config.User", "user", func(c *container) string { return unless(c.Config.User, c.image.Config.User) }},
	{"Config.WorkingDir", "working_dir", func(c *container) string {
		return unless(c.Config.WorkingDir, cmp.Or(c.image.Config.WorkingDir, "/"))
	}},
	{"Config.Hostname", "hostname", (*container).hostname},
	{"Config.Tty", "tty", func(c *container) string { return on(c.Config.Tty) }},
	{"Config.OpenStdin", "stdin_open", func(c *container) string { return on(c.Config.OpenStdin) }},
	{"Config.StopSignal", "stop_signal", (*container).stopSignal},
	{"Config.StopTimeout", "stop_grace_period", func(c *container) string {
		return unless(strconv.Itoa(c.Config.StopTimeout)+"s", "10s")
	}},
	{"HostConfig.RestartPolicy", "restart", (*container).restart},
	{"HostConfig.LogConfig.Type", "logging.driver", (*container).logDriver},
	{"HostConfig.Init", "init", func(c *container) string { return on(c.HostConfig.Init) }},
	{"HostConfig.ReadonlyRootfs", "read_only", func(c *container) string { return on(c.HostConfig.ReadonlyRootfs) }},
	{"HostConfig.Privileged", "privileged", func(c *container) string { return on(c.HostConfig.Privileged) }},
	{"HostConfig.OomKillDisable", "oom_kill_disable", func(c *container) string { return on(c.HostConfig.OomKillDisable) }},
	{"HostConfig.OomScoreAdj", "oom_score_adj", func(c *container) string { return number(c.HostConfig.OomScoreAdj) }},
	{"HostConfig.Memory", "mem_limit", func(c *container) string { return number(c.HostConfig.Memory) }},
	{"HostConfig.MemoryReservation", "mem_reservation", func(c *container) string { return number(c.HostConfig.MemoryReservation) }},
	{"HostConfig.MemorySwap", "memswap_limit", func(c *container) string {
		return number(c.HostConfig.MemorySwap, 2*c.HostConfig.Memory) // twice the memory is what it is without being told
	}},
	{"HostConfig.MemorySwappiness", "mem_swappiness", func(c *container) string { return number(c.HostConfig.MemorySwappiness, -1) }},
	{"HostConfig.NanoCpus", "cpus", func(c *container) string {
		return unless(strconv.FormatFloat(float64(c.HostConfig.NanoCPUs)/1e9, 'f', -1, 64), "0")
	}},
	{"HostConfig.CpuQuota", "cpu_quota", func(c *container) string { return c.unlessCPUs(c.HostConfig.CPUQuota) }},
	{"HostConfig.CpuPeriod", "cpu_period", func(c *container) string { return c.unlessCPUs(c.HostConfig.CPUPeriod) }},
	{"HostConfig.CpuRealtimeRuntime", "cpu_rt_runtime", func(c *container) string { return number(c.HostConfig.CPURealtimeRuntime) }},
	{"HostConfig.CpuRealtimePeriod", "cpu_rt_period", func(c *container) string { return number(c.HostConfig.CPURealtimePeriod) }},
	{"HostConfig.CpuShares", "cpu_shares", func(c *container) string { return number(c.HostConfig.CPUShares) }},
	{"HostConfig.CpusetCpus", "cpuset", func(c *container) string { return c.HostConfig.CPUSetCPUs }},
	{"HostConfig.BlkioWeight", "blkio_config", func(c *container) string { return number(c.HostConfig.BlkioWeight) }},
	{"HostConfig.PidsLimit", "pids_limit", func(c *container) string { return number(c.HostConfig.PidsLimit, usualPids) }},
	{"HostConfig.ShmSize", "shm_size", func(c *container) string { return number(c.HostConfig.ShmSize, usualShm...) }},
	{"HostConfig.PidMode", "pid", func(c *container) string { return c.namespace(c.HostConfig.PidMode) }},
	{"HostConfig.IpcMode", "ipc", func(c *container) string { return c.namespace(c.HostConfig.IpcMode) }},
	{"HostConfig.UTSMode", "uts", func(c *container) string { return c.namespace(c.HostConfig.UTSMode) }},
}

// listRow is one list of podman inspect. What is empty in it is left out.
type listRow struct {
	path, key string
	items     func(*container) []string
}

// lists is every value that is a list of texts.
var lists = []listRow{
	{"HostConfig.Dns", "dns", func(c *container) []string { return c.HostConfig.DNS }},
	{"HostConfig.DnsOptions", "dns_opt", func(c *container) []string { return c.HostConfig.DNSOptions }},
	{"HostConfig.DnsSearch", "dns_search", func(c *container) []string { return c.HostConfig.DNSSearch }},
	{"HostConfig.ExtraHosts", "extra_hosts", func(c *container) []string { return c.HostConfig.ExtraHosts }},
	{"HostConfig.GroupAdd", "group_add", func(c *container) []string { return c.HostConfig.GroupAdd }},
	{"HostConfig.SecurityOpt", "security_opt", (*container).securityOptions},
	{"HostConfig.CapAdd", "cap_add", (*container).addedCapabilities},
	{"HostConfig.CapDrop", "cap_drop", (*container).droppedCapabilities},
}

// usualPids and usualShm are what containers have without being told.
const usualPids = 2048

var usualShm = []int64{65536000, 64 << 20}

// unless is a text, or nothing if it is the usual one.
func unless(text, usual string) string {
	if text == usual {
		return ""
	}
	return text
}

func on(value bool) string {
	if value {
		return "true"
	}
	return ""
}

// number is a number, or nothing if it is 0 or a usual one.
func number(n int64, usual ...int64) string {
	if n == 0 || slices.Contains(usual, n) {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// imageName is the name of the image. A container that was made by the image's id has none, and
// gets one of those that the image has.
func (c *container) imageName() string {
	tags := slices.Concat(c.image.RepoTags, c.image.RepoDigests)
	switch {
	case isID(c.ImageName) && len(tags) == 0:
		return ""
	case isID(c.ImageName):
		return tags[0]
	case c.image.ID != "" && !slices.Contains(tags, c.ImageName) && !strings.Contains(c.ImageName, "@"):
		c.report(importer.MovedImage, "ImageName", "%s is another image now than the one that the container runs", c.ImageName)
	}
	return c.ImageName
}

// hostname is the name of the host, unless it is the one that Podman makes.
func (c *container) hostname() string {
	_, isAsked := c.flag("hostname")
	sharesNetwork := c.HostConfig.NetworkMode == "host" || strings.HasPrefix(c.HostConfig.NetworkMode, "container:")
	if strings.HasPrefix(c.ID, c.Config.Hostname) || !isAsked && (sharesNetwork || len(c.flags) > 0) {
		return ""
	}
	return c.Config.Hostname
}

func (c *container) stopSignal() string {
	return unless(string(c.Config.StopSignal), string(cmp.Or(c.image.Config.StopSignal, "SIGTERM")))
}

// restart is when Podman restarts the container. A unit of systemd does it by itself.
func (c *container) restart() string {
	policy := c.HostConfig.RestartPolicy
	switch {
	case c.Config.Labels[unitLabel] != "":
		return "always"
	case policy.MaximumRetryCount > 0:
		return policy.Name + ":" + strconv.Itoa(policy.MaximumRetryCount)
	}
	return policy.Name
}

// logDriver is where the log goes, if not to where archgen reads it.
func (c *container) logDriver() string {
	if slices.Contains([]string{"journald", "k8s-file", "json-file", "passthrough"}, c.HostConfig.LogConfig.Type) {
		return ""
	}
	return c.HostConfig.LogConfig.Type
}

// unlessCPUs is a number that says how much processor time there is, if it is not said by cpus.
func (c *container) unlessCPUs(n int64) string {
	if c.HostConfig.NanoCPUs != 0 {
		return ""
	}
	return number(n)
}

// namespace is a namespace that is not the container's own, nor that of its pod.
func (c *container) namespace(mode string) string {
	if mode == "private" || mode == "shareable" || mode == "none" || c.isOfPod(mode) {
		return ""
	}
	return mode
}

// securityOptions is the options in Compose's words.
func (c *container) securityOptions() (options []string) {
	for _, o := range c.HostConfig.SecurityOpt {
		if strings.EqualFold(o, "unmask=all") {
			o = "systempaths=unconfined"
		}
		options = append(options, o)
	}
	return options
}

// addedCapabilities is the Linux capabilities beyond those that Podman keeps.
func (c *container) addedCapabilities() []string {
	if c.HostConfig.Privileged {
		return nil
	}
	return c.HostConfig.CapAdd
}

// droppedCapabilities is those that are dropped: all of them if none is left.
func (c *container) droppedCapabilities() []string {
	dropped := map[string]bool{}
	for _, name := range c.HostConfig.CapDrop {
		dropped[strings.TrimPrefix(name, "CAP_")] = true
	}
	keeps := slices.ContainsFunc(importer.PodmanCapabilities, func(name string) bool { return !dropped[name] })
	switch {
	case c.HostConfig.Privileged:
		return nil
	case !keeps:
		return []string{"ALL"}
	}
	return c.HostConfig.CapDrop
}

// program is what runs, where it is not what the image runs.
func (c *container) program() {
	entrypoint, command := c.entrypoint(), c.Config.Cmd
	switch {
	case len(entrypoint) > 0:
		c.putWords("entrypoint", entrypoint, "Config.Entrypoint")
	case c.removesEntrypoint() && len(command) > 0:
		// A manifest can't remove that of the image. The first word of the command replaces it.
		c.putWords("entrypoint", command[:1], "Config.Cmd")
		command = command[1:]
	case slices.Equal(command, c.image.Config.Cmd):
		return
	}
	if len(command) > 0 {
		c.putWords("command", command, "Config.Cmd")
	}
}

// entrypoint is the entrypoint, unless it is that of the image. Podman before version 5 prints it as
// one text; the command has its words.
func (c *container) entrypoint() []string {
	have := strings.Join(c.Config.Entrypoint, " ")
	if strings.TrimSpace(have) == "" || have == strings.Join(c.image.Config.Entrypoint, " ") {
		return nil
	}
	if f, ok := c.flag("entrypoint"); ok {
		if list := jsonWords(f.Value); strings.Join(list, " ") == have {
			return list
		}
	}
	return c.Config.Entrypoint
}

// removesEntrypoint reports whether the entrypoint of the image does not run: Podman prints one empty
// word.
func (c *container) removesEntrypoint() bool {
	return len(c.image.Config.Entrypoint) > 0 && len(c.Config.Entrypoint) > 0 && strings.Join(c.Config.Entrypoint, "") == ""
}

// Podman's defaults of health checks.
const (
	usualInterval = 30 * time.Second
	usualRetries  = 3
)

// completed is a health check with Podman's defaults.
func (h healthcheck) completed() healthcheck {
	h.Interval, h.Timeout, h.Retries = cmp.Or(h.Interval, usualInterval), cmp.Or(h.Timeout, usualInterval), cmp.Or(h.Retries, usualRetries)
	return h
}

func (h healthcheck) equal(o healthcheck) bool {
	return slices.Equal(h.Test, o.Test) && h.Interval == o.Interval && h.Timeout == o.Timeout && h.Retries == o.Retries && h.StartPeriod == o.StartPeriod
}

// health is the health check, where it is not that of the image.
func (c *container) health() {
	const path = "Config.Healthcheck"
	isNone := c.Config.Healthcheck == nil || len(c.Config.Healthcheck.Test) == 0 || c.Config.Healthcheck.Test[0] == "NONE"
	switch {
	case isNone && c.image.Healthcheck != nil && len(c.image.Healthcheck.Test) > 0:
		c.put("healthcheck.disable", "true", c.at(path))
		return
	case isNone:
		return
	}
	h := c.Config.Healthcheck.completed()
	if c.image.Healthcheck != nil && h.equal(c.image.Healthcheck.completed()) {
		return
	}
	c.putWords("healthcheck.test", h.Test, path+".Test")
	c.put("healthcheck.interval", h.Interval.String(), c.at(path+".Interval"))
	c.put("healthcheck.timeout", h.Timeout.String(), c.at(path+".Timeout"))
	c.put("healthcheck.retries", strconv.Itoa(h.Retries), c.at(path+".Retries"))
	if h.StartPeriod > 0 {
		c.put("healthcheck.start_period", h.StartPeriod.String(), c.at(path+".StartPeriod"))
	}
}
