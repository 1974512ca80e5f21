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

// sizes measures what make install puts on a machine.
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
		if info.Mode()&0o111 != 0 {
			fmt.Fprintf(&p, "| %s, static | %s |\n", filepath.Base(path), counter(info.Size()))
		}
		return nil
	})
	fmt.Fprintf(&p, "| all %d files that `make install` installs | %s |\n| the same as a .tar.gz | %s |\n", files, total, packed)
	return []byte(p.String()), err
}

// counter is a number of bytes, as of those written to it.
type counter int64

var _ io.Writer = (*counter)(nil)

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

func (c counter) String() string { return fmt.Sprintf("%.1f MB", float64(c)/1e6) }
