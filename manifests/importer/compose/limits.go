package compose

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

const (
	second = manifests.Duration(time.Second)
	hour   = manifests.Duration(time.Hour)
	day    = 24 * hour
)

var sizeText = regexp.MustCompile(`(?i)^\s*([0-9]+(?:\.[0-9]+)?)\s*([bkmgtp]?)(?:i?b)?\s*$`)

// size reads a number of bytes: 64m, 1.5g, 1gb, 1024.
func (p *project) size(n *syntax.Node, key string) (size manifests.Size, ok bool) {
	text := p.text(n, key)
	m := sizeText.FindStringSubmatch(text)
	if m == nil {
		if !p.isUnset(n) {
			p.Report(importer.BadSourceValue, n.At, key, "%s is no size", diag.Quote(diag.Shorten(text)))
		}
		return 0, false
	}
	number, err := strconv.ParseFloat(m[1], 64)
	bytes := number * math.Pow(1024, float64(strings.Index("bkmgtp", cmp.Or(strings.ToLower(m[2]), "b"))))
	if err != nil || bytes >= 1<<62 {
		p.Report(importer.BadSourceValue, n.At, key, "%s is too large", diag.Quote(diag.Shorten(text)))
		return 0, false
	}
	return manifests.Size(bytes), true
}

// duration reads a length of time: 90s, 1m30s, 500ms; a number alone is seconds.
func (p *project) duration(n *syntax.Node, key string) (d manifests.Duration, ok bool) {
	text := p.text(n, key)
	if _, err := strconv.Atoi(text); err == nil {
		text += "s"
	}
	value, err := time.ParseDuration(text)
	if err != nil || value < 0 {
		if !p.isUnset(n) {
			p.Report(importer.BadSourceValue, n.At, key, "%s is no length of time", diag.Quote(diag.Shorten(text)))
		}
		return 0, false
	}
	return manifests.Duration(value.Round(time.Millisecond)), true
}

// sizeArgument says a size by an argument of podman run.
func sizeArgument(arg string, code importer.Code) func(*service, *syntax.Node, string) {
	return func(s *service, n *syntax.Node, key string) {
		if s.quiet(n) == "-1" {
			s.raw(code, arg, "-1", item{node: n, at: n.At, key: key})
			return
		}
		if size, ok := s.size(n, key); ok && size > 0 {
			s.raw(code, arg, size.String(), item{node: n, at: n.At, key: key})
		}
	}
}

func (s *service) memoryLimit(n *syntax.Node, key string) {
	if size, ok := s.size(n, key); ok {
		s.c.Limits.Memory = size
	}
}

func (s *service) memoryReservation(n *syntax.Node, key string) {
	if size, ok := s.size(n, key); ok {
		s.c.Limits.MemoryReservation = size
	}
}

func (s *service) shmSize(n *syntax.Node, key string) {
	if size, ok := s.size(n, key); ok {
		s.c.Limits.Shm = size
	}
}

func (s *service) cpus(n *syntax.Node, key string) {
	text := s.text(n, key)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || value < 0 {
		s.Report(importer.BadSourceValue, n.At, key, "%s is no number of processor cores", diag.Quote(diag.Shorten(text)))
		return
	}
	if value > 0 {
		s.c.Limits.CPUs = manifests.Decimal(strconv.FormatFloat(value, 'f', -1, 64))
	}
}

// The share of the processors that a service has without saying so, for Compose and for systemd.
const (
	usualShares = 1024
	usualWeight = 100
	mostWeight  = 10000
)

// cpuShares reads the share of the processors. 0 is the usual one.
func (s *service) cpuShares(n *syntax.Node, key string) {
	shares, ok := s.number(n, key, 0)
	if !ok || shares == 0 {
		return
	}
	s.c.Limits.CPUWeight = min(max((min(shares, mostWeight*usualShares)*usualWeight+usualShares/2)/usualShares, 1), mostWeight)
	if s.c.Limits.CPUWeight > usualWeight {
		s.privilege("cpu_weight."+s.name, fmt.Sprintf("%s gets more processor time than others when they compete", s.name), item{at: n.At, key: key})
	}
}

func (s *service) pidsLimit(n *syntax.Node, key string) {
	switch count, ok := s.number(n, key, -1); {
	case ok && count > 0:
		s.c.Limits.Pids = count
	case ok:
		s.raw(importer.RawArgument, "--pids-limit", "-1", item{node: n, at: n.At, key: key})
	}
}

func (s *service) ulimits(n *syntax.Node, key string) {
	for _, e := range n.Entries {
		here := key + "." + e.Key
		text := s.ulimit(e.Value, here)
		value, err := strconv.Atoi(text)
		switch {
		case text == "":
		case e.Key == "nofile" && err == nil && value > 0:
			s.c.Limits.NoFile = value
		case e.Key == "memlock" && err == nil:
			s.c.Limits.MemLock = value
		default:
			if s.c.Limits.Ulimits == nil {
				s.c.Limits.Ulimits = map[string]string{}
			}
			s.c.Limits.Ulimits[e.Key] = text
		}
	}
}

