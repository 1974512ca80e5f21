package healthd

import (
	"fmt"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/units"
)

// Compiler compiles the installed apps, and compiles them again only if one of their files
// changed. It is for one goroutine.
type Compiler struct {
	Source compile.Source
	// Diagnose receives the diagnostics that the previous compilation did not have. If a
	// thousand files are invalid, one more is reported alone.
	Diagnose func(diag.List)

	said   map[string]bool
	inputs string
	want   units.Desired
	// diagnostics is the first error of each app's manifest.
	diagnostics map[string]string
}

// Diagnostics is the first error of each invalid manifest, by app, from the last call of
// Desired.
func (c *Compiler) Diagnostics() map[string]string { return c.diagnostics }

// Desired is the desired state.
func (c *Compiler) Desired() (units.Desired, error) {
	inputs, err := c.Source.Inputs()
	if err != nil {
		return units.Desired{}, err
	}
	if inputs.String() == c.inputs {
		return c.want, nil
	}
	compiled, want, err := c.Source.Installed()
	if err != nil {
		return units.Desired{}, err
	}
	c.diagnose(compiled.Diags)
	c.diagnostics = compiled.FirstErrors()
	if compiled.Result == nil && compiled.Diags.HasErrors() {
		return units.Desired{}, fmt.Errorf("compiling the manifests: %v; no app is changed; see archgen check", firstError(compiled.Diags))
	}
	// A file that changed in between is seen the next time: the inputs are older.
	c.inputs, c.want = inputs.String(), want
	return want, nil
}

func (c *Compiler) diagnose(found diag.List) {
	before := c.said
	c.said = make(map[string]bool, len(found))
	var news diag.List
	for _, d := range found {
		text := d.String()
		if !before[text] && !c.said[text] {
			news = append(news, d)
		}
		c.said[text] = true
	}
	c.Diagnose(news)
}

func firstError(list diag.List) diag.Diagnostic {
	for _, d := range list {
		if d.Severity == diag.Error {
			return d
		}
	}
	return diag.Diagnostic{}
}
