// Package ring puts together what the services say about the use of encryption
// keys, and judges when a key can go. It is pure.
//
// A key can go when nothing that is stored needs it and no token that it sealed
// can still be used. Stored values leave a key by being sealed again, tokens by
// expiring; some places have both. A kid that is not in the ring, and of which
// sealed values are left, is told as lost.
package ring

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/parley-dsr/parley/internal/rotation"
	"github.com/parley-dsr/parley/services/config"
)

// Report is what keys are needed for.
type Report struct {
	Keys []Key `json:"keys"`
}

// Key is one key and its uses.
type Key struct {
	config.Key
	Uses []Use `json:"uses"`
	// CanGo says that nothing needs the key any more.
	CanGo bool `json:"can_go"`
	// At is when it can go by itself, if nobody seals anything with it any
	// more; zero where something has to be sealed again first.
	At time.Time `json:"at,omitzero"`
}

// Use is what a key is needed for in one place.
type Use struct {
	Place string `json:"place"`
	rotation.Count
	Remedy rotation.Remedy `json:"remedy"`
}

// NewReport sorts the places by key. Keys that left the ring are told only
// while something needs them.
func NewReport(known []config.Key, places []*rotation.Place, now time.Time) Report {
	uses := map[string][]Use{}
	for _, p := range places {
		for kid, count := range p.Keys {
			uses[kid] = append(uses[kid], Use{Place: p.Name, Count: count, Remedy: p.Remedy})
		}
	}
	var r Report
	for _, k := range known {
		if k.InRing || stored(uses[k.KID]) {
			r.Keys = append(r.Keys, judge(Key{Key: k, Uses: uses[k.KID]}, now))
		}
		delete(uses, k.KID)
	}
	for kid, left := range uses { // sealed before anybody took notes
		r.Keys = append(r.Keys, judge(Key{Key: config.Key{KID: kid}, Uses: left}, now))
	}
	return r
}

// stored says whether any of the uses is a value, and not just time.
func stored(uses []Use) bool {
	return slices.ContainsFunc(uses, func(u Use) bool { return u.Values > 0 })
}

func judge(k Key, now time.Time) Key {
	if k.Seals {
		return k
	}
	k.CanGo = true
	lasting := false
	for _, u := range k.Uses {
		if u.Lasting > 0 {
			k.CanGo, lasting = false, true
		}
		if u.Until.After(now) {
			k.CanGo = false
			k.At = latest(k.At, u.Until)
		}
	}
	if lasting {
		k.At = time.Time{}
	}
	slices.SortStableFunc(k.Uses, func(a, b Use) int { return cmp.Compare(a.Remedy, b.Remedy) })
	return k
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Role says what a key does.
func (k Key) Role() string {
	switch {
	case k.KID == rotation.Unreadable:
		return "values that name no key: they are damaged"
	case k.Replaced:
		return "another key had this kid before: what that one sealed cannot be opened"
	case k.Seals && k.SealedSince.IsZero():
		return "seals as soon as config is started with it"
	case k.Seals:
		return "seals since " + stamp(k.SealedSince)
	case !k.InRing:
		return "NOT IN THE RING: what it sealed cannot be opened"
	case k.SealedSince.IsZero():
		return "opens only, has not sealed yet"
	default:
		return "opens only, sealed until " + stamp(k.SealedUntil)
	}
}

// Verdict says when a key can go.
func (k Key) Verdict() string {
	reseal := slices.ContainsFunc(k.Uses, func(u Use) bool { return u.Remedy == rotation.Reseal && u.Values > 0 })
	switch {
	case k.Seals:
		return "It stays."
	case !k.InRing:
		return "Put it back into PARLEY_ENCRYPTION_KEYS and run: parley keys reseal"
	case k.CanGo && k.SealedUntil.IsZero() && !k.SealedSince.IsZero():
		return "It can go once config has been started with the new key."
	case k.CanGo:
		return "It can go."
	case reseal:
		return "It cannot go yet. Run: parley keys reseal"
	case k.At.IsZero():
		return "It cannot go yet: wait until nothing waits any more."
	default:
		return "It can go at " + stamp(k.At) + "."
	}
}

// Number is how many values there are, where anybody can count them.
func (u Use) Number() string {
	if u.Values == 0 {
		return ""
	}
	return fmt.Sprint(u.Values)
}

// End says how the use ends.
func (u Use) End() string {
	switch {
	case u.Remedy == rotation.Reseal && u.Lasting == 0 && !u.Until.IsZero():
		return "reseal, or until " + stamp(u.Until)
	case u.Remedy == rotation.Reseal:
		return "reseal"
	case u.Until.IsZero():
		return "until they are done"
	default:
		return "until " + stamp(u.Until)
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }
