package importer

import (
	"cmp"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
)

// PodmanCapabilities is the Linux capabilities that a container of Podman keeps without being
// told to.
var PodmanCapabilities = []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}

// IDOf makes an id of a name.
func IDOf(name string) string {
	id := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, name)
	id = strings.Trim(id, "-")
	id = strings.TrimRight(id[:min(len(id), 48)], "-")
	return cmp.Or(id, "app")
}

// AppID makes an id of an app of a name.
func AppID(name string) string { return manifests.AppID(IDOf(name)) }

// CommonName is what names have in common in front, up to a separator, or nothing.
func CommonName(names []string) string {
	name := names[0]
	for _, other := range names[1:] {
		n := 0
		for n < min(len(name), len(other)) && name[n] == other[n] {
			n++
		}
		isWhole := (n == len(name) || strings.ContainsAny(name[n:n+1], "-_.")) && (n == len(other) || strings.ContainsAny(other[n:n+1], "-_."))
		if name = name[:n]; !isWhole {
			name = name[:max(0, strings.LastIndexAny(name, "-_."))]
		}
	}
	return strings.Trim(name, "-_.")
}

// SecretName makes the name of a secret of that of a variable.
func SecretName(name string) string { return IDOf(strings.ToLower(name)) }

// Qualified is an image reference with its registry.
func Qualified(image string) string {
	host, _, hasHost := strings.Cut(image, "/")
	switch {
	case image == "":
		return ""
	case !hasHost:
		return "docker.io/library/" + image
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		return "docker.io/" + image
	case host == "index.docker.io":
		return "docker.io" + strings.TrimPrefix(image, host)
	}
	return image
}
