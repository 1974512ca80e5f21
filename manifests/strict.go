package manifests

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// Strict reports what is allowed but wants a second look: `check --strict`
// fails on it.
func Strict(app *Resolved) diag.List {
	s := &strict{app: app}
	for _, p := range app.Parts {
		s.images(p)
		s.rights(p)
		s.secrets(p)
		s.database(p)
		if !p.Oneshot && !p.Health.Disable && p.Health.Serving == nil && p.Health.Alive == nil {
			s.warn(diag.NoProbe, p.Path, "add `health: {serving: …}`", "nothing tells whether %s serves", partName(app, p))
		}
	}
	for _, name := range sortedKeys(app.Document.App.Volumes) {
		s.hostPath("app.volumes."+name+".existing", app.Existing(name))
	}
	return s.diags
}

type strict struct {
	app   *Resolved
	diags diag.List
}

func (s *strict) warn(code diag.Code, path, hint, format string, args ...any) {
	s.diags = append(s.diags, s.app.Diag(diag.Warning, code, path, hint, format, args...))
}

func partName(app *Resolved, p Part) string {
	if p.Name == "main" {
		return app.ID()
	}
	return app.ID() + "." + p.Name
}

func (s *strict) images(p Part) {
	if p.Image != "" && !strings.Contains(p.Image, "@sha256:") && !strings.HasPrefix(p.Image, "localhost/") {
		s.warn(diag.FloatingImage, p.Path+".image", "append the digest: "+p.Image+"@sha256:…", "the image is not pinned by digest")
	}
}

// hostOwn is directories in which a write changes the host or its users.
var hostOwn = []string{"/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/proc", "/root", "/run", "/sbin", "/sys", "/usr", "/var/lib", "/var/run"}

func (s *strict) rights(p Part) {
	if len(p.PodmanArgs) > 0 {
		s.warn(diag.RawArguments, p.Path+".podman_args", "", "podman_args are passed on unchecked")
	}
	if len(p.Unit) > 0 {
		s.warn(diag.RawArguments, p.Path+".unit", "", "unit directives are passed on unchecked")
	}
	if p.Privileged {
		s.warn(diag.Privilege, p.Path+".privileged", "", "the container can do everything its user can do")
	}
	if p.Network == "host" {
		s.warn(diag.Privilege, p.Path+".network", "", "the container sees every port of the host")
	}
	if p.Security.LabelDisable || p.Security.Seccomp == "unconfined" || p.Security.AppArmor == "unconfined" {
		s.warn(diag.Privilege, p.Path+".security", "", "confinement by the kernel is turned off")
	}
	for i, m := range p.Volumes {
		s.hostPath(fmt.Sprintf("%s.volumes[%d].path", p.Path, i), m.Path)
	}
	for i, c := range p.Capabilities.Add {
		if c == "ALL" || c == "SYS_ADMIN" {
			s.warn(diag.Privilege, fmt.Sprintf("%s.capabilities.add[%d]", p.Path, i), "", "%s is nearly as much as privileged", c)
		}
	}
}

func (s *strict) hostPath(at, path string) {
	if path == "/" || slices.ContainsFunc(hostOwn, func(dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }) {
		s.warn(diag.Privilege, at, "", "%s belongs to the host, not to an app", path)
	}
}

func (s *strict) secrets(p Part) {
	for i, m := range p.Secrets {
		if m.Env != "" && m.Waiver == "" {
			s.warn(diag.SecretInEnv, fmt.Sprintf("%s.secrets[%d].env", p.Path, i), "mount it, or say why not in `waiver`", "the secret %s is handed over in the environment", m.Name)
		}
	}
}

func (s *strict) database(p Part) {
	if p.Kind != "database" {
		return
	}
	for i, port := range p.Ports {
		addr, err := netip.ParseAddr(strings.Trim(port.Bind, "[]"))
		if port.Host != 0 && (err != nil || !addr.IsLoopback()) {
			s.warn(diag.PublishedDatabase, fmt.Sprintf("%s.ports[%d].bind", p.Path, i), "bind it to 127.0.0.1", "a database is published on %s", port.Bind)
		}
	}
}
