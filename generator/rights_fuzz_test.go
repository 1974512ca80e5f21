package generator_test

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/generator"
	"github.com/archipelago-os/archipelago/generator/conform"
	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units"
)

// FuzzRights holds the list of rights against the units: whatever reaches beyond the app in
// what was rendered is of a kind that the manifest was said to ask for. So where a right is
// not granted, no unit that needs it is rendered. Units are read by a table of their own,
// which knows nothing of manifests.
func FuzzRights(f *testing.F) {
	seeds := cases(f, "../manifests/rights/testdata/*.txtar")
	for i, file := range slices.Sorted(maps.Keys(seeds)) {
		for _, in := range seeds[file].Files {
			if in.Name == "x.yaml" {
				f.Add(in.Data, uint8(i))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, withheld uint8) {
		set, ok := beside(t, data)
		if !ok {
			return
		}
		list := rights.Of(set.App("x"))
		all := rights.Grants{App: rights.GrantsFor(rights.Needed(list))}
		if missing := all.Missing(list); len(missing) > 0 {
			t.Errorf("everything is granted, and %v is missing", rights.GrantsFor(missing))
		}
		if n := len(all.App); n > 0 {
			without := all.App[int(withheld)%n]
			less := rights.Grants{App: slices.DeleteFunc(slices.Clone(all.App), func(g string) bool { return g == without })}
			if missing := rights.GrantsFor(less.Missing(list)); len(less.App) < n && !slices.Contains(missing, without) && !slices.Contains(less.App, strings.SplitN(without, ":", 2)[0]) {
				t.Errorf("without %s only %v is missing", without, missing)
			}
		}
		result, diags := generator.Render(set, parseTarget(t, "6.0 user"))
		if diags.HasErrors() {
			return
		}
		for _, file := range result.Files.Of("x") {
			for _, n := range needs(t, file) {
				if !slices.ContainsFunc(list, func(r rights.Right) bool { return slices.Contains(n.kinds, r.Kind) }) {
					t.Errorf("%s needs %v for %s, and the manifest is said to ask for %v\n%s", file.Name, n.kinds, n.value, rights.GrantsFor(list), file.Content)
				}
			}
		}
	})
}

// beside is the app x beside a node and a wallet.
func beside(t *testing.T, data []byte) (*manifests.Set, bool) {
	t.Helper()
	var all []*manifests.Manifest
	for name, text := range map[string]string{
		"x.yaml": string(data),
		"node-a.yaml": `app: {id: node-a, name: N, version: "1", shares: [{volume: data, app: x, write: true}], provides: [{capability: bitcoin-rpc, port: rpc, exports: {password_secret: rpc}}],
  secrets: [{name: rpc, generate: {}}], container: {image: localhost/n, ports: [{name: rpc, container: 8332}], volumes: [{name: data, target: /data}]}}`,
	} {
		m, diags := manifests.Parse(manifests.Input{Manifest: manifests.Source{Name: name, Data: []byte(text)}, Dir: "/home/archy/.config/archipelago/apps"})
		if m == nil || diags.HasErrors() || manifests.Validate(m).HasErrors() {
			return nil, false
		}
		all = append(all, m)
	}
	set, diags := manifests.Resolve(all, manifests.DefaultSettings())
	return set, !diags.HasErrors() && set.App("x") != nil
}

// need is what a line of a unit needs: a right of one of the kinds.
type need struct {
	value string
	kinds []rights.Kind
}

var hostPath = []rights.Kind{rights.HostWrite, rights.HostRead, rights.ControlSocket, rights.DeviceAccess}

// always is keys that reach beyond the app whatever their value is.
var always = map[string]rights.Kind{
	"AddDevice": rights.DeviceAccess, "Unmask": rights.Unmask, "SeccompProfile": rights.Seccomp, "AppArmor": rights.AppArmor,
	"SecurityLabelDisable": rights.SELinux, "AutoUpdate": rights.AutoUpdate,
}

// ours is arguments that archgen passes itself.
var ours = []string{"--interactive", "--tty", "--cpus=", "--stop-timeout", "--shm-size", "--sysctl", "--ulimit", "--memory"}

// known is the directives that archgen writes itself.
var known = strings.Fields(`Description After Wants PartOf RequiresMountsFor StartLimitIntervalSec StartLimitBurst Restart RestartSec RestartSteps RestartMaxDelaySec RestartMode
	TimeoutStartSec TimeoutStopSec SuccessExitStatus SyslogLevelPrefix ExecStartPre ExecStartPost ExecReload RemainAfterExit Type WantedBy Environment CPUWeight MemoryLow MemoryMax`)

// needs is everything in a unit that reaches beyond the app x.
func needs(t *testing.T, file units.File) (list []need) {
	t.Helper()
	section := ""
	add := func(value string, kinds ...rights.Kind) { list = append(list, need{value, kinds}) }
	if path.Ext(file.Name) == ".build" {
		add(file.Name, rights.Build)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(file.Content)) {
		line = strings.TrimSuffix(line, "\n")
		key, value, isAssignment := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		case !isAssignment || strings.HasPrefix(line, "#"):
		case line == "Requires="+units.Engines["read"].Unit:
			add(line, rights.EngineRead)
		case line == "Requires="+units.Engines["full"].Unit:
			add(line, rights.EngineFull)
		case section == "Unit" || section == "Service" || section == "Install":
			isSkipped := path.Ext(file.Name) != ".container" && slices.Contains([]string{"ConditionFileNotEmpty", "ConditionPathExists"}, key) ||
				key == "AssertPathExists" && strings.HasPrefix(value, "!%h/.local/share/containers/storage/volumes/") && path.Base(value) == units.VolumeBlock
			if !isSkipped && !slices.Contains(known, key) {
				add(line, rights.UnitDirective)
			}
		case section == "Volume":
			volume(key, value, add)
		case section == "Build" && key == "ImageTag" && !strings.HasPrefix(value, "localhost/x:") && !strings.HasPrefix(value, "localhost/x."):
			add(line, rights.ImageName)
		case section == "Container" && !seen[key]:
			seen[key] = true
			values, err := conform.Values(file.Content, section, key)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			for _, v := range values {
				container(key, v, add)
			}
		}
	}
	if path.Ext(file.Name) == ".container" && !seen["NoNewPrivileges"] {
		add("no NoNewPrivileges", rights.NewPrivileges)
	}
	return list
}

