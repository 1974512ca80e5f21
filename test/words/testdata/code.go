// Package code has its file put
// back.
package code

import "fmt"

// somebody is a name, and nobody is prose.
func somebody(put, back int) error {
	/*
	 * A file
	 * comes back.
	 */
	nobody := put + back // the code is not prose
	return fmt.Errorf("it is told of\nsomebody's file: %d", nobody)
}

var texts = []string{"put", "back"}

const help = `archgen keeps
the file for
ever.`

type file struct {
	Anew bool `json:"anew"`
	Kept bool `json:"kept" doc:"archgen writes the file anew"`
}
