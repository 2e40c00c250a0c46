package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/rotation"
	"github.com/parley-dsr/parley/internal/topology"
)

// place is the name under which the vault is told about.
const place = "identities in the vault"

// KeyUse counts the values by the key that sealed them, and says when the last
// of each expires.
func (v *Vault) KeyUse(ctx context.Context) (*rotation.Place, error) {
	p := rotation.NewPlace(place, rotation.Reseal)
	err := v.each(ctx, func(e topology.Entry) error {
		p.Add(string(e.Value), e.Expires)
		return nil
	})
	return p, err
}

// Reseal seals every value again that another key than the first has sealed.
// No value lives longer for it. What no key of the ring opens is left.
func (v *Vault) Reseal(ctx context.Context, now func() time.Time) (rotation.Resealed, error) {
	done := rotation.Resealed{Place: place}
	err := v.each(ctx, func(e topology.Entry) error {
		changed, err := v.reseal(ctx, e, now)
		switch {
		case errors.Is(err, keyring.ErrSealed), errors.Is(err, keyring.ErrUnknownKey):
			done.Left++
		case err != nil:
			return err
		case changed:
			done.Done++
		}
		return nil
	})
	return done, err
}

// reseal looks again where somebody else has written the value meanwhile.
func (v *Vault) reseal(ctx context.Context, e topology.Entry, now func() time.Time) (bool, error) {
	for {
		again, changed, err := rotation.Again(v.ring, keyring.Vault, string(e.Value))
		if err != nil || !changed {
			return false, err
		}
		_, err = v.bucket.Update(ctx, e.Key, []byte(again), e.Revision, e.Left(now()))
		if errors.Is(err, topology.ErrConflict) {
			e, err = v.bucket.Get(ctx, e.Key)
			if err == nil {
				continue
			}
		}
		if errors.Is(err, topology.ErrExpired) || errors.Is(err, topology.ErrNotFound) {
			return false, nil // it has gone
		}
		if err != nil {
			return false, fmt.Errorf("vault: reseal: %w", err)
		}
		return true, nil
	}
}

// each gives every value with its expiry. One that goes meanwhile is left out.
func (v *Vault) each(ctx context.Context, see func(topology.Entry) error) error {
	for key, err := range v.bucket.Keys(ctx, ">") {
		if err != nil {
			return fmt.Errorf("vault: list: %w", err)
		}
		e, err := v.bucket.Get(ctx, key)
		if errors.Is(err, topology.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("vault: list: %w", err)
		}
		if err := see(e); err != nil {
			return err
		}
	}
	return nil
}