// ulimit is one limit, soft:hard where the two differ.
func (s *service) ulimit(n *syntax.Node, key string) string {
	if n.Kind != syntax.MapNode {
		return s.text(n, key)
	}
	soft, hard := n.Get("soft"), n.Get("hard")
	if soft == nil || hard == nil {
		s.Report(importer.BadSourceValue, n.At, key, "the limit needs soft and hard")
		return ""
	}
	a, b := s.text(soft, key), s.text(hard, key)
	if a == b {
		return a
	}
	return a + ":" + b
}

func (s *service) sysctls(n *syntax.Node, key string) {
	for _, v := range s.pairs(n, key, "=") {
		value := s.text(v.node, v.key)
		if !fitsSysctl(value) {
			s.Report(importer.SysctlValue, v.at, v.key, "the kernel parameter %s is left out", v.name)
			continue
		}
		if s.c.Sysctls == nil {
			s.c.Sysctls = map[string]string{}
		}
		s.c.Sysctls[v.name] = value
	}
}

func (s *service) tmpfs(n *syntax.Node, key string) {
	for _, it := range s.items(n, key) {
		target, options, _ := strings.Cut(s.text(it.node, it.key), ":")
		t := manifests.Tmpfs{Target: path.Clean(target)}
		for option := range strings.SplitSeq(options, ",") {
			name, value, _ := strings.Cut(option, "=")
			node := &syntax.Node{Kind: syntax.ScalarNode, Text: value, At: it.at}
			switch name {
			case "size":
				t.Size, _ = s.size(node, it.key)
			case "mode":
				t.Mode = s.mode(node, it.key)
			case "", "rw":
			default:
				s.Report(importer.MountOption, it.at, it.key, "the option %s of the tmpfs is left out", diag.Quote(diag.Shorten(option)))
			}
		}
		s.c.Tmpfs = append(s.c.Tmpfs, t)
	}
}

// addTmpfs is a tmpfs that stands among the mounts.
func (s *service) addTmpfs(m mount) {
	t := manifests.Tmpfs{Target: m.target}
	if o := m.node.Get("tmpfs"); o != nil {
		if n := o.Get("size"); n != nil {
			t.Size, _ = s.size(n, m.key+".tmpfs.size")
		}
		if n := o.Get("mode"); n != nil {
			t.Mode = s.mode(n, m.key+".tmpfs.mode")
		}
	}
	s.c.Tmpfs = append(s.c.Tmpfs, t)
}

// mode reads permissions in octal.
func (p *project) mode(n *syntax.Node, key string) manifests.Mode {
	text := p.text(n, key)
	mode, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 12)
	if err != nil {
		p.Report(importer.BadSourceValue, n.At, key, "%s are no permissions", diag.Quote(diag.Shorten(text)))
	}
	return manifests.Mode(mode)
}

func (s *service) deploy(n *syntax.Node, key string) {
	eachKey(s.project, s, deployKeys, n, key, s.path)
}

// resources reads limits and reservations of a deployment.
func (s *service) resources(n *syntax.Node, key string) {
	for _, e := range n.Entries {
		for _, r := range e.Value.Entries {
			here := key + "." + e.Key + "." + r.Key
			switch e.Key + "." + r.Key {
			case "limits.memory":
				s.memoryLimit(r.Value, here)
			case "limits.cpus":
				s.cpus(r.Value, here)
			case "limits.pids":
				s.pidsLimit(r.Value, here)
			case "reservations.memory":
				s.memoryReservation(r.Value, here)
			case "reservations.cpus":
				s.Report(importer.CPUReservation, r.At, here, "no processor time is reserved")
			case "reservations.devices":
				s.gpus(r.Value, here)
			default:
				s.Report(importer.NoEquivalent, r.At, here, lossText[importer.NoEquivalent], e.Key+"."+r.Key)
			}
		}
	}
}

// restartPolicy reads how a deployment restarts.
func (s *service) restartPolicy(n *syntax.Node, key string) {
	s.c.Restart.Policy = "always"
	var window manifests.Duration
	for _, e := range n.Entries {
		here := key + "." + e.Key
		switch e.Key {
		case "condition":
			policies := map[string]string{"none": "no", "on-failure": "on-failure", "any": "always"}
			s.c.Restart.Policy = cmp.Or(policies[s.text(e.Value, here)], "always")
		case "delay":
			if d, ok := s.duration(e.Value, here); ok {
				s.c.Restart.Delay = min(d, hour)
			}
		case "window":
			window, _ = s.duration(e.Value, here)
		case "max_attempts":
			s.limitRestarts(s.text(e.Value, here), e.Value, here)
		default:
			s.Report(importer.UnknownKey, e.At, here, "Compose has no key %s here", e.Key)
		}
	}
	if limit := s.c.Restart.Limit; limit != nil && window > second {
		limit.Interval = min(window, 30*day)
	}
	s.Note(s.path+".restart", n.At)
}
