package installed

import "path/filepath"

// Over is a directory that takes precedence over others.
func Over(paths ...string) Directory { return Directory{paths: paths} }

// Watched is the directory on a disk that asks before each change. An error is the
// disk's, as when it is full.
func (d Directory) Watched(ask func(path string) error) Directory {
	on := func(dir, name string, change func() error) error {
		if err := ask(filepath.Join(dir, name)); err != nil {
			return err
		}
		return change()
	}
	d.disk = &disk{
		replace: func(dir, name string, text []byte, isExecutable bool) error {
			return on(dir, name, func() error { return theDisk.replace(dir, name, text, isExecutable) })
		},
		link: func(dir, name, target string) error {
			return on(dir, name, func() error { return theDisk.link(dir, name, target) })
		},
		mask: func(dir, name string) error {
			return on(dir, name, func() error { return theDisk.mask(dir, name) })
		},
		remove: func(dir, name string) error {
			return on(dir, name, func() error { return theDisk.remove(dir, name) })
		},
		removeTree: func(dir, name string) error {
			return on(dir, name, func() error { return theDisk.removeTree(dir, name) })
		},
	}
	return d
}
