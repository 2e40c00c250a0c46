package halt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/topology"
)

const (
	// unasked is how long the list is kept after it was asked for.
	unasked = 5 * time.Minute
	// silent is how long it may bring nothing that somebody waits for.
	silent = 15 * time.Second
)

// List is the list of what is halted, what ends first before the others.
//
// The order is not that of the keys, so that a page alone cannot be read from
// the bucket. Who asks first has the whole bucket read, into an index that from
// then on follows it; what comes next costs a page. When nobody has asked for
// five minutes the index goes: a service that is not asked keeps nothing of a
// halt.
//
// An answer is never older than the question. The stream says how far it is,
// and the page is cut when the index is as far, so that it does not matter which
// replica is asked. Where the index may have missed something - the connection
// was lost, the stream was made anew or went back - it is read anew.
type List struct {
	js      jetstream.JetStream
	halted  *topology.Bucket
	logger  *slog.Logger
	asks    chan ask
	ended   chan struct{}
	unasked time.Duration
	silent  time.Duration
}

// NewList gives a list that answers while its Run runs.
func NewList(js jetstream.JetStream, halted *topology.Bucket, logger *slog.Logger) *List {
	return &List{
		js: js, halted: halted, logger: logger, asks: make(chan ask), ended: make(chan struct{}), unasked: unasked, silent: silent,
	}
}

var (
	errSilent  = errors.New("halt: list: the bucket could not be read in time")
	errStopped = errors.New("halt: list: the reading of the bucket was stopped")
)

// ask is one question.
type ask struct {
	offset, size int
	tip          tip
	answer       chan<- answer
}

type answer struct {
	halts []Halt
	total int
	err   error
}

// tip is how far the bucket's stream is.
type tip struct {
	origin   origin
	sequence uint64
}

// origin is what an index stands on: it is worth nothing on another.
type origin struct {
	created    int64  // the stream
	reconnects uint64 // of the connection, behind which the store may have been put back
}

// Page gives a part of the list, and how long the list is.
func (l *List) Page(ctx context.Context, offset, size int) ([]Halt, int, error) {
	tip, err := l.look(ctx)
	if err != nil {
		return nil, 0, err
	}
	got := make(chan answer, 1)
	select {
	case l.asks <- ask{offset: offset, size: size, tip: tip, answer: got}:
	case <-l.ended:
		return nil, 0, errStopped
	case <-ctx.Done():
		return nil, 0, context.Cause(ctx)
	}
	select {
	case a := <-got:
		return a.halts, a.total, a.err
	case <-ctx.Done():
		return nil, 0, context.Cause(ctx)
	}
}

func (l *List) look(ctx context.Context) (tip, error) {
	info, err := l.halted.Stream().Info(ctx)
	if err != nil {
		return tip{}, fmt.Errorf("halt: list: %w", err)
	}
	from := origin{created: info.Created.UnixNano(), reconnects: l.js.Conn().Stats().Reconnects}
	return tip{origin: from, sequence: info.State.LastSeq}, nil
}

// Run answers until ctx ends.
func (l *List) Run(ctx context.Context) error {
	defer close(l.ended)
	var next *ask
	for {
		if next == nil {
			select {
			case <-ctx.Done():
				return nil
			case a := <-l.asks:
				next = &a
			}
		}
		next = l.keep(ctx, *next)
	}
}

// keep reads the bucket for a question, and answers it and those that follow.
// It gives back one for which the bucket has to be read anew.
func (l *List) keep(ctx context.Context, first ask) (again *ask) {
	r := reading{index: newIndex(), tip: first.tip, waiting: []ask{first}}
	defer func() { r.fail(errStopped) }() // whoever is left
	watching, stop := context.WithCancel(ctx)
	defer stop()
	watcher, err := l.halted.Watch(watching, ">")
	if err != nil {
		r.fail(err)
		return nil
	}
	defer func() { _ = watcher.Stop() }()
	limit := time.NewTimer(l.silent)
	defer limit.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-limit.C:
			if len(r.waiting) > 0 {
				l.logger.Warn("the halts could not be read in time, the reading begins anew with the next question")
			}
			r.fail(errSilent)
			return nil
		case a := <-l.asks:
			if a.tip.origin != r.tip.origin {
				return &a
			}
			r.waiting = append(r.waiting, a)
		case e, open := <-watcher.Updates():
			if !open {
				return nil
			}
			r.apply(e)
			if len(r.waiting) == 0 {
				continue // that nobody asks counts on
			}
		}
		limit.Reset(l.silent)
		if r.answer() {
			limit.Reset(l.unasked)
		}
	}
}

// reading is an index that is being read, and who waits for it.
type reading struct {
	index   *index
	tip     tip  // reached
	whole   bool // all that was there at first has come
	waiting []ask
}

// apply takes what the bucket tells; nil says that all that was there has come.
func (r *reading) apply(e jetstream.KeyValueEntry) {
	if e == nil {
		r.whole = true
		return
	}
	if e.Operation() == jetstream.KeyValuePut {
		r.index.put(e.Key(), e.Value())
	} else {
		r.index.remove(e.Key())
	}
	r.tip.sequence = max(r.tip.sequence, e.Revision())
}

// answer answers those whose question is not younger than the index, and says
// whether these were all.
func (r *reading) answer() bool {
	if !r.whole {
		return false
	}
	later := r.waiting[:0]
	for _, a := range r.waiting {
		if a.tip.sequence > r.tip.sequence {
			later = append(later, a)
			continue
		}
		halts, total, err := r.index.page(a.offset, a.size)
		a.answer <- answer{halts: halts, total: total, err: err}
	}
	r.waiting = later
	return len(later) == 0
}

func (r *reading) fail(err error) {
	for _, a := range r.waiting {
		a.answer <- answer{err: err}
	}
	r.waiting = nil
}
