package ring_test

import (
	"testing"
	"time"

	"github.com/parley-dsr/parley/cmd/parley/internal/ring"
	"github.com/parley-dsr/parley/internal/rotation"
	"github.com/parley-dsr/parley/services/config"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// place has what the old key has sealed somewhere.
func place(name string, remedy rotation.Remedy, values int, until ...time.Time) *rotation.Place {
	p := rotation.NewPlace(name, remedy)
	for range values {
		end := time.Time{}
		if len(until) > 0 {
			end = until[0]
		}
		p.AddKID("old", end)
	}
	if values == 0 && len(until) > 0 {
		p.AddEnd("old", until[0])
	}
	return p
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	known := []config.Key{
		{KID: "new", InRing: true, Seals: true, SealedSince: now.Add(-time.Hour)},
		{KID: "old", InRing: true, SealedSince: now.Add(-48 * time.Hour), SealedUntil: now.Add(-time.Hour)},
	}
	soon, late := now.Add(time.Hour), now.Add(2*time.Hour)
	for name, c := range map[string]struct {
		places  []*rotation.Place
		canGo   bool
		at      time.Time
		verdict string
	}{
		"nothing is left":      {nil, true, time.Time{}, "It can go."},
		"what is left is over": {[]*rotation.Place{place("a", rotation.Wait, 0, now.Add(-time.Second))}, true, time.Time{}, "It can go."},
		"secrets":              {[]*rotation.Place{place("a", rotation.Reseal, 2)}, false, time.Time{}, "It cannot go yet. Run: parley keys reseal"},
		"tokens":               {[]*rotation.Place{place("a", rotation.Wait, 0, soon), place("b", rotation.Wait, 3, late)}, false, late, "It can go at 2026-05-01 14:00:00 UTC."},
		"secrets and tokens":   {[]*rotation.Place{place("a", rotation.Wait, 0, soon), place("b", rotation.Reseal, 1)}, false, time.Time{}, "It cannot go yet. Run: parley keys reseal"},
		"persons":              {[]*rotation.Place{place("a", rotation.Reseal, 1, soon)}, false, soon, "It cannot go yet. Run: parley keys reseal"},
		"commands":             {[]*rotation.Place{place("a", rotation.Wait, 1)}, false, time.Time{}, "It cannot go yet: wait until nothing waits any more."},
	} {
		r := ring.NewReport(known, c.places, now)
		if len(r.Keys) != 2 || r.Keys[0].Verdict() != "It stays." {
			t.Fatalf("%s: %+v", name, r)
		}
		if old := r.Keys[1]; old.CanGo != c.canGo || !old.At.Equal(c.at) || old.Verdict() != c.verdict {
			t.Errorf("%s: %v %v %q", name, old.CanGo, old.At, old.Verdict())
		}
	}
}

func TestKeysThatAreGone(t *testing.T) {
	t.Parallel()
	known := []config.Key{
		{KID: "new", InRing: true, Seals: true},
		{KID: "old", SealedSince: now.Add(-2 * time.Hour), SealedUntil: now.Add(-time.Hour)},
	}
	onlyTime := place("access tokens", rotation.Wait, 0, now.Add(time.Hour))
	if r := ring.NewReport(known, []*rotation.Place{onlyTime}, now); len(r.Keys) != 1 {
		t.Errorf("a key that nothing stored needs: %+v", r)
	}
	r := ring.NewReport(known, []*rotation.Place{place("secrets", rotation.Reseal, 1)}, now)
	if len(r.Keys) != 2 || r.Keys[1].CanGo || r.Keys[1].Role() != "NOT IN THE RING: what it sealed cannot be opened" {
		t.Errorf("%+v", r)
	}
	unknown := rotation.NewPlace("secrets", rotation.Reseal)
	unknown.AddKID("older", time.Time{})
	if r = ring.NewReport(known, []*rotation.Place{unknown}, now); len(r.Keys) != 2 || r.Keys[1].KID != "older" {
		t.Errorf("%+v", r)
	}
}
