package rights

import (
	"path"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
)

// systemDirs is directories in which a write gets code run by the host, or
// changes what other users and apps run.
var systemDirs = []string{
	"/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/proc", "/root", "/run", "/sbin", "/sys", "/sysroot", "/usr",
	"/var/lib/containers", "/var/lib/systemd", "/var/spool",
}

// homes is where home directories are; /var/home is that of image-based systems.
var homes = []string{"/home", "/var/home"}

// sockets is where sockets are that control the engine, systemd or D-Bus; `*`
// matches within a name.
var sockets = []string{
	"/run/podman", "/run/docker.sock", "/run/containerd", "/run/crio", "/run/dbus", "/run/systemd",
	"/run/user/*/podman", "/run/user/*/bus", "/run/user/*/systemd", "/run/user/*/docker.sock",
}

// hostPath reports a path of the host that the app reads, or reads and changes.
func (c *collector) hostPath(at, name string, write bool) {
	name = realName(name)
	switch {
	case slices.ContainsFunc(sockets, func(s string) bool { return isWithin(name, s) }):
		c.add(ControlSocket, name, Critical, at, "control the container engine or systemd through %s", name)
	case isWithin(name, "/dev"):
		c.device(at, name)
	case write:
		c.hostWrite(at, name)
	default:
		c.hostRead(at, name)
	}
}

func (c *collector) hostWrite(at, name string) {
	switch severity := High; {
	case c.isBelowWritable(name):
		c.add(HostWrite, name, Critical, at, "read and change %s on the host, or any other path: it can replace %s by a link", name, name)
	default:
		if holdsSocket(name) || getsCodeRun(name) {
			severity = Critical
		}
		c.add(HostWrite, name, severity, at, "read and change %s on the host", name)
	}
}

func (c *collector) hostRead(at, name string) {
	switch {
	case c.isBelowWritable(name):
		c.add(HostRead, name, Critical, at, "read %s on the host, or any other path: it can replace %s by a link", name, name)
	case holdsSocket(name):
		c.add(HostRead, name, Critical, at, "read %s on the host, and control the container engine or systemd through the sockets in it", name)
	default:
		c.add(HostRead, name, High, at, "read %s on the host", name)
	}
}

// realName is the path that a name leads to where the usual links are in place.
func realName(name string) string {
	name = path.Clean(name)
	if rest, ok := strings.CutPrefix(name, "/var/run"); ok && (rest == "" || rest[0] == '/') {
		return "/run" + rest
	}
	return name
}

// isWithin reports whether a path is a directory or below it; `*` in the
// directory matches within a name.
func isWithin(name, dir string) bool {
	n := strings.Count(dir, "/")
	if dir == "/" {
		return strings.HasPrefix(name, "/")
	}
	elements := strings.Split(name, "/")
	if len(elements) <= n {
		return false
	}
	ok, _ := path.Match(dir, strings.Join(elements[:n+1], "/"))
	return ok
}

// holds reports whether a directory has the other path in it; `*` in the path
// matches within a name.
func holds(dir, other string) bool {
	if dir == "/" {
		return true
	}
	n := strings.Count(dir, "/")
	elements := strings.Split(other, "/")
	if len(elements) <= n {
		return false
	}
	ok, _ := path.Match(strings.Join(elements[:n+1], "/"), dir)
	return ok
}

func holdsSocket(dir string) bool {
	return slices.ContainsFunc(sockets, func(s string) bool { return holds(dir, s) })
}

// getsCodeRun reports whether the host runs what a write to the path leaves
// there: in a system directory or one that holds one, in a home, or in a hidden
// file or directory of a home.
func getsCodeRun(name string) bool {
	if slices.ContainsFunc(systemDirs, func(dir string) bool { return isWithin(name, dir) || holds(name, dir) }) {
		return true
	}
	return slices.ContainsFunc(homes, func(dir string) bool {
		below := strings.Split(strings.TrimPrefix(name, dir+"/"), "/")
		return holds(name, dir) || isWithin(name, dir) && (len(below) == 1 || strings.Contains(name, "/."))
	})
}

// isBelowWritable reports whether the app also has a directory above the path
// that it can write to. It can then replace the path by a link, which Podman
// follows at the next start.
func (c *collector) isBelowWritable(name string) bool {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if c.writable()[dir] && dir != name {
			return true
		}
		if dir == "/" || dir == "." {
			return false
		}
	}
}

// writable is the paths of the host that the app can write to.
func (c *collector) writable() map[string]bool {
	if c.written == nil {
		c.written = map[string]bool{}
		for _, p := range c.app.Parts {
			for _, v := range p.Volumes {
				if v.Path != "" && writes(&v) {
					c.written[realName(v.Path)] = true
				}
			}
		}
	}
	return c.written
}