func volume(key, value string, add func(string, ...rights.Kind)) {
	if key == "Device" || key == "Type" {
		add(value, append([]rights.Kind{rights.MountType}, hostPath...)...)
	}
}

// container is what one value of a key of a container needs.
func container(key, value string, add func(string, ...rights.Kind)) {
	if kind, ok := always[key]; ok {
		add(key+"="+value, kind)
		return
	}
	switch key {
	case "Volume":
		mount(value, add)
	case "Mount": // a part of a volume
		source, _, _ := strings.Cut(strings.TrimPrefix(value, "type=volume,source="), ",")
		mount(source+":", add)
	case "EnvironmentFile":
		if strings.HasPrefix(value, "/") {
			add(value, hostPath...)
		}
	case "AddCapability":
		if !slices.Contains(strings.Fields("CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT"), value) {
			add(value, rights.Capability)
		}
	case "SecurityLabelType":
		if value != "container_t" {
			add(value, rights.SELinux)
		}
	case "PublishPort":
		if !strings.HasPrefix(value, "127.") && !strings.HasPrefix(value, "[::1]") {
			add(value, rights.Listen)
		}
	case "Network":
		switch name, _, _ := strings.Cut(value, ":"); {
		case name == "host":
			add(value, rights.HostNetwork)
		case strings.HasPrefix(name, "archipelago-shared."):
			add(value, rights.Use, rights.Provide, rights.Onion)
		}
	case "UserNS":
		switch mode, _, _ := strings.Cut(value, ":"); mode {
		case "auto", "nomap", "private":
		default:
			add(value, rights.HostUser, rights.UserNamespace)
		}
	case "GroupAdd":
		if value == "keep-groups" {
			add(value, rights.HostGroups)
		}
	case "Secret":
		if name, _, _ := strings.Cut(value, ","); !strings.HasPrefix(name, "x.") {
			add(value, rights.Use)
		}
	case "Ulimit":
		if _, limits, _ := strings.Cut(value, "="); slices.Contains(strings.Split(limits, ":"), "-1") {
			add(value, rights.Unlimited)
		}
	case "PodmanArgs":
		if source, isMount := strings.CutPrefix(value, "--volume="); isMount {
			mount(source, add)
			return
		}
		if !slices.ContainsFunc(ours, func(flag string) bool { return strings.HasPrefix(value, flag) }) {
			add(value, rights.PodmanArg, rights.Privileged, rights.HostPID, rights.HostIPC)
		}
	case "Label":
		if name, v, _ := strings.Cut(value, "="); name == "io.containers.autoupdate" && v != "disabled" {
			add(value, rights.AutoUpdate)
		}
	}
}

// mount is what a mounted volume needs.
func mount(value string, add func(string, ...rights.Kind)) {
	source, _, isNamed := strings.Cut(value, ":")
	switch {
	case !isNamed: // a volume without a name, which goes with the container
	case strings.HasPrefix(source, "%t/archipelago/"), strings.HasPrefix(source, "archipelago-x."):
	case source == "%t/"+units.Engines["read"].Path:
		add(value, rights.EngineRead)
	case source == "%t/"+units.Engines["full"].Path:
		add(value, rights.EngineFull)
	case strings.HasPrefix(source, "/"), strings.HasPrefix(source, "%"):
		add(value, hostPath...)
	case strings.HasSuffix(source, ".volume"):
		add(value, rights.VolumeWrite, rights.VolumeRead)
	case !strings.HasPrefix(source, "x."):
		add(value, rights.VolumeWrite, rights.VolumeRead)
	}
}
