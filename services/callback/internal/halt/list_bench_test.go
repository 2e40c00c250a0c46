package halt

import (
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
)

// BenchmarkPage is a page out of the middle of many halts: read from the whole
// bucket, from the index, and from the index with a halt that came before.
func BenchmarkPage(b *testing.B) {
	const halts, offset, size = 100_000, 50_000, 100
	_, js := testbed.NATS(b)
	if err := topology.EnsureCallback(b.Context(), js, topology.Options{}); err != nil {
		b.Fatal(err)
	}
	l := replica(b, js, nil)
	for n := range halts {
		h := example(n)
		if _, err := l.halted.UpdateAsync(h.CallID, encoded(b, h), 0, time.Hour); err != nil {
			b.Fatal(err)
		}
		if n%1000 == 0 {
			<-js.PublishAsyncComplete()
		}
	}
	<-js.PublishAsyncComplete()
	page := func(b *testing.B) {
		got, total, err := l.Page(b.Context(), offset, size)
		if err != nil || len(got) != size || total < halts {
			b.Fatal(len(got), total, err)
		}
	}
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			if all, err := readAll(b.Context(), l.halted); err != nil || len(all) < halts {
				b.Fatal(len(all), err)
			}
		}
	})
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			page(b)
			b.StopTimer()
			l.asks <- ask{tip: tip{sequence: 1 << 60}, answer: make(chan answer, 1)} // of another origin: the next is read anew
			b.StartTimer()
		}
	})
	b.Run("next", func(b *testing.B) {
		page(b)
		for b.Loop() {
			page(b)
		}
	})
	b.Run("next after a halt", func(b *testing.B) {
		n := halts
		for b.Loop() {
			b.StopTimer()
			put(b, l.halted, example(n), time.Hour)
			n++
			b.StartTimer()
			page(b)
		}
	})
}
