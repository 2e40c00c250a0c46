package webhooks_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/parley-dsr/parley/services/config/internal/webhooks"
)

// FuzzOrder plays moves and removals, three bytes each, and holds after every
// one of them what the order of a list promises.
func FuzzOrder(f *testing.F) {
	f.Add(uint8(5), []byte{0, 4, 0, 0, 4, 2})       // the moves of the contract
	f.Add(uint8(2), []byte{0, 0, 1})                // a b, a to 1
	f.Add(uint8(3), []byte{1, 0, 0, 1, 0, 0, 1, 0}) // remove the first until there is none
	f.Add(uint8(1), []byte{0, 0, 200})              // no such position
	f.Add(uint8(0), []byte{1, 0, 0, 0, 0, 0})       // nothing to change
	f.Fuzz(func(t *testing.T, size uint8, steps []byte) {
		var keys []string
		for i := range int(size % 51) {
			keys = append(keys, fmt.Sprint("w", i))
		}
		for ; len(steps) >= 3; steps = steps[3:] {
			key := fmt.Sprint("w", steps[1])
			if steps[0]%2 == 0 {
				keys = checkMove(t, keys, key, int(int8(steps[2])))
			} else {
				keys = checkRemove(t, keys, key)
			}
		}
	})
}

func checkMove(t *testing.T, keys []string, key string, to int) []string {
	t.Helper()
	given := slices.Clone(keys)
	moved, err := webhooks.Move(keys, key, to)
	if !slices.Equal(keys, given) {
		t.Fatalf("the given list was changed: %v", keys)
	}
	known, inside := slices.Contains(keys, key), to >= 0 && to < len(keys)
	if (err == nil) != (known && inside) || !known && !errors.Is(err, webhooks.ErrUnknown) ||
		known && !inside && !errors.Is(err, webhooks.ErrOrder) {
		t.Fatalf("%v, %s to %d: %v", keys, key, to, err)
	}
	if err != nil {
		return keys
	}
	rest := func(list []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(k string) bool { return k == key })
	}
	if moved[to] != key || !slices.Equal(rest(moved), rest(given)) {
		t.Fatalf("%v, %s to %d: %v", given, key, to, moved)
	}
	return moved
}

func checkRemove(t *testing.T, keys []string, key string) []string {
	t.Helper()
	given := slices.Clone(keys)
	at := slices.Index(given, key)
	left, reordered, err := webhooks.Remove(keys, key)
	if at < 0 {
		if !errors.Is(err, webhooks.ErrUnknown) {
			t.Fatal(err)
		}
		return keys
	}
	if want := slices.Delete(slices.Clone(given), at, at+1); err != nil || !slices.Equal(left, want) || reordered != (at < len(left)) || !slices.Equal(keys, given) {
		t.Fatalf("%v without %s: %v, %v, %v", given, key, left, reordered, err)
	}
	return left
}
