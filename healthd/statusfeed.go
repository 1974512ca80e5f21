package healthd

import "sync"

// StatusFeed holds the newest status for one reader, who may take more time than the
// loop has.
type StatusFeed struct {
	mu      sync.Mutex
	status  Status
	isSet   bool
	changed chan struct{}
}

// NewStatusFeed is a board with nothing on it.
func NewStatusFeed() *StatusFeed { return &StatusFeed{changed: make(chan struct{}, 1)} }

// Set puts a status on the board, in the place of the one before. It never waits.
func (b *StatusFeed) Set(s Status) {
	b.mu.Lock()
	b.status, b.isSet = s, true
	b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default: // that there is news was not read yet
	}
}

// Changed says that something was posted since it was last read.
func (b *StatusFeed) Changed() <-chan struct{} { return b.changed }

// Status is what is on the board. It reports false before the first Set.
func (b *StatusFeed) Status() (Status, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status, b.isSet
}
