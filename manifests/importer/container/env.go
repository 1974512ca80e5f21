package container

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/podmanrun"
)

// masked is what Podman prints in place of the value of a secret.
const masked = "*******"

// ofPodman is variables that Podman sets by itself, each with the values that it gives it; none
// means all.
var ofPodman = map[string][]string{
	"container": nil, "HOSTNAME": nil, "TERM": {"xterm"}, "HOME": {"/", "/root"},
	"PATH":       {"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	"http_proxy": nil, "https_proxy": nil, "ftp_proxy": nil, "no_proxy": nil,
	"HTTP_PROXY": nil, "HTTPS_PROXY": nil, "FTP_PROXY": nil, "NO_PROXY": nil,
}

// environment is the variables, without those of the image and of Podman.
func (c *container) environment() {
	set := map[string]bool{}
	for i, text := range c.Config.Env {
		path := fmt.Sprintf("Config.Env[%d]", i)
		name, value, _ := strings.Cut(text, "=")
		set[name] = true
		switch {
		case slices.Contains(c.image.Config.Env, text), c.isOfPodman(name, value), c.isSecretEnv(name):
		case value == masked:
			c.secret(importer.PodmanSecret{Full: name, Mount: manifests.SecretMount{Name: importer.SecretName(name), Env: name}}, path)
		default:
			c.add("environment", text, c.at(path))
		}
	}
	for _, text := range c.image.Config.Env {
		if name, _, _ := strings.Cut(text, "="); !set[name] {
			c.argument("--unsetenv="+name, "Config.Env")
		}
	}
}

// isOfPodman reports whether Podman sets a variable by itself. What the command sets was asked for.
func (c *container) isOfPodman(name, value string) bool {
	values, isKnown := ofPodman[name]
	isAsked := slices.ContainsFunc(c.flags, func(f podmanrun.Flag) bool {
		given, _, _ := strings.Cut(f.Value, "=")
		return f.Name == "env" && given == name
	})
	isUsual := values == nil || slices.Contains(values, value) || name == "HOME" && len(c.flags) > 0
	return isKnown && isUsual && !isAsked
}

// labels is the labels, without those of the image and of what made the container.
func (c *container) labels() {
	for _, name := range slices.Sorted(maps.Keys(c.Config.Labels)) {
		value, path := c.Config.Labels[name], "Config.Labels."+name
		fromImage, isOfImage := c.image.Config.Labels[name]
		switch {
		case isOfImage && fromImage == value, name == unitLabel:
		case name == "io.containers.autoupdate":
			c.say(func(d *importer.Draft) {
				d.App.Update.Policy = value
				d.Origin("app.update.policy", c.at(path), path)
				d.Keep(c.at(path), path, "app.update.policy")
			})
		case isOfMaker(name):
			c.report(importer.NoMeaning, path, "the label %s says who made the container", name)
		default:
			c.add("labels", name+"="+value, c.at(path))
		}
	}
}

// makers is the beginnings of labels that what makes containers gives them.
var makers = []string{"com.docker.compose.", "io.podman.compose.", "io.podman.annotations.", "io.buildah.", "desktop.docker.io/"}

func isOfMaker(label string) bool {
	return slices.ContainsFunc(makers, func(prefix string) bool { return strings.HasPrefix(label, prefix) })
}

// jsonWords is a list as JSON, or the text alone.
func jsonWords(text string) (list []string) {
	if json.Unmarshal([]byte(text), &list) != nil {
		return []string{text}
	}
	return list
}
