package compose

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

func (s *service) devices(n *syntax.Node, key string) {
	for _, it := range s.items(n, key) {
		parts := strings.Split(s.text(it.node, it.key), ":")
		if it.node.Kind == syntax.MapNode {
			parts = nil
			for _, name := range []string{"source", "target", "permissions"} {
				if v := it.node.Get(name); v != nil {
					parts = append(parts, s.text(v, it.key+"."+name))
				}
			}
		}
		if s.isUnset(it.node) {
			continue
		}
		parts = append(parts, "", "", "")
		if strings.Contains(parts[0], "=") {
			s.addCDI(parts[0], it)
			continue
		}
		d := manifests.Device{Path: parts[0], Target: parts[1], Permissions: parts[2]}
		if d.Target == d.Path {
			d.Target = ""
		}
		s.addDevice(d, d.Path, it)
	}
}

func (s *service) addDevice(d manifests.Device, name string, it item) {
	s.c.Devices = append(s.c.Devices, d)
	kind, _, _ := strings.Cut(name, "=") // no key of a question has one
	s.privilege("device."+kind, fmt.Sprintf("%s gets the device %s", s.name, name), it)
}

// addCDI adds a device by its name in the Container Device Interface.
func (s *service) addCDI(name string, it item) {
	switch {
	case slices.ContainsFunc(s.c.Devices, func(d manifests.Device) bool { return d.CDI == name }):
	case !fitsCDI(name):
		s.Report(importer.GPU, it.at, it.key, "the device %s is left out: it is no CDI name", diag.Quote(diag.Shorten(name)))
	default:
		s.addDevice(manifests.Device{CDI: name}, name, it)
	}
}

// gpus reads reservations of devices: all, or a list of them by driver.
func (s *service) gpus(n *syntax.Node, key string) {
	for _, it := range s.items(n, key) {
		if it.node.Kind == syntax.MapNode {
			s.reserve(it)
			continue
		}
		text := s.text(it.node, it.key)
		ids, isList := strings.CutPrefix(strings.Trim(text, `"`), "device=")
		switch count, err := strconv.Atoi(text); {
		case isList:
			s.addGPUs("nvidia", strings.Split(ids, ","), it)
		case text == "all":
			s.addGPUs("nvidia", []string{"all"}, it)
		case err == nil:
			s.addGPUs("nvidia", counted(count), it)
		default:
			s.Report(importer.BadSourceValue, it.at, it.key, "%s names no GPUs", diag.Quote(diag.Shorten(text)))
		}
	}
}

// reserve reads one reservation. Docker takes the first devices where it gives a number.
func (s *service) reserve(it item) {
	driver, ids := "nvidia", []string{"all"}
	for _, e := range it.node.Entries {
		here := it.key + "." + e.Key
		switch e.Key {
		case "driver":
			driver = first(s.text(e.Value, here), driver)
		case "count":
			if s.quiet(e.Value) == "all" {
				continue
			}
			if count, ok := s.number(e.Value, here, -1); ok {
				ids = counted(count)
			}
		case "device_ids":
			ids = nil
			for _, id := range s.items(e.Value, here) {
				ids = append(ids, s.text(id.node, id.key))
			}
		case "capabilities": // a device of CDI has all of them
		default:
			s.Report(importer.NoEquivalent, e.At, here, lossText[importer.NoEquivalent], e.Key)
		}
	}
	s.addGPUs(driver, ids, it)
}

// counted is the numbers of a count of devices; -1 stands for all.
func counted(count int) (ids []string) {
	const most = 64
	if count < 0 || count > most {
		return []string{"all"}
	}
	for i := range count {
		ids = append(ids, strconv.Itoa(i))
	}
	return ids
}

func (s *service) addGPUs(driver string, ids []string, it item) {
	for _, id := range ids {
		switch driver {
		case "nvidia":
			s.addCDI("nvidia.com/gpu="+id, it)
		case "cdi":
			s.addCDI(id, it)
		default:
			s.Report(importer.GPU, it.at, it.key, "the devices of the driver %s are left out", diag.Quote(diag.Shorten(driver)))
			return
		}
	}
}
