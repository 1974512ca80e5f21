package podman

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
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

// Digests returns the digests that an image is known by: that of each manifest that Podman has of it, for
// example of an index and of the platform. The image is named by NAME:TAG, or by one of its digests as
// NAME:TAG@DIGEST. It is empty if the image is not there, or that is not known without running Podman.
func Digests(storage, image string) (digests []string) {
	name, digest, isPinned := strings.Cut(image, "@")
	found, _ := filepath.Glob(filepath.Join(storage, "*-images/images.json")) // the only error is an invalid pattern
	for _, path := range found {
		var images []struct {
			Names   []string          `json:"names"`
			Digest  string            `json:"digest"`
			Digests map[string]string `json:"big-data-digests"`
		}
		if readList(path, &images) != nil {
			continue
		}
		for _, i := range images {
			known := []string{i.Digest}
			for key, of := range i.Digests {
				if strings.HasPrefix(key, "manifest") {
					known = append(known, of)
				}
			}
			if isPinned && slices.Contains(known, digest) || !isPinned && slices.Contains(i.Names, name) {
				digests = append(digests, known...)
			}
		}
	}
	slices.Sort(digests)
	return slices.Compact(digests)
}

// ImagesSize returns how many bytes the layers of images take, each layer once, as far as that is known
// without running Podman.
func ImagesSize(storage string, names []string) (sum int64) {
	found, _ := filepath.Glob(filepath.Join(storage, "*-images/images.json")) // the only error is an invalid pattern
	for _, path := range found {
		driver := strings.TrimSuffix(filepath.Base(filepath.Dir(path)), "-images")
		var images []struct {
			Names []string `json:"names"`
			Layer string   `json:"layer"`
		}
		var layers []struct {
			ID     string `json:"id"`
			Parent string `json:"parent"`
			Size   int64  `json:"diff-size"`
		}
		if readList(path, &images) != nil || readList(filepath.Join(storage, driver+"-layers/layers.json"), &layers) != nil {
			continue
		}
		parents, sizes := map[string]string{}, map[string]int64{}
		for _, l := range layers {
			parents[l.ID], sizes[l.ID] = l.Parent, l.Size
		}
		for _, image := range images {
			if !slices.ContainsFunc(image.Names, func(name string) bool { return slices.Contains(names, name) }) {
				continue
			}
			at := image.Layer
			for range layers { // no image has more
				sum += sizes[at]
				delete(sizes, at) // it is counted
				at = parents[at]
			}
		}
	}
	return sum
}
