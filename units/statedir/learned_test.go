package statedir

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLearned: facts are read again, and damaged ones are none. Without a runtime directory nothing
// is kept.
func TestLearned(t *testing.T) {
	t.Parallel()
	s := Store{Runtime: filepath.Join(t.TempDir(), "run")}
	recall := func() (list []string) {
		s.Recall(LearnedStarts, &list)
		return list
	}
	if err := s.Learn(LearnedStarts, []string{"a"}); err == nil || recall() != nil {
		t.Errorf("without the directory: %v, %v", recall(), err)
	}
	if err := os.Mkdir(s.Runtime, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Learn(LearnedStarts, []string{"a"}); err != nil || len(recall()) != 1 {
		t.Errorf("%v, %v", recall(), err)
	}
	if err := os.WriteFile(filepath.Join(s.Runtime, string(LearnedStarts)), []byte(`["a`), 0o600); err != nil {
		t.Fatal(err)
	}
	if list := recall(); list != nil {
		t.Errorf("damaged: %v", list)
	}
}
