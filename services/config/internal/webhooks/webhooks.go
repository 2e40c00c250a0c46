// Package webhooks has the rules of webhook lists: which key an item gets,
// which lists are refused, and what order the webhooks have after a change
// (contract §0.5, §4.5, §4.7, §4.8).
//
// It is pure: lists in, lists out. What it is given is all there is of one
// kind of webhook, over all policies, since keys and names are unique over all
// of them; what it returns is what one policy is to have. It stores nothing,
// so a refused change has changed nothing.
package webhooks

import (
	"slices"
	"strings"
)

// Webhook is a stored one, as far as the rules look at it.
type Webhook struct {
	ID     string
	Policy string
	Key    string
	Name   string
}

// Item of a list that is to replace the webhooks of a policy. Key and Name are
// empty where they were not given.
type Item struct {
	Key  string
	Name string
}

// Placed is an item in its place: its position is its index in the list.
type Placed struct {
	// ID is the stored webhook that the item updates, or "" for a new one.
	ID   string
	Key  string
	Name string
}

// Keys resolves the key of each item: the one given, or one made of the name.
// It fails with ErrNameless or ErrKeyless, wrapped in an ItemError, and with
// ErrDuplicate where two keys, or two names, are the same; two items without a
// name count as the same name.
func Keys(items []Item) ([]string, error) {
	keys := make([]string, 0, len(items))
	for i, item := range items {
		key, err := resolve(item)
		if err != nil {
			return nil, &ItemError{Index: i, Err: err}
		}
		keys = append(keys, key)
	}
	names := make([]string, 0, len(items))
	for _, item := range items {
		names = append(names, item.Name)
	}
	if repeats(keys) || repeats(names) {
		return nil, ErrDuplicate
	}
	return keys, nil
}

func resolve(item Item) (string, error) {
	if item.Key != "" {
		return item.Key, nil
	}
	if item.Name == "" {
		return "", ErrNameless
	}
	return KeyFromName(item.Name)
}

func repeats(values []string) bool {
	seen := make(map[string]bool, len(values))
	for _, v := range values {
		if seen[v] {
			return true
		}
		seen[v] = true
	}
	return false
}

// Check says whether item i may stand in the policy's list, given all stored
// webhooks of the kind and the keys that Keys resolved. An item with an
// explicit key updates the webhook of that key; one without is always new.
func Check(stored []Webhook, policy string, items []Item, keys []string, i int) (Placed, error) {
	item := items[i]
	placed := Placed{Key: keys[i], Name: item.Name}
	if at := slices.IndexFunc(stored, func(w Webhook) bool { return w.Key == keys[i] }); at >= 0 {
		switch {
		case item.Key == "":
			return Placed{}, &ItemError{Index: i, Err: ErrKeyTaken, Key: keys[i]}
		case stored[at].Policy != policy:
			return Placed{}, &ItemError{Index: i, Err: ErrElsewhere, Key: keys[i]}
		}
		placed.ID = stored[at].ID
		if placed.Name == "" {
			placed.Name = stored[at].Name
		}
	}
	if strings.TrimSpace(placed.Name) == "" {
		return Placed{}, &ItemError{Index: i, Err: ErrNameless}
	}
	if nameTaken(stored, policy, items, keys, placed) {
		return Placed{}, &ItemError{Index: i, Err: ErrNameTaken, Name: placed.Name}
	}
	return placed, nil
}

// nameTaken says whether another webhook has the name and keeps it. One that
// the same list removes still has it; one that the same list renames has not,
// so two webhooks can exchange their names.
func nameTaken(stored []Webhook, policy string, items []Item, keys []string, placed Placed) bool {
	return slices.ContainsFunc(stored, func(w Webhook) bool {
		if w.Name != placed.Name || w.ID == placed.ID {
			return false
		}
		at := slices.Index(keys, w.Key)
		renamed := at >= 0 && w.Policy == policy && items[at].Name != "" && items[at].Name != w.Name
		return !renamed
	})
}

// Move takes the keys in their order and moves one to a new index; the others
// close up. It is ErrOrder where there is no such index, and ErrUnknown where
// there is no such key. The given list is not changed.
func Move(keys []string, key string, to int) ([]string, error) {
	from := slices.Index(keys, key)
	if from < 0 {
		return nil, ErrUnknown
	}
	if to < 0 || to >= len(keys) {
		return nil, ErrOrder
	}
	moved := slices.Delete(slices.Clone(keys), from, from+1)
	return slices.Insert(moved, to, key), nil
}

// Remove takes one key out. reordered says whether another webhook changed its
// position: not if the last was removed.
func Remove(keys []string, key string) (left []string, reordered bool, err error) {
	at := slices.Index(keys, key)
	if at < 0 {
		return nil, false, ErrUnknown
	}
	return slices.Delete(slices.Clone(keys), at, at+1), at < len(keys)-1, nil
}
