package halt

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// Whatever comes and goes between two questions, a page is that of a list that
// is sorted as a whole.
func TestIndexPages(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	x, model := newIndex(), map[string]Halt{}
	for range 500 {
		for range random.IntN(6) {
			h := example(random.IntN(60))
			if random.IntN(3) == 0 {
				x.remove(h.CallID)
				delete(model, h.CallID)
				continue
			}
			x.put(h.CallID, encoded(t, h))
			h.Trace = ""
			model[h.CallID] = h
		}
		want := []Halt{}
		for _, h := range model {
			want = append(want, h)
		}
		slices.SortFunc(want, func(a, b Halt) int { return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.CallID, b.CallID)) })
		offset, size := random.IntN(70), random.IntN(20)
		got, total, err := x.page(offset, size)
		if err != nil || total != len(want) {
			t.Fatalf("%d in all, want %d, %v", total, len(want), err)
		}
		first := min(offset, len(want))
		if diff := gocmp.Diff(want[first:min(first+size, len(want))], got); diff != "" {
			t.Fatal(diff)
		}
		if len(x.ordered) != len(x.live) {
			t.Fatalf("%d are kept, %d live", len(x.ordered), len(x.live))
		}
	}
}

// BenchmarkIndex says what a halt takes in memory while the list is kept.
func BenchmarkIndex(b *testing.B) {
	const halts = 100_000
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		x := newIndex()
		for n := range halts {
			h := example(n)
			x.put(fmt.Sprint(h.CallID), encoded(b, h))
		}
		_, _, _ = x.page(0, 1)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/halts, "B/halt")
		runtime.KeepAlive(x)
	}
}
