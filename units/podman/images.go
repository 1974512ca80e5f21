package podman

import (
	"encoding/json"
	"path/filepath"
)

// Images returns the names of Podman's images, as far as they are known without running it: an
// image may exist without being listed, for example in a store that several users share.
func Images(storage string) map[string]bool {
	found, _ := filepath.Glob(filepath.Join(storage, "*-images/images.json")) // the only error is an invalid pattern
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
