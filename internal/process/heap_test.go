package process

import "testing"

func TestHowMuchAHeapMayGrow(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for live, want := range map[uint64]int{
		0: 1600, 1 * mib: 1600, 4 * mib: 1500, 8 * mib: 700, 16 * mib: 300, 32 * mib: 100, 63 * mib: 100, 64 * mib: 100, 4096 * mib: 100,
	} {
		if got := percentFor(live); got != want {
			t.Errorf("%d bytes in use: %d %%, want %d", live, got, want)
		}
	}
	if live := liveHeap(); live > 1<<40 {
		t.Errorf("%d bytes are said to be in use", live)
	}
}
