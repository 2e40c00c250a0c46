// Package vault keeps what is personal about a privacy request, and is the only
// place that does: identities, custom fields, consent preferences and the
// encryption key of the answer. Everything else names the request and looks
// here.
//
// A value is sealed with the keyring, and the seal covers the key under which
// the value lies, so that values cannot be exchanged between requests by
// somebody who can write to the bucket but holds no keys. Every value has a time
// to live; when it has passed the person is forgotten, and ErrExpired says so.
//
// What the person provided and what webhooks derived are kept apart. A derived
// identity is staged under a key of its own and counts only when the request's
// record lists that key: who stages does not yet know whether the answer is
// accepted. Readers lay the listed ones over the provided one, in the order of
// the list. What nobody lists expires.
//
// Putting is repeatable, staging makes a new key each time, touching and
// removing may be repeated.
package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/stored"
	"github.com/parley-dsr/parley/internal/topology"
)

var (
	// ErrExpired says that the person is not known any more: the time has
	// passed, or nothing was ever put.
	ErrExpired = errors.New("vault: the identity has expired")
	// ErrUnreadable says that a value does not open with the keys at hand, or
	// that what it holds is not what the vault puts there.
	ErrUnreadable = errors.New("vault: the value cannot be opened")
	// ErrForeign says that a value does not belong where it was found, or that
	// a staged key is not one of the request's.
	ErrForeign = errors.New("vault: the value belongs to another request")
	// ErrOther says that another person was provided with the request before.
	ErrOther = errors.New("vault: another person is there")
)

// Person is what is personal about a privacy request.
type Person struct {
	Identity           identity.Identity           `json:"identity"`
	CustomFields       map[string]identity.Labeled `json:"custom_fields,omitempty"`
	ConsentPreferences json.RawMessage             `json:"consent_preferences,omitempty"`
	EncryptionKey      string                      `json:"encryption_key,omitempty"`
}

// Vault reads and writes persons by the id of their request.
type Vault struct {
	bucket *topology.Bucket
	ring   *keyring.Ring
}

// Open gives a vault over its bucket.
func Open(bucket *topology.Bucket, ring *keyring.Ring) *Vault {
	return &Vault{bucket: bucket, ring: ring}
}

// Put stores what was provided with a request, in place of what was there.
func (v *Vault) Put(ctx context.Context, requestID string, p Person, ttl time.Duration) error {
	sealed, err := v.seal(requestID, p)
	if err != nil {
		return err
	}
	if _, err := v.bucket.Put(ctx, requestID, sealed, ttl); err != nil {
		return fmt.Errorf("vault: put: %w", expired(err))
	}
	return nil
}

// Provided returns what was provided, without what was derived.
func (v *Vault) Provided(ctx context.Context, requestID string) (Person, error) {
	return v.get(ctx, requestID)
}

// Read returns what is known: the provided identity with the staged ones of the
// list laid over it, in order. It is ErrExpired if any of them is gone, since
// to go on with half of what is known would look up the wrong person.
func (v *Vault) Read(ctx context.Context, requestID string, staged []string) (Person, error) {
	provided, err := v.Fetch(ctx, requestID)
	if err != nil {
		return Person{}, err
	}
	return v.Unseal(ctx, provided, staged)
}

// Sealed is what was provided with a request, as it lies in the vault.
type Sealed struct {
	requestID string
	value     []byte
	revision  uint64
}

// Fetch is the first half of Read, for who does not know yet which identities
// are listed. It opens nothing, so that who misses the key can do it too. It is
// ErrExpired where nothing is provided.
func (v *Vault) Fetch(ctx context.Context, requestID string) (Sealed, error) {
	entry, err := v.fetch(ctx, requestID)
	return Sealed{requestID: requestID, value: entry.Value, revision: entry.Revision}, err
}

// Unseal is the second half of Read.
func (v *Vault) Unseal(ctx context.Context, provided Sealed, staged []string) (Person, error) {
	person, err := v.open(provided.requestID, provided.value)
	if err != nil {
		return Person{}, err
	}
	for _, key := range staged {
		if !belongs(key, provided.requestID) {
			return Person{}, ErrForeign
		}
		derived, err := v.get(ctx, key)
		if err != nil {
			return Person{}, err
		}
		person.Identity = derived.Identity.Over(person.Identity)
	}
	return person, nil
}

// Remove forgets the person: what was provided, and the staged identities of
// the list.
func (v *Vault) Remove(ctx context.Context, requestID string, staged []string) error {
	var failures []error
	for _, key := range append([]string{requestID}, staged...) {
		if key != requestID && !belongs(key, requestID) {
			failures = append(failures, ErrForeign)
			continue
		}
		if err := v.bucket.Remove(ctx, key); err != nil {
			failures = append(failures, fmt.Errorf("vault: remove: %w", err))
		}
	}
	return errors.Join(failures...)
}

func (v *Vault) get(ctx context.Context, key string) (Person, error) {
	entry, err := v.fetch(ctx, key)
	if err != nil {
		return Person{}, err
	}
	return v.open(key, entry.Value)
}

func (v *Vault) fetch(ctx context.Context, key string) (topology.Entry, error) {
	entry, err := v.bucket.Get(ctx, key)
	if err != nil {
		return topology.Entry{}, fmt.Errorf("vault: get: %w", expired(err))
	}
	return entry, nil
}

// sealed is the plain form of a value. It names its key.
type sealed struct {
	Key    string `json:"key"`
	Person Person `json:"person"`
}

func (v *Vault) seal(key string, p Person) ([]byte, error) {
	plain, err := json.Marshal(sealed{Key: key, Person: p})
	if err != nil {
		return nil, fmt.Errorf("vault: encode: %w", err)
	}
	text, err := v.ring.Seal(keyring.Vault, plain)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return []byte(text), nil
}

func (v *Vault) open(key string, value []byte) (Person, error) {
	plain, err := v.ring.Open(keyring.Vault, string(value))
	if err != nil {
		return Person{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	var content sealed
	if err := stored.Decode(plain, &content); err != nil {
		return Person{}, fmt.Errorf("%w: it does not hold a person", ErrUnreadable)
	}
	if content.Key != key {
		return Person{}, ErrForeign
	}
	return content.Person, nil
}

// expired says in our words that a key is gone or its time is over.
func expired(err error) error {
	if errors.Is(err, topology.ErrNotFound) || errors.Is(err, topology.ErrExpired) {
		return ErrExpired
	}
	return err
}
