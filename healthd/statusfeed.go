package healthd

import "sync"

// StatusFeed holds the newest status for one reader, which may be slower than the loop.
type StatusFeed struct {
	mu      sync.Mutex
	status  Status
	isSet   bool
	changed chan struct{}
}

// NewStatusFeed is a feed without a status.
func NewStatusFeed() *StatusFeed { return &StatusFeed{changed: make(chan struct{}, 1)} }

// Set replaces the status. It never waits.
func (b *StatusFeed) Set(s Status) {
	b.mu.Lock()
	b.status, b.isSet = s, true
	b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default: // the reader has not received the last change yet
	}
}

// Changed receives a value after the status was set.
func (b *StatusFeed) Changed() <-chan struct{} { return b.changed }

// Status is the newest status. It reports false before the first Set.
func (b *StatusFeed) Status() (Status, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status, b.isSet
}
