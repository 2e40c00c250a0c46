package rekey

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/rotation"
	"github.com/parley-dsr/parley/internal/topology"
)

// Reseal frees the records and the vault of old keys. The read model follows by
// its feed.
func (r *Requests) Reseal(ctx context.Context) ([]rotation.Resealed, error) {
	// The records first: their hashes need persons, whom any key of the ring
	// opens.
	records := rotation.Resealed{Place: PlaceRecords}
	err := r.each(ctx, func(e topology.Entry) error {
		changed, err := r.reseal(ctx, e)
		switch {
		case errors.Is(err, errLeft):
			records.Left++
		case err != nil:
			return err
		case changed:
			records.Done++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	persons, err := r.Vault.Reseal(ctx, r.Clock)
	return []rotation.Resealed{records, persons}, err
}

// errLeft says that a record stays as it is, this time or for ever.
var errLeft = errors.New("rekey: the record is left as it is")

// reseal looks again where somebody else has written the record meanwhile.
func (r *Requests) reseal(ctx context.Context, e topology.Entry) (bool, error) {
	for {
		rec, err := record.Decode(e.Value)
		if err != nil {
			return false, errLeft
		}
		changed, err := r.renew(ctx, rec)
		if err != nil || !changed {
			return false, err
		}
		if len(rec.Outbox) > 0 && r.Clock().Sub(rec.UpdatedAt) < busyFor {
			return false, errLeft
		}
		rec.Revision++
		value, err := rec.Encode()
		if err != nil {
			return false, fmt.Errorf("rekey: %w", err)
		}
		_, err = r.Bucket.Update(ctx, e.Key, value, e.Revision, e.Left(r.Clock()))
		if errors.Is(err, topology.ErrConflict) {
			if e, err = r.Bucket.Get(ctx, e.Key); err == nil {
				continue
			}
		}
		if errors.Is(err, topology.ErrExpired) || errors.Is(err, topology.ErrNotFound) {
			return false, nil // it has gone
		}
		if err != nil {
			return false, fmt.Errorf("rekey: %w", err)
		}
		return true, nil
	}
}

// renew seals and hashes what is in a record with the first key.
func (r *Requests) renew(ctx context.Context, rec *record.Record) (changed bool, err error) {
	for _, sealed := range []*string{&rec.Submission.SealedExternalID, &rec.SealedDenyReason, &rec.SealedCancelReason} {
		again, renewed, err := rotation.Again(r.Ring, keyring.Vault, *sealed)
		if err != nil {
			return false, errLeft
		}
		*sealed = again
		changed = changed || renewed
	}
	person, err := r.Vault.Provided(ctx, rec.ID)
	if gone(err) {
		return changed, nil
	}
	if err != nil {
		return false, fmt.Errorf("rekey: %w", err)
	}
	identities, fields := r.hashes(person)
	if !covers(rec.Submission.IdentityHashes, identities) || !covers(rec.Submission.CustomFieldHashes, fields) {
		rec.Submission.IdentityHashes, rec.Submission.CustomFieldHashes = identities, fields
		changed = true
	}
	return changed, nil
}

// covers says whether a request is found by the newest hashes already.
func covers(have, wanted map[string][]string) bool {
	return slices.Equal(slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(wanted))) &&
		!slices.ContainsFunc(slices.Collect(maps.Keys(wanted)), func(field string) bool {
			return !slices.Contains(have[field], wanted[field][0])
		})
}
