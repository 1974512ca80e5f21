package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sizes measures the files that make install installs, and the packages.
func (b *bench) sizes(context.Context) ([]byte, error) {
	var packed counter
	gz, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(gz)
	if err := archive.AddFS(os.DirFS(b.tree)); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	if err := gz.Close(); err != nil {
		return nil, err
	}
	var p strings.Builder
	p.WriteString("\n## Sizes\n\n| what | size |\n| --- | ---: |\n")
	files, total := 0, counter(0)
	err = filepath.WalkDir(b.tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files, total = files+1, total+counter(info.Size())
		if info.Mode()&0o111 != 0 && info.Size() > 1<<20 { // not a script
			fmt.Fprintf(&p, "| %s, static | %s |\n", filepath.Base(path), counter(info.Size()))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&p, "| all %d files that `make install` installs | %s |\n| the same as a .tar.gz | %s |\n", files, total, packed)
	for _, kind := range []string{"deb", "rpm"} {
		found, err := filepath.Glob(filepath.Join(b.packages, "*."+kind))
		if err != nil {
			return nil, err
		}
		for _, file := range found {
			info, err := os.Stat(file)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&p, "| the .%s | %s |\n", kind, counter(info.Size()))
		}
	}
	return []byte(p.String()), nil
}

// counter counts the bytes written to it.
type counter int64

var _ io.Writer = (*counter)(nil)

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

func (c counter) String() string { return fmt.Sprintf("%.1f MB", float64(c)/1e6) }
