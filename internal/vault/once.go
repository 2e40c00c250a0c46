package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dsr/parley/internal/topology"
)

// PutOnce stores what was provided with a request, if nothing was before. The
// same person again changes nothing, also not how long it lives; another one is
// ErrOther.
func (v *Vault) PutOnce(ctx context.Context, requestID string, p Person, ttl time.Duration) error {
	sealed, err := v.seal(requestID, p)
	if err != nil {
		return err
	}
	for {
		_, err := v.bucket.Create(ctx, requestID, sealed, ttl)
		if err == nil {
			return nil
		}
		if !errors.Is(err, topology.ErrConflict) {
			return fmt.Errorf("vault: put: %w", expired(err))
		}
		there, err := v.Provided(ctx, requestID)
		if errors.Is(err, ErrExpired) {
			continue // it went meanwhile
		}
		if err != nil {
			return err
		}
		return same(there, p)
	}
}

// same compares two persons as they are written.
func same(a, b Person) error {
	one, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("vault: encode: %w", err)
	}
	other, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("vault: encode: %w", err)
	}
	if !bytes.Equal(one, other) {
		return ErrOther
	}
	return nil
}
