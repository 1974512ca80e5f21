package importer

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// PodmanSecret is a secret that Podman stores, and how a container gets it.
type PodmanSecret struct {
	// Full is its name in Podman.
	Full  string
	Mount manifests.SecretMount
}

// EnvWaiver is why a secret may be an environment variable.
const EnvWaiver = "the program reads it from its environment"

// ReadPodmanSecret reads NAME[,OPTION=VALUE…]. prefix is what the names of the app's secrets begin
// with in Podman.
func ReadPodmanSecret(text, prefix string) PodmanSecret {
	full, options, _ := strings.Cut(text, ",")
	m := manifests.SecretMount{Name: SecretName(strings.TrimPrefix(full, prefix)), Mode: 0o444}
	isEnv, target := false, ""
	for option := range strings.SplitSeq(options, ",") {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "type":
			isEnv = value == "env"
		case "target":
			target = value
		case "mode":
			mode, _ := strconv.ParseUint(value, 8, 12) // what is no mode is the default
			m.Mode = manifests.Mode(mode)
		case "uid":
			m.UID = idOf(value)
		case "gid":
			m.GID = idOf(value)
		}
	}
	switch {
	case isEnv:
		m.Env, m.Mode, m.UID, m.GID, m.Waiver = target, 0, nil, nil, EnvWaiver
		if m.Env == "" {
			m.Env = full
		}
	case target == "":
		m.Target = "/run/secrets/" + full
	case !path.IsAbs(target):
		m.Target = "/run/secrets/" + target
	default:
		m.Target = path.Clean(target)
	}
	if m.Target == "/run/secrets/"+m.Name {
		m.Target = ""
	}
	if m.Mode == 0o400 {
		m.Mode = 0
	}
	return PodmanSecret{full, m}
}

func idOf(text string) *int {
	id, err := strconv.Atoi(text)
	if err != nil {
		return nil
	}
	return &id
}

// AddPodmanSecret gives a part a secret of Podman, and declares it for the app, once. Its value is
// asked for: supplied, since data may depend on it, or generated.
func (d *Draft) AddPodmanSecret(c *manifests.Container, part string, s PodmanSecret, p syntax.Position, key string) {
	if !slices.ContainsFunc(d.App.Secrets, func(o manifests.Secret) bool { return o.Name == s.Mount.Name }) {
		declared := manifests.Secret{Name: s.Mount.Name, Description: "The secret " + s.Full + " of Podman"}
		answer := d.Ask(Question{
			Code: SecretValue, Key: "secret." + s.Mount.Name, Default: "supply", HasDefault: true, Choices: []string{"supply", "generate"},
			Text: fmt.Sprintf("%s becomes the secret %s.%s; set its value with archgen secret set", s.Full, d.App.ID, s.Mount.Name),
		}.From(p, key))
		if answer == "generate" {
			declared.Generate = &manifests.Generate{}
		}
		d.App.Secrets = append(d.App.Secrets, declared)
	}
	c.Secrets = append(c.Secrets, s.Mount)
	at := fmt.Sprintf("%s.secrets[%d]", part, len(c.Secrets)-1)
	d.Note(at, p)
	d.Origin(at, p, key)
}
