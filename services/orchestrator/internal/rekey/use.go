// Package rekey says what the requests of an installation still need an old
// key for, and frees them of it.
//
// Records hold values that are sealed, and keyed hashes by which people find
// them. Both are made anew with the first key, the hashes for as long as the
// vault knows the person; afterwards nobody can, and the request is found only
// while the old key stays. A record is written with a compare-and-set and one
// revision further, so that the read model follows; nothing else of it changes.
//
// It works while the service runs. A record whose outbox is not settled is
// being written by somebody and is left for the next time, unless that is long
// ago.
package rekey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/rotation"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/services/orchestrator/internal/intake"
)

// Names of the places.
const (
	PlaceRecords   = "requests"
	PlaceReadModel = "requests in the read model"
	PlaceHashes    = "requests found by identity"
	PlaceReplies   = "reply tokens that may still be used"
)

// busyFor is how long a record with an unsettled outbox is left alone.
const busyFor = time.Minute

// Rows of the read model.
type Rows interface {
	// SealedRecords gives every stored record that holds sealed values.
	SealedRecords(ctx context.Context, see func(record []byte) error) error
}

// Requests looks at all requests.
type Requests struct {
	Bucket *topology.Bucket
	Vault  *vault.Vault
	Rows   Rows
	Ring   *keyring.Ring
	Clock  func() time.Time
	// SealedUntil gives, by kid, when a key ceased to seal tokens. A request
	// that has waited since before may hold a reply token of that key.
	SealedUntil map[string]time.Time
}

// Places counts what is sealed or hashed, by key.
func (r *Requests) Places(ctx context.Context) ([]*rotation.Place, error) {
	records := rotation.NewPlace(PlaceRecords, rotation.Reseal)
	rows := rotation.NewPlace(PlaceReadModel, rotation.Reseal)
	hashes := rotation.NewPlace(PlaceHashes, rotation.Reseal)
	replies := rotation.NewPlace(PlaceReplies, rotation.Wait)
	err := r.each(ctx, func(e topology.Entry) error {
		if err := records.AddAll(e.Value, e.Expires); err != nil {
			return err
		}
		rec, err := record.Decode(e.Value)
		if err != nil {
			return err
		}
		r.reply(replies, rec)
		kid, err := r.onlyFoundBy(ctx, rec)
		if kid != "" {
			hashes.AddKID(kid, e.Expires)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = r.Rows.SealedRecords(ctx, func(row []byte) error { return rows.AddAll(row, time.Time{}) })
	if err != nil {
		return nil, err
	}
	persons, err := r.Vault.KeyUse(ctx)
	return []*rotation.Place{persons, records, rows, hashes, replies}, err
}

// reply counts a request that has given away a reply token and waits for it.
func (r *Requests) reply(place *rotation.Place, rec *record.Record) {
	w := rec.Wait
	if w == nil || w.Kind != record.WaitHalt && w.Kind != record.WaitPreApproval && w.Kind != record.WaitCall {
		return
	}
	for kid, until := range r.SealedUntil {
		if w.Since.Before(until) && w.Until.After(r.Clock()) {
			place.AddKID(kid, w.Until)
		}
	}
}

// onlyFoundBy is the newest key by whose hashes a request is found, where the
// first key is not it; "" where it is, or where nobody can tell any more.
func (r *Requests) onlyFoundBy(ctx context.Context, rec *record.Record) (string, error) {
	person, err := r.Vault.Provided(ctx, rec.ID)
	if gone(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	identities, fields := r.hashes(person)
	kids := r.Ring.KIDs()
	newest := max(
		newestOf(rec.Submission.IdentityHashes, identities),
		newestOf(rec.Submission.CustomFieldHashes, fields),
	)
	if newest == 0 {
		return "", nil
	}
	return kids[newest], nil
}

// newestOf is the index of the newest key by which every field is found.
func newestOf(have, wanted map[string][]string) int {
	newest := 0
	for field, hashes := range wanted {
		at := slices.IndexFunc(hashes, func(h string) bool { return slices.Contains(have[field], h) })
		newest = max(newest, at)
	}
	return newest
}

// hashes are those of a person, by field.
func (r *Requests) hashes(p vault.Person) (identities, fields map[string][]string) {
	return intake.Hashes(p, r.Ring.Hashes)
}

// gone says whether a person cannot be read any more.
func gone(err error) bool {
	return errors.Is(err, vault.ErrExpired) || errors.Is(err, vault.ErrForeign) ||
		errors.Is(err, keyring.ErrUnknownKey) || errors.Is(err, keyring.ErrSealed)
}

// each gives every record. One that goes meanwhile is left out.
func (r *Requests) each(ctx context.Context, see func(topology.Entry) error) error {
	for key, err := range r.Bucket.Keys(ctx, ">") {
		if err != nil {
			return fmt.Errorf("rekey: list: %w", err)
		}
		e, err := r.Bucket.Get(ctx, key)
		if errors.Is(err, topology.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("rekey: list: %w", err)
		}
		if err := see(e); err != nil {
			return err
		}
	}
	return nil
}
