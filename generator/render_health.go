package generator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/archipelago-os/archipelago/manifests"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/probe"
)

// startupInterval is how often a starting container is asked. One check costs
// Podman about 70 ms of processor time, so the steady interval is slower.
const startupInterval = "2s"

// checkedInside is the probe that Podman itself runs in the container: the
// serving probe if it is a command, else the alive one.
func (c *container) checkedInside() *manifests.Probe {
	for _, p := range []*manifests.Probe{c.part.Health.Serving, c.part.Health.Alive} {
		if p != nil && len(p.Exec) > 0 {
			return p
		}
	}
	return nil
}

// checkedFromHost tells whether the start waits for a probe from the host's side.
func (c *container) checkedFromHost() bool {
	p := cmp.Or(c.part.Health.Serving, c.part.Health.Alive)
	return p != nil && len(p.Exec) == 0
}

// waitForRunning makes the start wait until another part's container runs. Without archgen on
// the machine it does not wait.
func (c *container) waitForRunning(a awaited) {
	args := []string{optionalPrestart, "wait", "--level=started"}
	if c.target.Scope == units.System {
		args = append(args, "--system")
	}
	c.exec(a.origin, "ExecStartPre", append(args, a.name)...)
}

// untilServing makes a start end when the part serves, and fail when it does not.
func (c *container) untilServing() {
	if c.checkedInside() != nil {
		// Not Notify=healthy: at boot that loses READY for one start in seven,
		// and systemd kills a healthy container at its start timeout.
		c.exec(c.at("health"), "ExecStartPost", "/usr/bin/podman", "wait", "--condition=healthy", c.name)
	}
	if c.checkedFromHost() {
		c.archgenAfter("wait", c.at("health"))
	}
}

// archgenAfter makes systemd run a verb of archgen after the start of the container. Without
// archgen on the machine the app starts without it.
func (c *container) archgenAfter(verb string, o origin) {
	scope := ""
	if c.target.Scope == units.System {
		scope = "--system "
	}
	c.exec(o, "ExecStartPost", "/bin/sh", "-c", "command -v archgen >/dev/null || exit 0; exec archgen "+verb+" "+scope+c.name)
}

func (c *container) health() {
	o := c.at("health")
	if c.part.Health.Disable {
		c.put(o, "HealthCmd", "none")
		return
	}
	p := c.checkedInside()
	if p == nil {
		return
	}
	if err := checkable(p.Exec); err != nil {
		c.problems = append(c.problems, problem{
			origin: o, code: diag.Unrepresentable,
			message: fmt.Sprintf("Podman can't be given the check %s: %v", quoteShort(jsonArray(p.Exec)), err),
			hint:    "name the program by its path, or run it through a program that takes arguments",
		})
		return
	}
	command := healthCommand(p.Exec)
	c.put(o, "HealthCmd", command)
	c.put(o, "HealthInterval", podmanDuration(p.Interval))
	c.put(o, "HealthTimeout", podmanDuration(p.Timeout))
	c.put(o, "HealthRetries", strconv.Itoa(p.Retries))
	if p.StartPeriod > 0 {
		c.put(o, "HealthStartPeriod", podmanDuration(p.StartPeriod))
	}
	// Until it succeeds once, failures of the steady check don't count: kill
	// without it would end every slow starter at its first failed check.
	c.put(o, "HealthStartupCmd", command)
	c.put(o, "HealthStartupInterval", startupInterval)
	c.put(o, "HealthStartupTimeout", podmanDuration(p.Timeout))
	// `stop` ends with exit code 0, which Restart=on-failure takes for success;
	// `restart` happens behind systemd's back.
	c.put(o, "HealthOnFailure", "kill")
}

// checkable is an error if Podman would run something else than the check.
func checkable(argv []string) error {
	switch strings.ToUpper(argv[0]) {
	case "CMD", "CMD-SHELL", "NONE":
		return fmt.Errorf("the name of its program is a keyword there")
	}
	if len(argv) == 1 && strings.ContainsFunc(argv[0], unicode.IsSpace) {
		return fmt.Errorf("it has no arguments, and would be split at its white space")
	}
	return nil
}

// healthCommand writes a check in the form that needs no shell in the image. A
// JSON array of one element would be passed to /bin/sh (Podman 5.4).
func healthCommand(argv []string) string {
	if len(argv) == 1 {
		return "CMD " + argv[0]
	}
	return jsonArray(argv)
}

// jsonArray writes words as a JSON array, without the HTML escapes that
// encoding/json adds by default.
func jsonArray(list []string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(list); err != nil {
		panic(fmt.Sprintf("encoding strings as JSON: %v", err))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// podmanDuration is a duration as Podman reads it, which knows no days.
func podmanDuration(d manifests.Duration) string {
	if t := time.Duration(d); t%time.Second != 0 {
		return strconv.FormatInt(t.Milliseconds(), 10) + "ms"
	}
	return strconv.FormatInt(int64(time.Duration(d)/time.Second), 10) + "s"
}

// mark writes what later readers of the file need to know of the part.
func (c *container) mark(w *writer) {
	if c.part.Name == "main" {
		c.granted(w)
	} else {
		w.put(c.at(""), "Part", c.part.Name)
	}
	h := c.part.Health
	c.hostProbe("Alive", "alive", h.Alive)
	c.hostProbe("Serving", "serving", h.Serving)
	c.hostProbe("Synced", "synced", h.Synced)
	for i, o := range c.app.Document.App.Onion {
		if port := c.part.Port(o.Port); port != nil {
			w.put(origin{base: "app", field: "onion", index: i}, "Onion", fmt.Sprintf("%d:%d", o.VirtualPort(port), port.Container))
		}
	}
}

// granted writes what the app has by grants, so that it is seen when one is revoked.
func (c *container) granted(w *writer) {
	text, err := json.Marshal(rights.GrantsFor(rights.Needed(rights.Of(c.app))))
	if err != nil {
		panic(fmt.Sprintf("encoding a list of texts as JSON: %v", err))
	}
	w.put(c.at(""), "Rights", string(text))
}

func (c *container) hostProbe(key, level string, p *manifests.Probe) {
	q := p.Question()
	if q == nil {
		return
	}
	t, err := probe.New(q.Kind, q.Options)
	if err != nil {
		panic(fmt.Sprintf("the schema and the probes disagree: %v", err))
	}
	t.Address, t.Retries = c.hostAddress(q.Port), p.Retries
	t.Interval, t.Timeout, t.StartPeriod = time.Duration(p.Interval), time.Duration(p.Timeout), time.Duration(p.StartPeriod)
	if t.PasswordSecret != "" {
		t.PasswordSecret = units.SecretName(c.app.ID(), t.PasswordSecret)
	}
	c.put(c.at("health."+level), key, t.Text())
}

// hostAddress is where the host reaches a port of the container.
func (c *container) hostAddress(name string) string {
	port := c.part.Port(name)
	if port == nil {
		return ""
	}
	if c.part.Network == "host" {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(port.Container))
	}
	host := strings.Trim(port.Bind, "[]")
	switch host {
	case "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, strconv.Itoa(port.Host))
}
