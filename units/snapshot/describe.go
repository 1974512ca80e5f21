package snapshot

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// describe gives a copy the owner, the mode, the extended attributes and the times of its file. The
// order matters: a change of the owner takes capabilities and set-user-ID bits away.
func (c *copier) describe(f file) error {
	to := int(f.to.Fd())
	err := c.try("chown", f.path, func() error {
		return unix.Fchownat(to, f.copy, int(f.st.Uid), int(f.st.Gid), unix.AT_SYMLINK_NOFOLLOW)
	})
	if err == nil && f.kind() != unix.S_IFLNK {
		err = c.try("chmod", f.path, func() error { return unix.Fchmodat(to, f.copy, f.st.Mode&^unix.S_IFMT, 0) })
	}
	if err == nil {
		err = c.attributes(f)
	}
	if err != nil {
		return err
	}
	times := []unix.Timespec{f.st.Atim, f.st.Mtim}
	return c.try("utimes", f.path, func() error { return unix.UtimesNanoAt(to, f.copy, times, unix.AT_SYMLINK_NOFOLLOW) })
}

// attributes copies the extended attributes, among them ACLs and capabilities. What the copy has by
// itself, such as the label of SELinux, is not set again.
func (c *copier) attributes(f file) error {
	from, to := handle(f.from)+"/"+f.name, handle(f.to)+"/"+f.copy
	names, err := c.attributeNames(f, from)
	if err != nil {
		return err
	}
	for _, name := range names {
		value, err := c.attribute(f, from, name)
		if err != nil {
			return err
		}
		if has, err := c.attribute(f, to, name); err == nil && bytes.Equal(has, value) {
			continue
		}
		if err := c.try("setxattr "+name, f.path, func() error { return unix.Lsetxattr(to, name, value, 0) }); err != nil {
			return err
		}
	}
	return nil
}

// computed is the attributes that the kernel makes of the content itself.
var computed = []string{"security.ima", "security.evm"}

func (c *copier) attributeNames(f file, path string) (names []string, err error) {
	list, err := c.sized("listxattr", f, func(buffer []byte) (int, error) { return unix.Llistxattr(path, buffer) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	for name := range strings.SplitSeq(string(list), "\x00") {
		if name != "" && !slices.Contains(computed, name) {
			names = append(names, name)
		}
	}
	return names, err
}

func (c *copier) attribute(f file, path, name string) ([]byte, error) {
	return c.sized("getxattr "+name, f, func(buffer []byte) (int, error) { return unix.Lgetxattr(path, name, buffer) })
}

// sized calls what fills a buffer, with one of the size that it asks for.
func (c *copier) sized(call string, f file, fill func([]byte) (int, error)) (value []byte, err error) {
	err = c.try(call, f.path, func() error {
		n, err := fill(nil)
		if err != nil || n == 0 {
			return err
		}
		value = make([]byte, n)
		n, err = fill(value)
		value = value[:max(n, 0)]
		return err
	})
	return value, err
}
