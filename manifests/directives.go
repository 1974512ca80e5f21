package manifests

import (
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// allowedDirectives is the directives that `unit` can set, by section: those that bound or
// order the app itself. `Prefix*` is all directives with that prefix. It omits directives that
// run programs, change what podman sees, hide files from it (rootless Podman can't run in a
// sandboxed unit), or affect other units.
var allowedDirectives = map[string][]string{
	"Unit": strings.Fields(`After Assert* CollectMode Condition* Documentation JobRunningTimeoutSec JobTimeoutSec
		RequiresMountsFor StopWhenUnneeded WantsMountsFor`),
	"Service": strings.Fields(`AllowedCPUs AllowedMemoryNodes CPU* CoredumpFilter DefaultMemory* DefaultStartupMemoryLow
		DisableControllers IO* Limit* LogExtraFields LogFilterPatterns LogLevelMax LogRateLimit* ManagedOOM* MemoryAccounting
		MemoryHigh MemoryLow MemoryMax MemoryMin MemoryPressure* MemorySwapMax MemoryZSwap* Nice OOMPolicy OOMScoreAdjust
		RestartForceExitStatus RestartMode RestartPreventExitStatus RuntimeMaxSec RuntimeRandomizedExtraSec Startup*
		SyslogFacility SyslogIdentifier SyslogLevel
		TasksAccounting TasksMax TimeoutAbortSec TimeoutStartFailureMode TimeoutStopFailureMode TimerSlackNSec UMask`),
}

// typedDirectives is directives that a key of the manifest writes.
var typedDirectives = map[string]string{
	"Unit.Description": "app.name", "Unit.Wants": "after or requires", "Unit.Requires": "after or requires",
	"Unit.StartLimitBurst": "restart.limit.burst", "Unit.StartLimitIntervalSec": "restart.limit.interval",
	"Service.Restart": "restart.policy", "Service.RestartSec": "restart.delay", "Service.RestartMaxDelaySec": "restart.max_delay",
	"Service.RestartSteps": "restart.max_delay", "Service.TimeoutStartSec": "start.timeout", "Service.TimeoutStopSec": "stop.timeout",
	"Service.TimeoutSec": "start.timeout and stop.timeout", "Service.Type": "oneshot", "Service.Environment": "env",
	"Service.EnvironmentFile": "env_files", "Service.User": "user", "Service.Group": "user", "Service.WorkingDirectory": "working_dir",
	"Service.KillSignal": "stop.signal", "Service.NoNewPrivileges": "security.allow_new_privileges",
}

// AllowsDirective reports whether `unit` can set a directive.
func AllowsDirective(section, key string) bool {
	return slices.Contains(knownDirectives[section], key) &&
		slices.ContainsFunc(allowedDirectives[section], func(h string) bool { return matches(h, key) })
}

// unit checks the escape hatch of a part.
func (v *validator) unit(p Part) {
	for _, section := range sortedKeys(p.Unit) {
		at := p.Path + ".unit." + section
		known := knownDirectives[section]
		if known == nil {
			v.fail(diag.Structure, at, didYouMean(section, sortedKeys(knownDirectives)), "only [Unit] and [Service] can be added to, not [%s]", section)
			continue
		}
		for _, key := range sortedKeys(p.Unit[section]) {
			v.directive(at+"."+key, section, key, known)
			for i, value := range p.Unit[section][key] {
				if !isLine(value) {
					v.fail(diag.BadValue, fmt.Sprintf("%s.%s[%d]", at, key, i), "", "the value must be one line of text")
				}
			}
		}
	}
}

func (v *validator) directive(path, section, key string, known []string) {
	typed := typedDirectives[section+"."+key]
	switch {
	case AllowsDirective(section, key):
	case typed != "":
		v.fail(diag.Structure, path, "use the key "+typed, "%s= is written from the key %s", key, typed)
	case !slices.Contains(known, key):
		v.fail(diag.UnknownDirective, path, didYouMean(key, known), "systemd has no directive %s= in [%s]", key, section)
	default:
		v.fail(diag.Structure, path, "an operator can set it in a drop-in, app@"+v.app.ID+".container.d/NAME.conf",
			"a manifest can't set %s=: it runs programs, changes what Podman sees, or reaches other units", key)
	}
}

// matches compares a directive with an entry of allowedDirectives.
func matches(entry, key string) bool {
	if prefix, ok := strings.CutSuffix(entry, "*"); ok {
		return strings.HasPrefix(key, prefix)
	}
	return entry == key
}
