package manifests

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// Composed is an environment variable whose value contains secrets.
type Composed struct {
	Name   string
	Pieces []Piece
}

// Piece is a text, or a secret whose value stands there.
type Piece struct {
	Text   string
	Secret SecretRef
}

// SecretRef names a secret of an app.
type SecretRef struct{ App, Name string }

// IsSecret reports whether the piece is a secret.
func (p Piece) IsSecret() bool { return p.Secret != SecretRef{} }

// Single is the only secret of a value that is nothing else.
func (c Composed) Single() (ref SecretRef, isSingle bool) {
	return c.Pieces[0].Secret, len(c.Pieces) == 1
}

// textOf is the text of pieces without secrets.
func textOf(list []Piece) string {
	var out strings.Builder
	for _, p := range list {
		out.WriteString(p.Text)
	}
	return out.String()
}

// ComposedName is the name of the secret with the value of an environment variable that contains
// secrets. Names of secrets have neither capitals nor underscores, so the end tells two variables
// of the same letters apart.
func ComposedName(part, variable string) string {
	const longest = 30 // of the 48 characters of a secret's name
	sum := sha256.Sum256([]byte(part + "." + variable))
	plain := strings.Trim(strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(variable)), "-")
	return "env-" + plain[:min(len(plain), longest)] + "-" + hex.EncodeToString(sum[:4])
}

// pieces is the value of an environment variable, with the values of all variables but secrets.
func (r *resolver) pieces(app *Resolved, path, text string) (list []Piece) {
	literal := func(s string) {
		switch last := len(list) - 1; {
		case s == "":
		case last >= 0 && !list[last].IsSecret():
			list[last].Text += s
		default:
			list = append(list, Piece{Text: s})
		}
	}
	splitVariables(text, literal, func(name string, isClosed bool) {
		literal(r.closed(app, path, name, isClosed, func(app *Resolved, path, expr string) string {
			ref, isSecret := r.secretOf(app, path, expr)
			if !isSecret {
				return r.open(app, path, expr)
			}
			list = append(list, Piece{Secret: ref})
			return ""
		}))
	})
	return list
}

// secretOf is the secret that a variable stands for.
func (r *resolver) secretOf(app *Resolved, path, expr string) (ref SecretRef, isSecret bool) {
	name, _, hasFallback := strings.Cut(expr, ":-")
	ref, isSecret = r.set.secretVariable(app, name)
	if isOwn := strings.HasPrefix(name, secretPrefix); isOwn && hasFallback {
		r.fail(app.Manifest, diag.BadValue, path, "leave the default out", "${%s} has a default, but a secret of the app always has a value", quoteVariable(expr))
	}
	return ref, isSecret
}

// secretVariable is the secret that the variable of that name stands for.
func (s *Set) secretVariable(app *Resolved, name string) (ref SecretRef, isSecret bool) {
	if own, isOwn := strings.CutPrefix(name, secretPrefix); isOwn {
		isIt := func(d Secret) bool { return d.Name == own }
		return SecretRef{app.ID(), own}, slices.ContainsFunc(app.Document.App.Secrets, isIt)
	}
	rest, isExport := strings.CutPrefix(name, capabilityPrefix)
	capability, export, _ := strings.Cut(rest, ".")
	if !isExport || app.need(name) == nil {
		return SecretRef{}, false
	}
	return s.exportedSecret(app, capability, export)
}

// exportedSecret is a secret that the provider of a capability exports to an app.
func (s *Set) exportedSecret(app *Resolved, capability, export string) (ref SecretRef, isExported bool) {
	provider, names := s.ExportedSecrets(capability, app.ID())
	name, isExported := names[export]
	if !isExported {
		return SecretRef{}, false
	}
	return SecretRef{provider.ID(), name}, true
}

// secretVariables is the names of the variables that stand for secrets.
func (s *Set) secretVariables(app *Resolved) (list []string) {
	for _, d := range app.Document.App.Secrets {
		list = append(list, secretPrefix+d.Name)
	}
	for _, n := range app.Needs {
		_, names := s.ExportedSecrets(n.Capability, app.ID())
		for _, export := range sortedKeys(names) {
			list = append(list, capabilityPrefix+n.Capability+"."+export)
		}
	}
	return list
}

// SecretOf is the secret that a container of an app gets. There is none where the capability of
// the secret is optional and has no provider.
func (s *Set) SecretOf(app *Resolved, m *SecretMount) (ref SecretRef, exists bool) {
	if m.Capability == "" {
		return SecretRef{app.ID(), m.Name}, true
	}
	return s.exportedSecret(app, m.Capability, m.Export)
}

// Said is the name of the secret in the manifest.
func (m *SecretMount) Said() string {
	if m.Capability == "" {
		return m.Name
	}
	return m.Capability + "." + m.Export
}

// exportedMounts refuses secrets of capabilities that the app does not require, or whose
// provider exports no such secret.
func (r *resolver) exportedMounts(app *Resolved) {
	for _, part := range app.Parts {
		for i, m := range part.Secrets {
			at := fmt.Sprintf("%s.secrets[%d]", part.Path, i)
			need := app.need(capabilityPrefix + m.Capability + ".")
			switch {
			case m.Capability == "":
			case need == nil:
				r.fail(app.Manifest, diag.UnknownName, at+".capability", "add {capability: "+m.Capability+"} to `requires`",
					"the app does not require the capability %s, whose secret it gets here", m.Capability)
			case need.Provider != nil && m.Export != "":
				_, names := r.set.ExportedSecrets(m.Capability, app.ID())
				if _, isExported := names[m.Export]; !isExported {
					r.fail(app.Manifest, diag.UnknownName, at+".export", didYouMean(m.Export, sortedKeys(names)),
						"%s exports no secret %s with %s", need.Provider.ID(), m.Export, m.Capability)
				}
			}
		}
	}
}

// composedNames refuses a secret with the name of one that archgen makes of a variable.
func (r *resolver) composedNames(app *Resolved) {
	for _, part := range app.Parts {
		for _, c := range part.Composed {
			name := ComposedName(part.Name, c.Name)
			if i := slices.IndexFunc(app.Document.App.Secrets, func(d Secret) bool { return d.Name == name }); i >= 0 {
				r.fail(app.Manifest, diag.NameClash, fmt.Sprintf("app.secrets[%d].name", i), "give the secret another name",
					"%s is the name of the secret with the value of %s.env.%s", name, part.Path, c.Name)
			}
		}
	}
}

// ExportedSecrets is the secrets that the provider of a capability exports to a consumer,
// as names of its own, by the names of the exports. provider is nil if there is none.
func (s *Set) ExportedSecrets(capability, consumer string) (provider *Resolved, names map[string]string) {
	by := s.providers[capability]
	if len(by) == 0 {
		return nil, nil
	}
	names = map[string]string{}
	for name, value := range by[0].offer.exports(consumer) {
		if strings.HasSuffix(name, "_secret") {
			names[name] = value
		}
	}
	return by[0].app, names
}