// writes reports whether a mount changes what it mounts. Podman 5.4 changes owners
// and SELinux labels on the host, also for a read-only mount.
func writes(v *manifests.Volume) bool { return !v.ReadOnly || v.Chown || v.Relabel != "" }

func hostVolume(c *collector, at string, v *manifests.Volume) { c.hostPath(at, v.Path, writes(v)) }

func envFiles(c *collector, at string, p *manifests.Container) {
	for i, file := range p.EnvFiles {
		if path.IsAbs(file) { // another is beside the manifest
			c.hostPath(index(at, i), file, false)
		}
	}
}

// volumeDevice is a path of the host with any type of file system: with `bind`
// it is mounted itself, else it is read as a device or an image.
func volumeDevice(c *collector, at string, o *manifests.VolumeOptions) {
	c.hostPath(at, o.Device, !slices.Contains(strings.Split(o.Options, ","), "ro"))
}

// volumeOptions reports the paths in mount options, such as those of overlay.
func volumeOptions(c *collector, at string, o *manifests.VolumeOptions) {
	for option := range strings.SplitSeq(o.Options, ",") {
		_, value, _ := strings.Cut(option, "=")
		for name := range strings.SplitSeq(value, ":") {
			if strings.HasPrefix(name, "/") {
				c.hostPath(at, name, true)
			}
		}
	}
}

// diskTypes is types of a volume that show nothing but what is on the device.
var diskTypes = []string{"none", "bind", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "iso9660", "ntfs3", "overlay", "squashfs", "tmpfs", "udf", "vfat", "xfs"}

func volumeType(c *collector, at string, o *manifests.VolumeOptions) {
	if !slices.Contains(diskTypes, o.Type) {
		c.add(MountType, o.Type, Critical, at, "mount the file system %s of the kernel", o.Type)
	}
}

// openDevices is prefixes of names below /dev that give access to memory, to whole disks, or
// to keyboard input.
var openDevices = []string{"mem", "kmem", "port", "sd", "hd", "vd", "xvd", "nvme", "mmcblk", "dm-", "md", "mapper", "disk", "block", "loop", "input", "uinput"}

func device(c *collector, at string, d *manifests.Device) { c.hostPath(at, d.Path, true) }

func cdi(c *collector, at string, d *manifests.Device) {
	c.add(DeviceAccess, d.CDI, High, at, "use the device %s, with the files and programs of the host that its CDI specification adds", d.CDI)
}

func (c *collector) device(at, name string) {
	severity := High
	if name == "/dev" || slices.ContainsFunc(openDevices, func(p string) bool { return strings.HasPrefix(name, "/dev/"+p) }) {
		severity = Critical
	}
	c.add(DeviceAccess, name, severity, at, "use the device %s", name)
}

// buildContext reports the build, and its context where that is more than a
// directory beside the manifest.
func buildContext(c *collector, at string, b *manifests.Build) {
	c.add(Build, b.Context, Medium, at, "build an image from %s, with Podman's default privileges and the network instead of the container's limits", b.Context)
	if name := path.Clean(b.Context); path.IsAbs(name) || name == "." || leadsUp(name) || c.isOfAnother(name) {
		c.hostPath(at, c.beside(name), false)
	}
}

func containerfile(c *collector, at string, b *manifests.Build) {
	if name := path.Join(b.Context, b.Containerfile); leadsUp(path.Clean(strings.TrimLeft(b.Containerfile, "/"))) {
		c.hostPath(at, c.beside(name), false)
	}
}

func leadsUp(name string) bool { return name == ".." || strings.HasPrefix(name, "../") }

// isOfAnother reports whether a directory beside the manifest is that of another
// app's overlays or templates.
func (c *collector) isOfAnother(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	ext := path.Ext(first)
	return (ext == ".d" || ext == ".files") && strings.TrimSuffix(first, ext) != c.app.ID()
}

// beside is a path that is relative to the manifest's directory, if that is known. It is
// unknown for an app of the catalog that is not installed.
func (c *collector) beside(name string) string {
	if path.IsAbs(name) {
		return name
	}
	return path.Join(c.app.Dir, name)
}

func buildTag(c *collector, at string, b *manifests.Build) {
	own := "localhost/" + c.app.ID()
	if rest, ok := strings.CutPrefix(b.Tag, own); ok && (rest == "" || strings.ContainsAny(rest[:1], ":./@")) {
		return
	}
	c.add(ImageName, b.Tag, High, at, "give the image that it builds the name %s, which other apps may run", b.Tag)
}
