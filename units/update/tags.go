package update

import (
	"cmp"
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
	// Digest is what the newest tag stands for. Without a newer one it is what the present tag stands for
	// if this machine has another image under that name, and empty otherwise.
	Digest string `json:"digest,omitempty"`
	// Asked is when the registry was asked.
	Asked time.Time `json:"asked"`
}

// IsNews reports whether the registry has something newer.
func (t Tags) IsNews() bool { return t.Newest != "" || t.Major != "" || t.Digest != "" }

// Next is the image that follows, with its digest. It is empty without one: a major version is an
// operator's choice.
func (t Tags) Next() string {
	if t.Digest == "" {
		return ""
	}
	name, tag := SplitImage(t.Image)
	return name + ":" + cmp.Or(t.Newest, tag) + "@" + t.Digest
}

// String is the images with the tags that follow.
func (t Tags) String() string {
	name, _ := SplitImage(t.Image)
	if t.Newest == "" && t.Digest != "" {
		other := t.Image + " with another digest"
		if t.Major != "" {
			other += ", and " + t.Major
		}
		return other
	}
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
