package platform

import (
	"bytes"
	"io/fs"
	"time"
)

// WithFiles is a file system with further files, which take precedence.
func WithFiles(fsys fs.FS, files map[string][]byte) fs.FS { return withFiles{fsys, files} }

type withFiles struct {
	fs.FS
	files map[string][]byte
}

// Open opens one of the further files, or one of the file system.
func (w withFiles) Open(name string) (fs.File, error) {
	if data, ok := w.files[name]; ok {
		return &file{bytes.NewReader(data), info{name, int64(len(data))}}, nil
	}
	return w.FS.Open(name)
}

// file is a file in memory.
type file struct {
	*bytes.Reader
	info info
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }

func (*file) Close() error { return nil }

type info struct {
	name string
	size int64
}

func (i info) Name() string     { return i.name }
func (i info) Size() int64      { return i.size }
func (info) Mode() fs.FileMode  { return 0o444 }
func (info) ModTime() time.Time { return time.Time{} }
func (info) IsDir() bool        { return false }
func (info) Sys() any           { return nil }
