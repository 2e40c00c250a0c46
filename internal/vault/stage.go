package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/topology"
)

// StageKey gives a new key for a derived identity of a request.
func StageKey(requestID string) string { return requestID + "." + rand.Text() }

// Stage stores a derived identity under a new key of StageKey, which the
// request's record has to list before it counts. Who does not know whether it was
// stored tries again with the same key.
func (v *Vault) Stage(ctx context.Context, key string, derived identity.Identity, ttl time.Duration) error {
	sealed, err := v.seal(key, Person{Identity: derived})
	if err != nil {
		return err
	}
	_, err = v.bucket.Create(ctx, key, sealed, ttl)
	if errors.Is(err, topology.ErrConflict) { // with an earlier try, if that is there: it may still be on its way, and get lost
		_, err = v.bucket.Get(ctx, key)
	}
	if err != nil {
		return fmt.Errorf("vault: stage: %w", expired(err))
	}
	return nil
}

// Touch gives everything that is known a new time to live, from now. It is
// ErrExpired if any of it is gone already; what is left is touched all the
// same. Who has just fetched what was provided gives it along, so that it is not
// read again; others give a zero Sealed.
func (v *Vault) Touch(ctx context.Context, requestID string, staged []string, ttl time.Duration, provided Sealed) error {
	var failures []error
	for _, key := range append([]string{requestID}, staged...) {
		if key != requestID && !belongs(key, requestID) {
			failures = append(failures, ErrForeign)
			continue
		}
		var known Sealed
		if key == provided.requestID {
			known = provided
		}
		failures = append(failures, v.touch(ctx, key, ttl, known))
	}
	return errors.Join(failures...)
}

// touch writes the same bytes again. Somebody who puts at the same time wins,
// and then their value is touched.
func (v *Vault) touch(ctx context.Context, key string, ttl time.Duration, known Sealed) error {
	for {
		if known.revision == 0 {
			var err error
			if known, err = v.Fetch(ctx, key); err != nil {
				return fmt.Errorf("vault: touch: %w", err)
			}
		}
		_, err := v.bucket.Update(ctx, key, known.value, known.revision, ttl)
		if errors.Is(err, topology.ErrConflict) {
			known = Sealed{}
			continue
		}
		if err != nil {
			return fmt.Errorf("vault: touch: %w", expired(err))
		}
		return nil
	}
}

// belongs says whether a key is one that Stage made for the request.
func belongs(key, requestID string) bool {
	nonce, found := strings.CutPrefix(key, requestID+".")
	return found && nonce != "" && !strings.Contains(nonce, ".")
}
