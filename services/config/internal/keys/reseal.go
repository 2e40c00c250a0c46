package keys

import (
	"context"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/rotation"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// actor is who the audit says it was.
const actor = "parley keys reseal"

// Reseal seals every stored secret again that another key than the first has
// sealed, and publishes it. What cannot be opened is left as it is.
func (k *Keys) Reseal(ctx context.Context) ([]rotation.Resealed, error) {
	run := resealing{keys: k, secrets: counter{Place: PlaceSecrets}, oauth: counter{Place: PlaceOAuth}, masking: counter{Place: PlaceMasking}}
	if err := run.pages(ctx, run.connections); err != nil {
		return nil, err
	}
	if err := run.pages(ctx, run.rules); err != nil {
		return nil, err
	}
	return []rotation.Resealed{
		rotation.Resealed(run.secrets), rotation.Resealed(run.oauth), rotation.Resealed(run.masking),
	}, nil
}

type counter rotation.Resealed

type resealing struct {
	keys                    *Keys
	secrets, oauth, masking counter
}

// pages does one transaction a page and publishes it; page returns the last id
// of what it read, "" at the end.
func (r *resealing) pages(ctx context.Context, page func(ctx context.Context, tx *store.Tx, after string) (string, error)) error {
	after := ""
	for {
		next := ""
		before := *r // a change that is not stored is not counted
		touched, err := r.keys.Store.Write(ctx, actor, func(ctx context.Context, tx *store.Tx) error {
			var err error
			next, err = page(ctx, tx, after)
			return err
		})
		if err != nil {
			*r = before
			return err
		}
		if len(touched) > 0 {
			if err := r.keys.Publish(ctx, touched); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		after = next
	}
}

func (r *resealing) connections(ctx context.Context, tx *store.Tx, after string) (string, error) {
	rows, err := tx.SealedConnections(ctx, after, batch)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	for _, row := range rows {
		secrets, one := r.again(&r.secrets, row.SealedSecrets)
		oauth, other := r.again(&r.oauth, row.SealedOauth)
		if !one && !other {
			continue
		}
		if err := tx.SetSealed(ctx, secrets, oauth, row.ID); err != nil {
			return "", err
		}
		tx.Touch(store.ConnectionRef(row.ID, row.Key))
		tx.Audit("reseal", store.NounConnection, row.Key)
	}
	return rows[len(rows)-1].ID, nil
}

func (r *resealing) rules(ctx context.Context, tx *store.Tx, after string) (string, error) {
	rows, err := tx.SealedRules(ctx, after, batch)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	for _, row := range rows {
		if err := r.rule(ctx, tx, row); err != nil {
			return "", err
		}
	}
	return rows[len(rows)-1].ID, nil
}

func (r *resealing) rule(ctx context.Context, tx *store.Tx, row db.SealedRulesRow) error {
	sealed, changed := r.again(&r.masking, row.SealedMaskingConfiguration)
	if !changed {
		return nil
	}
	if err := tx.SetSealedMasking(ctx, sealed, row.ID); err != nil {
		return err
	}
	tx.Audit("reseal", "rule", row.Key)
	return nil
}

// again seals a value again and counts it.
func (r *resealing) again(c *counter, sealed *string) (*string, bool) {
	if sealed == nil {
		return nil, false
	}
	text, changed, err := rotation.Again(r.keys.Ring, keyring.Secret, *sealed)
	switch {
	case err != nil:
		c.Left++
		return sealed, false
	case changed:
		c.Done++
	}
	return &text, changed
}
