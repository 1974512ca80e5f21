package units

import "fmt"

// Only returns the desired state of the apps with some ids, or of all apps without ids. An app
// without a valid manifest is an error.
func (d Desired) Only(ids []string) (Desired, error) {
	if len(ids) == 0 {
		return d, nil
	}
	only := Desired{Shared: d.Shared, Scope: d.Scope}
	for _, id := range ids {
		app, isValid := d.Find(id)
		switch {
		case isValid:
			only.Apps = append(only.Apps, app)
		case d.Refused()[id] != "":
			return d, fmt.Errorf("the manifest of %s has errors; see archgen check", id)
		default:
			return d, fmt.Errorf("no app %q is installed; see archgen status", id)
		}
	}
	return only, nil
}

// InOrder returns the apps by id, each after those that it needs.
func (d Desired) InOrder() []App { return appsInOrder(d.Apps) }
