package durable

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Stamp tells whether files have changed: that of other versions of the files has another text. It
// reads no content. The zero value is that of no files.
type Stamp struct {
	sum     hash.Hash // of all files so far, nil without one
	row     []byte    // memory for what is added to it
	changed time.Time // the last change of any file
}

// Add adds a file, which need not exist. The target of a link counts like the link itself.
func (s *Stamp) Add(path string) {
	for _, follow := range []int{unix.AT_SYMLINK_NOFOLLOW, 0} {
		var st unix.Stat_t
		s.row = append(append(s.row[:0], path...), 0)
		if unix.Fstatat(unix.AT_FDCWD, path, &st, follow) != nil {
			s.addRow()
			return
		}
		// The inode differs if the file was replaced. The change time differs even if the
		// modification time was set to an earlier time.
		for _, n := range []int64{int64(st.Mode), st.Size, st.Mtim.Nano(), int64(st.Ino), st.Ctim.Nano()} {
			s.row = binary.BigEndian.AppendUint64(s.row, uint64(n))
		}
		s.addRow()
		if changed := time.Unix(st.Ctim.Unix()); changed.After(s.changed) {
			s.changed = changed
		}
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			return
		}
	}
}

// addRow adds a row after its length: the rows of other files have another sum.
func (s *Stamp) addRow() {
	if s.sum == nil {
		s.sum = sha256.New()
	}
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(s.row)))
	s.sum.Write(length[:])
	s.sum.Write(s.row)
}

// AddDir adds a directory and its files, and what is in those directories within it, or links to
// directories, that enter names. enter receives paths below the directory.
func (s *Stamp) AddDir(dir string, enter func(within string) bool) {
	s.Add(dir)
	s.addEntries(dir, "", enter)
}

func (s *Stamp) addEntries(dir, within string, enter func(within string) bool) {
	entries, _ := os.ReadDir(dir) // one that can't be read has no files
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		s.Add(path)
		if e.Type().IsRegular() {
			continue
		}
		if within := filepath.Join(within, e.Name()); enter(within) {
			s.addEntries(path, within, enter)
		}
	}
}

// String is the text of the stamp.
func (s *Stamp) String() string {
	if s.sum == nil {
		return ""
	}
	return hex.EncodeToString(s.sum.Sum(nil))
}

// IsSettled reports whether a change from now on changes the text: see Identity.
func (s *Stamp) IsSettled(now time.Time) bool { return now.Sub(s.changed) > settling }
