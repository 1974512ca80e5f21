// Package strict owns the findings of `archgen check --strict` beyond errors: what a manifest
// may contain and a reviewer should check.
//
// It reads resolved manifests and never prints. What an app can do beyond its own containers
// is decided by manifests/rights.
package strict

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/rights"
)

// CheckAll adds to what was found in a set what a reviewer should check of each app. All of it is an
// error.
func CheckAll(set *manifests.Set, found diag.List) diag.List {
	for _, app := range set.Apps {
		found = append(found, Check(app)...)
	}
	for i := range found {
		found[i].Severity = diag.Error
	}
	return found
}

// Check reports what a reviewer should check.
func Check(app *manifests.Resolved) diag.List {
	s := &checker{app: app}
	for _, p := range app.Parts {
		s.images(p)
		s.secrets(p)
		s.database(p)
		if !p.Oneshot && !p.Health.Disable && p.Health.Serving == nil && p.Health.Alive == nil {
			s.warn(diag.NoProbe, p.Path, "add `health: {serving: …}`", "nothing tells whether %s serves", partName(app, p))
		}
	}
	s.rights()
	return s.diags
}

type checker struct {
	app   *manifests.Resolved
	diags diag.List
}

func (s *checker) warn(code diag.Code, path, hint, format string, args ...any) {
	s.diags = append(s.diags, s.app.Diag(diag.Warning, code, path, hint, format, args...))
}

func partName(app *manifests.Resolved, p manifests.Part) string {
	if p.Name == "main" {
		return app.ID()
	}
	return app.ID() + "." + p.Name
}

func (s *checker) images(p manifests.Part) {
	if p.Image == "" || strings.Contains(p.Image, "@sha256:") || strings.HasPrefix(p.Image, "localhost/") {
		return
	}
	hint := "append the digest: " + p.Image + "@sha256:…"
	if s.app.Document.App.Update.Policy == "registry" {
		hint = "write `update: {policy: manual}`, and " + hint
	}
	s.warn(diag.FloatingImage, p.Path+".image", hint, "the image is not pinned by digest")
}

// rights reports the rights that are high or critical. One that is lower, such as
// to listen for other machines or to use a capability, is what a normal app needs:
// `archgen rights` lists it.
func (s *checker) rights() {
	for _, r := range rights.Of(s.app) {
		if r.Severity >= rights.High {
			s.warn(codeOf(r.Kind), r.Path, "", "the app can %s", r.Allows)
		}
	}
}

func codeOf(k rights.Kind) diag.Code {
	switch k {
	case rights.PodmanArg, rights.HostPID, rights.HostIPC, rights.UnitDirective:
		return diag.RawArguments
	default:
		return diag.Privilege
	}
}

func (s *checker) secrets(p manifests.Part) {
	for i, m := range p.Secrets {
		if m.Env != "" && m.Waiver == "" {
			s.warn(diag.SecretInEnv, fmt.Sprintf("%s.secrets[%d].env", p.Path, i), "mount it, or say why not in `waiver`", "the secret %s is handed over in the environment", m.Said())
		}
	}
	for _, c := range p.Composed {
		if _, isSingle := c.Single(); isSingle { // a program that wants more than the secret can't read it from a file
			s.warn(diag.SecretInEnv, p.Path+".env."+c.Name, "mount it with `secrets`, or name the variable there and say why in `waiver`", "a secret is handed over in the environment")
		}
	}
}

func (s *checker) database(p manifests.Part) {
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
