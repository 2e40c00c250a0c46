package halt

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-dsr/parley/internal/stored"
)

// index is what the bucket holds in the order of the list. What changes is
// noted, and put into the order by whoever asks next: that is one pass over the
// index for any number of changes, and nothing where there was none.
type index struct {
	live       map[string]*place
	ordered    []*place // with some that are gone
	added      []*place // not in ordered yet
	stale      bool     // something in ordered is gone
	hooks      map[hook]*hook
	unreadable map[string]error
}

// place is a halt in as little memory as it takes: many share their webhook,
// and the id of a request is the beginning of its call's.
type place struct {
	callID, requestID string
	hook              *hook
	since, until      time.Time
	gone              bool
}

type hook struct{ id, key, name string }

func newIndex() *index {
	return &index{live: map[string]*place{}, hooks: map[hook]*hook{}, unreadable: map[string]error{}}
}

// put notes the value of a key in place of the one it had.
func (x *index) put(key string, value []byte) {
	x.remove(key)
	var h Halt
	if err := stored.Decode(value, &h); err != nil {
		x.unreadable[key] = fmt.Errorf("halt: list: entry of call %s: %w", key, err)
		return
	}
	p := x.place(key, h)
	x.live[key] = p
	x.added = append(x.added, p)
}

func (x *index) place(key string, h Halt) *place {
	p := &place{callID: h.CallID, requestID: h.RequestID, since: h.Since.UTC(), until: h.Until.UTC()}
	if h.CallID == key {
		p.callID = key
	}
	if strings.HasPrefix(p.callID, h.RequestID) {
		p.requestID = p.callID[:len(h.RequestID)]
	}
	of := hook{id: h.WebhookID, key: h.WebhookKey, name: h.WebhookName}
	if p.hook = x.hooks[of]; p.hook == nil {
		p.hook = &of
		x.hooks[of] = p.hook
	}
	return p
}

// remove notes that a key is gone; one that is not known is as good as gone.
func (x *index) remove(key string) {
	delete(x.unreadable, key)
	if p := x.live[key]; p != nil {
		p.gone, x.stale = true, true
		delete(x.live, key)
	}
}

// page gives a part of the list, and how long the list is.
func (x *index) page(offset, size int) ([]Halt, int, error) {
	for _, err := range x.unreadable {
		return nil, 0, err
	}
	x.settle()
	first := min(max(offset, 0), len(x.ordered))
	last := first + min(max(size, 0), len(x.ordered)-first)
	halts := make([]Halt, 0, last-first)
	for _, p := range x.ordered[first:last] {
		halts = append(halts, Halt{
			CallID: p.callID, RequestID: p.requestID, WebhookID: p.hook.id, WebhookKey: p.hook.key, WebhookName: p.hook.name,
			Since: p.since, Until: p.until,
		})
	}
	return halts, len(x.ordered), nil
}

// settle puts what was added into the order, and leaves out what is gone.
func (x *index) settle() {
	gone := func(p *place) bool { return p.gone }
	if x.stale {
		x.ordered, x.added, x.stale = slices.DeleteFunc(x.ordered, gone), slices.DeleteFunc(x.added, gone), false
	}
	slices.SortFunc(x.added, order)
	rest := x.ordered
	x.ordered = append(x.ordered, x.added...)
	for n := len(x.added) - 1; n >= 0; n-- { // from the end, so that nothing is overwritten before it is moved
		at, _ := slices.BinarySearchFunc(rest, x.added[n], order)
		copy(x.ordered[at+n+1:], rest[at:])
		x.ordered[at+n], rest = x.added[n], rest[:at]
	}
	clear(x.added)
	x.added = x.added[:0]
}

// order of the list: what ends first before the others.
func order(a, b *place) int {
	return cmp.Or(a.until.Compare(b.until), cmp.Compare(a.callID, b.callID))
}
