package podman

import (
	"encoding/json"
	"path/filepath"
)

// Images is the names under which Podman has images, as far as that can be seen
// without running it: an image that is not among them may be there all the same, as in
// a store that several users share.
func Images(storage string) map[string]bool {
	found, _ := filepath.Glob(filepath.Join(storage, "*-images/images.json")) // its only error is of the pattern
	names := map[string]bool{}
	for _, path := range found {
		data, err := read(path)
		var images []struct {
			Names []string `json:"names"`
		}
		if err != nil || json.Unmarshal(data, &images) != nil {
			continue
		}
		for _, image := range images {
			for _, name := range image.Names {
				names[name] = true
			}
		}
	}
	return names
}
