package machine

import (
	"math"
	"net/netip"
	"path/filepath"

	"github.com/BurntSushi/toml"

	"github.com/archipelago-os/archipelago/units/limits"
	"github.com/archipelago-os/archipelago/units/podman"
)

// subnets reads how many subnets Podman has for networks, and how many networks exist. It
// takes them from the pools of containers.conf(5).
func (l Limits) subnets() limits.Usage {
	u := limits.Usage{}
	pools := l.pools()
	for _, p := range pools {
		u.Max += p.count()
	}
	for _, n := range podman.NetworksIn(l.Networks) {
		if inPools(n, pools) {
			u.Used++
		}
	}
	return u
}

// pool is a range from which Podman takes subnets of a size.
type pool struct {
	Base string `toml:"base"`
	Size int    `toml:"size"`
}

// defaultPools is those of Podman 4 to 6.
var defaultPools = []pool{
	{"10.89.0.0/16", 24}, {"10.90.0.0/15", 24}, {"10.92.0.0/14", 24}, {"10.96.0.0/11", 24}, {"10.128.0.0/9", 24},
}

// count is the number of subnets in a pool.
func (p pool) count() int {
	base, err := netip.ParsePrefix(p.Base)
	if err != nil || p.Size < base.Bits() || p.Size-base.Bits() > 30 {
		return 0
	}
	return int(math.Exp2(float64(p.Size - base.Bits())))
}

// inPools reports whether a network has a subnet of the pools.
func inPools(network podman.Network, pools []pool) bool {
	for _, s := range network.Subnets {
		subnet, err := netip.ParsePrefix(s.Subnet)
		if err != nil {
			return false
		}
		for _, p := range pools {
			if base, err := netip.ParsePrefix(p.Base); err == nil && base.Overlaps(subnet) {
				return true
			}
		}
	}
	return false
}

// pools reads the pools of Podman's configuration files; the last one that sets them wins.
func (l Limits) pools() []pool {
	pools := defaultPools
	patterns := []string{
		filepath.Join(l.Root, "usr/share/containers/containers.conf"),
		filepath.Join(l.Root, "etc/containers/containers.conf"), filepath.Join(l.Root, "etc/containers/containers.conf.d/*.conf"),
	}
	if l.Config != "" {
		patterns = append(patterns, filepath.Join(l.Config, "containers/containers.conf"), filepath.Join(l.Config, "containers/containers.conf.d/*.conf"))
	}
	for _, pattern := range patterns {
		files, _ := filepath.Glob(pattern) // the patterns are valid
		for _, f := range files {
			var conf struct {
				Network struct {
					Pools []pool `toml:"default_subnet_pools"`
				} `toml:"network"`
			}
			if _, err := toml.DecodeFile(f, &conf); err == nil && len(conf.Network.Pools) > 0 {
				pools = conf.Network.Pools
			}
		}
	}
	return pools
}
