// Package keys says what the configuration has sealed with which key of the
// ring, and seals it again with the one that seals now.
//
// It works while services run, on the same database and bucket: a resealed
// connection is a change like any other, published before the next batch is
// begun, so that the other services never read a secret that a ring without the
// old key could not open. Tags (ETag) do not change, for nothing did that a
// caller could see.
package keys

import (
	"context"
	"time"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/rotation"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// Names of the places.
const (
	PlaceSecrets   = "connection secrets"
	PlaceOAuth     = "OAuth settings"
	PlaceMasking   = "masking configurations"
	PlaceStored    = "entries of dsr_config, in the database"
	PlacePublished = "entries of dsr_config, published"
	PlaceAccess    = "access tokens"
)

// batch is how many rows one transaction seals again.
const batch = 100

// Keys looks at one installation.
type Keys struct {
	Store          *store.Store
	Ring           *keyring.Ring
	Bucket         *topology.Bucket
	AccessTokenTTL time.Duration
	Clock          func() time.Time
	// Publish brings entries into the bucket.
	Publish func(ctx context.Context, entries []db.Entry) error
}

// Places counts what is sealed, by key.
func (k *Keys) Places(ctx context.Context) ([]*rotation.Place, error) {
	var places []*rotation.Place
	if err := k.Store.Read(ctx, func(ctx context.Context, q *db.Queries) error {
		var err error
		places, err = stored(ctx, q)
		return err
	}); err != nil {
		return nil, err
	}
	published, err := k.published(ctx)
	if err != nil {
		return nil, err
	}
	tokens, err := k.tokens(ctx)
	return append(places, published, tokens), err
}

func stored(ctx context.Context, q *db.Queries) ([]*rotation.Place, error) {
	secrets := rotation.NewPlace(PlaceSecrets, rotation.Reseal)
	oauth := rotation.NewPlace(PlaceOAuth, rotation.Reseal)
	masking := rotation.NewPlace(PlaceMasking, rotation.Reseal)
	entries := rotation.NewPlace(PlaceStored, rotation.Reseal)
	err := connections(ctx, q, func(row db.SealedConnectionsRow) error {
		addText(secrets, row.SealedSecrets)
		addText(oauth, row.SealedOauth)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = rules(ctx, q, func(row db.SealedRulesRow) error {
		addText(masking, row.SealedMaskingConfiguration)
		return nil
	})
	if err != nil {
		return nil, err
	}
	bodies, err := q.Entries(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range bodies {
		if err := entries.AddAll(e.Body, time.Time{}); err != nil {
			return nil, err
		}
	}
	return []*rotation.Place{secrets, oauth, masking, entries}, nil
}

func addText(p *rotation.Place, sealed *string) {
	if sealed != nil {
		p.Add(*sealed, time.Time{})
	}
}

func (k *Keys) published(ctx context.Context) (*rotation.Place, error) {
	place := rotation.NewPlace(PlacePublished, rotation.Reseal)
	for e, err := range k.Bucket.Entries(ctx, ">") {
		if err != nil {
			return nil, err
		}
		if err := place.AddAll(e.Value, time.Time{}); err != nil {
			return nil, err
		}
	}
	return place, nil
}

// tokens says how long access tokens may be around that a key has sealed: it
// sealed them until the service was started with another one.
func (k *Keys) tokens(ctx context.Context) (*rotation.Place, error) {
	place := rotation.NewPlace(PlaceAccess, rotation.Wait)
	noted, err := k.Store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	now := k.Clock()
	for _, key := range noted {
		if key.SealedSince == nil || key.SealedUntil == nil {
			continue // it has never sealed, or seals now
		}
		if end := key.SealedUntil.Add(k.AccessTokenTTL); end.After(now) {
			place.AddEnd(key.Kid, end)
		}
	}
	return place, nil
}

// connections reads them in pages.
func connections(ctx context.Context, q *db.Queries, see func(db.SealedConnectionsRow) error) error {
	after := ""
	for {
		rows, err := q.SealedConnections(ctx, after, batch)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			if err := see(row); err != nil {
				return err
			}
		}
		after = rows[len(rows)-1].ID
	}
}

// rules reads them in pages.
func rules(ctx context.Context, q *db.Queries, see func(db.SealedRulesRow) error) error {
	after := ""
	for {
		rows, err := q.SealedRules(ctx, after, batch)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			if err := see(row); err != nil {
				return err
			}
		}
		after = rows[len(rows)-1].ID
	}
}
