package unitdir

import (
	"bytes"
	"io/fs"
	"sync"
	"time"

	"github.com/archipelago-os/archipelago/units"
	"github.com/archipelago-os/archipelago/units/durable"
)

// Seen is the files that were read, for a program that compares them repeatedly. A file is read
// again if its identity changed, or if it had changed just before it was read. The zero value has
// seen none. It is for one directory.
type Seen struct {
	mu    sync.Mutex
	files map[string]*seenFile
	// entries is what is in the directory while it has that identity.
	directory durable.Identity
	entries   entries
}

// seenFile is a file as it was read.
type seenFile struct {
	identity durable.Identity
	content  []byte
	// mark is its ownership section, once it was needed.
	mark *ownership
}

type ownership struct {
	units.Ownership
	isOurs bool
}

// ownership is the ownership section of the file, if it has one.
func (f *seenFile) ownership() (units.Ownership, bool) {
	if f.mark == nil {
		mark, isOurs := units.ReadOwnership(f.content)
		f.mark = &ownership{mark, isOurs}
	}
	return f.mark.Ownership, f.mark.isOurs
}

// read returns a file and its permissions. wanted is its desired content, if any: equal content is
// in memory once. Without s the content is in the memory of buf.
func (s *Seen) read(d *durable.Directory, name string, wanted, buf []byte) (*seenFile, fs.FileMode, error) {
	if s == nil {
		content, perm, err := d.Read(name, buf, maxFile)
		return &seenFile{content: content}, perm, err
	}
	before, err := d.Identify(name)
	if known, ok := s.files[name]; ok && err == nil && known.identity == before {
		return known, before.Perm(), nil
	}
	now := time.Now()
	delete(s.files, name)
	content, perm, err := d.Read(name, nil, maxFile)
	if err != nil {
		return nil, 0, err
	}
	if bytes.Equal(content, wanted) {
		content = wanted
	}
	f := &seenFile{identity: before, content: content}
	if before.IsSettled(now) {
		s.files[name] = f
	}
	return f, perm, nil
}

// list is the entries of the directory.
func (s *Seen) list(d *durable.Directory) (entries, error) {
	before, err := d.Identity()
	if err != nil {
		return listAll(d)
	}
	if s.entries != nil && s.directory == before {
		return s.entries, nil
	}
	now := time.Now()
	entries, err := listAll(d)
	s.directory, s.entries = durable.Identity{}, nil
	if err == nil {
		s.forget(entries)
	}
	if err == nil && before.IsSettled(now) {
		s.directory, s.entries = before, entries
	}
	return entries, err
}

// Lost is like the function Lost.
func (s *Seen) Lost(dir string, want units.Set) units.Set {
	if len(want) <= few { // it need not wait for a Look that is under way
		return Lost(dir, want)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return lost(dir, want, s.list)
}

// Look is like the function Look.
func (s *Seen) Look(dir string, want units.Set) (map[string]units.FoundFile, units.Set, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil {
		s.files = map[string]*seenFile{}
	}
	return look(dir, s.list, want, s)
}

// forget forgets the files that do not exist any more.
func (s *Seen) forget(now entries) {
	for name := range s.files {
		if _, exists := now.find(name, 0); !exists {
			delete(s.files, name)
		}
	}
}
