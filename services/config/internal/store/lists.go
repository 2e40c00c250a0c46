package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// Kinds of policy webhooks, as the table has them.
const (
	KindPre  = "pre"
	KindPost = "post"
)

// Lists is a policy with all that its entry is made of. The place of a webhook
// in its list is its position.
type Lists struct {
	Policy    db.Policy
	Rules     []record.Rule
	Pre, Post []record.Webhook
	// Others are webhooks of other policies, in the kind that was asked for,
	// that have one of the keys or names that were asked for.
	Others []record.Webhook
}

// Claim is what a change wants to call webhooks of a kind.
type Claim struct {
	Kind        string
	Keys, Names []string
}

// PolicyLists reads a policy with its lists, by one statement.
func PolicyLists(ctx context.Context, q *db.Queries, policyKey string, c Claim) (Lists, error) {
	row, err := q.PolicyWithLists(ctx, db.PolicyWithListsParams{
		PolicyKey: policyKey, Kind: c.Kind, Keys: c.Keys, Names: c.Names,
	})
	if err != nil {
		return Lists{}, err
	}
	l := Lists{
		Policy: db.Policy{
			ID: row.ID, Seq: row.Seq, Key: row.Key, Name: row.Name, DrpAction: row.DrpAction,
			ExecutionTimeframe: row.ExecutionTimeframe, ClientID: row.ClientID,
			CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
		},
		Pre: []record.Webhook{}, Post: []record.Webhook{},
	}
	return l, l.read(row)
}

func (l *Lists) read(row db.PolicyWithListsRow) error {
	var both []struct {
		record.Webhook
		Kind string `json:"kind"`
	}
	for _, part := range []struct {
		text []byte
		into any
	}{{row.Rules, &l.Rules}, {row.Lists, &both}, {row.Others, &l.Others}} {
		if err := json.Unmarshal(part.text, part.into); err != nil {
			return fmt.Errorf("store: lists of a policy: %w", err)
		}
	}
	for _, w := range both {
		list := l.Of(w.Kind)
		*list = append(*list, w.Webhook)
	}
	return nil
}

// Of is the list of a kind.
func (l *Lists) Of(kind string) *[]record.Webhook {
	if kind == KindPost {
		return &l.Post
	}
	return &l.Pre
}

// Replace stores the list of a kind as it is in l, and publishes all of l.
func (tx *Tx) Replace(ctx context.Context, l Lists, kind string) error {
	wanted := db.ReplaceWebhooksParams{PolicyID: l.Policy.ID, Kind: kind, Now: tx.Now}
	for i, w := range *l.Of(kind) {
		wanted.Ids = append(wanted.Ids, w.ID)
		wanted.ConnectionIds = append(wanted.ConnectionIds, w.ConnectionID)
		wanted.Keys = append(wanted.Keys, w.Key)
		wanted.Names = append(wanted.Names, w.Name)
		wanted.Directions = append(wanted.Directions, w.Direction)
		wanted.Positions = append(wanted.Positions, int32(i)) //nolint:gosec // the index of a short list
	}
	ref := PolicyRef(l.Policy.Key)
	ref.lists = &l
	tx.Touch(ref)
	return tx.ReplaceWebhooks(ctx, wanted)
}

// entry is what the other services see of a policy.
func (l Lists) entry(head catalog.Entry) catalog.Policy {
	p := l.Policy
	return catalog.Policy{
		Entry: head,
		Policy: record.Policy{
			ID: p.ID, Name: p.Name, Key: p.Key, DRPAction: p.DrpAction,
			ExecutionTimeframe: days(p.ExecutionTimeframe), ClientID: p.ClientID, Rules: l.Rules,
		},
		Pre: l.Pre, Post: l.Post,
	}
}
