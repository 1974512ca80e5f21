package healthd

import "sync"

// Board holds the newest status for one reader, who may take more time than the
// loop has.
type Board struct {
	mu     sync.Mutex
	status Status
	posted bool
	news   chan struct{}
}

// NewBoard is a board with nothing on it.
func NewBoard() *Board { return &Board{news: make(chan struct{}, 1)} }

// Post puts a status on the board, in the place of the one before. It never waits.
func (b *Board) Post(s Status) {
	b.mu.Lock()
	b.status, b.posted = s, true
	b.mu.Unlock()
	select {
	case b.news <- struct{}{}:
	default: // that there is news was not read yet
	}
}

// News says that something was posted since it was last read.
func (b *Board) News() <-chan struct{} { return b.news }

// Status is what is on the board. It reports false before the first Post.
func (b *Board) Status() (Status, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status, b.posted
}
