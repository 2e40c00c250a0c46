package events

import "testing"

func TestResumeAt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ floor, seen, first, last, want uint64 }{
		"nothing was ever published":          {0, 0, 0, 0, 0},
		"all is there":                        {5, 5, 1, 9, 5},
		"the mark lags":                       {5, 3, 1, 9, 5},
		"the server lost acknowledgements":    {3, 5, 1, 9, 5},
		"handled facts went":                  {8, 8, 6, 9, 8},
		"handled facts went, the mark lags":   {8, 5, 6, 9, 8},
		"all was handled and all went":        {9, 9, 10, 9, 9},
		"unseen facts went":                   {5, 5, 8, 9, 5},
		"the floor was lifted over unseen":    {7, 5, 8, 9, 5},
		"lifted over all":                     {9, 5, 10, 9, 5},
		"lifted, nothing was ever handled":    {7, 0, 8, 9, 0},
		"the stream was put back":             {5, 9, 1, 6, 6},
		"the stream was put back and purged":  {0, 9, 1, 0, 0},
		"one fact went that had been handled": {1, 1, 2, 2, 1},
		"one went on its way to nobody":       {6, 5, 81, 100, 5},
	} {
		if got := resumeAt(c.floor, c.seen, c.first, c.last); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestArrive(t *testing.T) {
	t.Parallel()
	type step struct {
		stream, consumer uint64
		handled          bool
		from, to         uint64 // of the gap
		unbroken         bool
	}
	for name, steps := range map[string][]step{
		"one after the other":                 {{11, 1, true, 0, 0, true}, {12, 2, true, 0, 0, true}},
		"a repeat":                            {{11, 1, false, 0, 0, true}, {11, 2, true, 0, 0, true}, {12, 3, true, 0, 0, true}},
		"some are gone":                       {{11, 1, true, 0, 0, true}, {15, 2, true, 12, 14, true}, {16, 3, true, 0, 0, true}},
		"gone before the first":               {{13, 1, true, 11, 12, true}},
		"one that failed is gone":             {{11, 1, false, 0, 0, true}, {12, 2, true, 11, 11, true}},
		"others had those between":            {{11, 1, true, 0, 0, true}, {15, 5, true, 0, 0, false}},
		"others had the one that failed here": {{11, 1, false, 0, 0, true}, {12, 3, true, 0, 0, false}},
		"more is gone than others had":        {{11, 1, true, 0, 0, true}, {15, 3, true, 12, 14, false}},
		"the server forgot deliveries":        {{11, 7, true, 0, 0, false}, {12, 3, true, 0, 0, true}},
	} {
		p := &position{}
		p.begin(10)
		for i, s := range steps {
			gap, unbroken := p.arrive(s.stream, s.consumer)
			var from, to uint64
			if gap != nil {
				from, to = gap.From, gap.To
			}
			if from != s.from || to != s.to || unbroken != s.unbroken {
				t.Errorf("%s, step %d: gap %d-%d, unbroken %v", name, i, from, to, unbroken)
			}
			if s.handled {
				p.done(s.stream)
			}
		}
	}
}

func TestMemoryForgetsTheOldest(t *testing.T) {
	t.Parallel()
	var m memory[int, int]
	for i := range 3 * remembered {
		m.put(i, i)
		if v, ok := m.get(i); !ok || v != i {
			t.Fatalf("%d was not put", i)
		}
	}
	if _, ok := m.get(2*remembered - 1); !ok {
		t.Error("a young entry was forgotten")
	}
	if _, ok := m.get(0); ok {
		t.Error("the oldest entry is still there")
	}
	m.clear()
	if _, ok := m.get(3*remembered - 1); ok {
		t.Error("clear left something")
	}
}
