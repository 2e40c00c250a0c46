package store

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

func connectionEntry(ctx context.Context, q *db.Queries, head catalog.Entry, id string) (catalog.Connection, error) {
	c, err := q.ConnectionByID(ctx, id)
	if err != nil {
		return catalog.Connection{}, err
	}
	return catalog.Connection{
		Entry: head, ID: c.ID, Key: c.Key, Name: text(c.Name), Type: c.ConnectionType, Disabled: c.Disabled,
		SealedSecrets: text(c.SealedSecrets), SealedOAuth: text(c.SealedOauth),
	}, nil
}

func preApprovalEntry(ctx context.Context, q *db.Queries, head catalog.Entry) (catalog.PreApproval, error) {
	entry := catalog.PreApproval{Entry: head, Webhooks: []record.Webhook{}}
	rows, err := q.PreApprovalWebhooks(ctx)
	if err != nil {
		return entry, err
	}
	ids := make([]string, 0, len(rows))
	for _, w := range rows {
		ids = append(ids, w.ConnectionID)
	}
	connections, err := ConnectionMap(ctx, q, ids)
	for _, w := range rows {
		entry.Webhooks = append(entry.Webhooks, record.Webhook{
			ID: w.ID, Key: w.Key, Name: w.Name, Direction: record.TwoWay,
			ConnectionID: w.ConnectionID, ConnectionKey: connections[w.ConnectionID].Key,
		})
	}
	return entry, err
}

func clientEntry(ctx context.Context, q *db.Queries, head catalog.Entry, id string) (catalog.Client, error) {
	c, err := q.Client(ctx, id)
	if err != nil {
		return catalog.Client{}, err
	}
	return catalog.Client{Entry: head, ID: c.ID, Scopes: c.Scopes, Roles: c.Roles}, nil
}

func (s *Store) settingsEntry(ctx context.Context, q *db.Queries, head catalog.Entry) (catalog.Settings, error) {
	entry := catalog.Settings{Entry: head, RequireManualRequestApproval: s.options.RequireManualApproval}
	if entry.RequireManualRequestApproval == nil {
		var err error
		if entry.RequireManualRequestApproval, err = publishedApproval(ctx, q); err != nil {
			return entry, err
		}
	}
	body, err := q.Settings(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		return entry, nil
	}
	if err != nil {
		return entry, err
	}
	var set struct {
		Execution struct {
			RequireManualRequestApproval *bool `json:"require_manual_request_approval"`
		} `json:"execution"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return entry, err
	}
	if set.Execution.RequireManualRequestApproval != nil {
		entry.RequireManualRequestApproval = set.Execution.RequireManualRequestApproval
	}
	return entry, nil
}

// publishedApproval is what the settings said when they were composed last.
func publishedApproval(ctx context.Context, q *db.Queries) (*bool, error) {
	stored, err := q.Entry(ctx, catalog.KeySettings)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var said catalog.Settings
	err = json.Unmarshal(stored.Body, &said)
	return said.RequireManualRequestApproval, err
}

// ConnectionMap reads connections by their ids.
func ConnectionMap(ctx context.Context, q *db.Queries, ids []string) (map[string]db.Connection, error) {
	rows, err := q.ConnectionsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]db.Connection, len(rows))
	for _, c := range rows {
		byID[c.ID] = c
	}
	return byID, nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func days(n *int32) *int {
	if n == nil {
		return nil
	}
	d := int(*n)
	return &d
}
