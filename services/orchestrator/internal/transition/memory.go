package transition

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
)

// memory is what a process knows of the bucket of records without asking it:
// how far its stream had come, and what was written last. A server that comes
// back with an older store contradicts it.
type memory struct {
	mu       sync.Mutex
	sequence uint64
	last     written
}

// written is a record that the server has acknowledged.
type written struct {
	id       string
	revision uint64
	epoch    string
	sequence uint64
	// stays says that the record does not go by itself.
	stays bool
}

func (m *memory) saw(sequence uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sequence = max(m.sequence, sequence)
}

func (m *memory) wrote(w written) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sequence = max(m.sequence, w.sequence)
	if w.sequence > m.last.sequence {
		m.last = w
	}
}

func (m *memory) recall() (sequence uint64, last written) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sequence, m.last
}

func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sequence, m.last = 0, written{}
}

// Forgotten says whether the bucket of records has lost something that this
// process has seen in it: its stream ends earlier, or has, of the request that
// was written last, an older record. Others may have written meanwhile, so that
// the end of the stream alone does not tell. What was seen so far is then
// forgotten here, too.
func (l *Loop) Forgotten(ctx context.Context) (bool, error) {
	sequence, last := l.memory.recall()
	info, err := l.Requests.Stream().Info(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, fmt.Errorf("transition: look at the bucket: %w", err)
	}
	gone := err != nil || info.State.LastSeq < sequence
	if !gone && last.id != "" {
		if gone, err = l.outlived(ctx, last); err != nil {
			return false, err
		}
	}
	if gone {
		l.memory.forget()
	}
	return gone, nil
}

// outlived says whether a record that was acknowledged is not there any more,
// nor one that followed it.
func (l *Loop) outlived(ctx context.Context, w written) (bool, error) {
	entry, err := l.Requests.Get(ctx, w.id)
	if errors.Is(err, topology.ErrNotFound) {
		return w.stays, nil
	}
	if err != nil {
		return false, fmt.Errorf("transition: look at the bucket: %w", err)
	}
	rec, err := record.Decode(entry.Value)
	if err != nil {
		return true, nil // it could be read when it was written
	}
	return rec.Revision < w.revision || rec.Revision == w.revision && rec.Epoch != w.epoch, nil
}
