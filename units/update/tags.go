package update

import (
	"slices"
	"strings"
	"time"
)

// Tags is the tags that follow the one of an image.
type Tags struct {
	// Image is NAME:TAG, without a digest.
	Image string `json:"image"`
	// Newest is the newest tag with the same first number, Major that with a greater one. Each may be empty.
	Newest string `json:"newest,omitempty"`
	Major  string `json:"major,omitempty"`
	// Asked is when the registry was asked.
	Asked time.Time `json:"asked"`
}

// String is the images with the tags that follow.
func (t Tags) String() string {
	name, _ := SplitImage(t.Image)
	list := slices.DeleteFunc([]string{t.Newest, t.Major}, func(tag string) bool { return tag == "" })
	return name + ":" + strings.Join(list, " and ")
}

// SplitImage returns the name and the tag of an image, without a digest. The tag is empty if it has none.
func SplitImage(image string) (name, tag string) {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i], image[i+1:]
	}
	return image, ""
}
