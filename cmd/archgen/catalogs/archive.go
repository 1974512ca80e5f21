package catalogs

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/catalog/index"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
)

// maxArchive is the most bytes that are read of an image: what a catalog may have, and the headers.
const maxArchive = index.MaxSize + 32<<20

// maxEntries is the most files and directories of a layer.
const maxEntries = 2 * index.MaxFiles

// contents is the files of an image. One that can't be read has its error.
type contents map[string]content

type content struct {
	data []byte
	err  error
}

func (c contents) read(file string) ([]byte, error) {
	found, isThere := c[file]
	if !isThere {
		return nil, fs.ErrNotExist
	}
	return found.data, found.err
}

// save reads the files of an image. The format is Docker's, because its layers are not compressed.
func (s Catalogs) save(ctx context.Context, image string) (contents, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	saved := make(chan error, 1)
	go func() {
		err := s.Podman(ctx, podmancli.Call{Args: []string{"save", "--quiet", "--format", "docker-archive", image}, Stdout: w})
		_ = w.CloseWithError(err) // it never fails
		saved <- err
	}()
	files, err := readArchive(r)
	if err != nil {
		cancel() // Podman would continue to write
	}
	_, _ = io.Copy(io.Discard, r) // the padding of the archive, or what is left of it
	if podman := <-saved; podman != nil && err == nil {
		err = podman
	}
	return files, err
}

// readArchive reads an image in Docker's format: a tar archive with one of each layer, and
// manifest.json, which lists them from the lowest. A file that a higher layer deletes stays: what
// counts is the checksum in the index.
func readArchive(r io.Reader) (contents, error) {
	limited := &io.LimitedReader{R: r, N: maxArchive}
	layers, order, err := readLayers(tar.NewReader(limited))
	switch {
	case limited.N <= 0:
		return nil, fmt.Errorf("it has more than %d MiB", maxArchive>>20)
	case err != nil:
		return nil, err
	}
	all := contents{}
	for _, name := range order {
		layer, isThere := layers[name]
		if !isThere {
			return nil, fmt.Errorf("its layer %q is missing", name)
		}
		maps.Copy(all, layer)
	}
	return all, nil
}

func readLayers(r *tar.Reader) (layers map[string]contents, order []string, err error) {
	layers = map[string]contents{}
	for {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return layers, order, nil
		case err != nil:
			return nil, nil, err
		case h.Typeflag != tar.TypeReg:
		case h.Name == "manifest.json":
			order, err = layersOf(r)
		case path.Ext(h.Name) == ".tar":
			layers[h.Name], err = readLayer(tar.NewReader(r))
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

// layersOf reads manifest.json.
func layersOf(r io.Reader) ([]string, error) {
	text, err := readUpTo(r)
	if err != nil {
		return nil, err
	}
	var list []struct{ Layers []string }
	if err := json.Unmarshal(text, &list); err != nil || len(list) != 1 {
		return nil, errors.New("it describes no image")
	}
	return list[0].Layers, nil
}

func readLayer(r *tar.Reader) (contents, error) {
	files := contents{}
	for n := 0; ; n++ {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return files, nil
		case err != nil:
			return nil, err
		case n > maxEntries:
			return nil, fmt.Errorf("it has more than %d files", maxEntries)
		}
		if h.Typeflag != tar.TypeDir { // no index can list a name that leads out
			files[strings.TrimPrefix(path.Clean(h.Name), "/")] = contentOf(h, r)
		}
	}
}

func contentOf(h *tar.Header, r io.Reader) content {
	switch h.Typeflag {
	case tar.TypeReg:
		data, err := readUpTo(r)
		return content{data, err}
	case tar.TypeLink, tar.TypeSymlink:
		return content{err: errLink}
	}
	return content{err: errOdd}
}
