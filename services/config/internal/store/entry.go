package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// Nouns of what is published.
const (
	NounConnection  = "connection"
	NounPolicy      = "policy"
	NounPreApproval = "preapproval"
	NounClient      = "client"
	NounSettings    = "settings"
)

// Ref names something that has an entry in the bucket.
type Ref struct {
	Noun string
	// Key is what users call it; facts name it so.
	Key string
	// id by which the row is found, where the key is not enough.
	id string
	// lists are what the change has made of a policy; nil where they have to be
	// read.
	lists *Lists
}

// ConnectionRef names a connection.
func ConnectionRef(id, key string) Ref { return Ref{Noun: NounConnection, Key: key, id: id} }

// PolicyRef names a policy.
func PolicyRef(key string) Ref { return Ref{Noun: NounPolicy, Key: key} }

// ClientRef names an API client.
func ClientRef(id string) Ref { return Ref{Noun: NounClient, Key: id, id: id} }

// PreApprovalRef names the pre-approval webhooks, all together.
func PreApprovalRef() Ref { return Ref{Noun: NounPreApproval, Key: catalog.KeyPreApproval} }

// SettingsRef names the runtime settings.
func SettingsRef() Ref { return Ref{Noun: NounSettings, Key: catalog.KeySettings} }

// entryKey is the key in the bucket.
func (r Ref) entryKey() string {
	switch r.Noun {
	case NounConnection:
		return catalog.ConnectionKey(r.id)
	case NounPolicy:
		return catalog.PolicyKey(r.Key)
	case NounClient:
		return catalog.ClientKey(r.id)
	case NounPreApproval:
		return catalog.KeyPreApproval
	default:
		return catalog.KeySettings
	}
}

// eventType is the type of the fact that tells of a change.
func (r Ref) eventType() string {
	switch r.Noun {
	case NounConnection:
		return events.ConfigConnectionChanged
	case NounPolicy:
		return events.ConfigPolicyChanged
	case NounClient:
		return events.ConfigClientChanged
	case NounPreApproval:
		return events.ConfigPreApprovalChanged
	default:
		return events.ConfigSettingsChanged
	}
}

// compose writes the entries and facts of everything that the change touched,
// and the audit.
func (s *Store) compose(ctx context.Context, tx *Tx) ([]db.Entry, error) {
	for i, ref := range tx.touched {
		if at := slices.IndexFunc(tx.touched[:i], func(r Ref) bool { return r.entryKey() == ref.entryKey() }); at >= 0 {
			tx.touched[at].lists = nil // changed again since
		}
	}
	for i, ref := range tx.touched {
		if slices.ContainsFunc(tx.touched[:i], func(r Ref) bool { return r.entryKey() == ref.entryKey() }) {
			continue
		}
		if err := s.putEntry(ctx, tx, ref); err != nil {
			return nil, err
		}
	}
	return tx.outbox.entries, tx.flush(ctx)
}

func (s *Store) putEntry(ctx context.Context, tx *Tx, ref Ref) error {
	version, err := tx.version(ctx)
	if err != nil {
		return err
	}
	body, deleted, err := s.entry(ctx, tx.Queries, ref, version)
	if err != nil {
		return err
	}
	if tx.MaxEntry > 0 && len(body) > tx.MaxEntry {
		return &TooLargeError{Noun: ref.Noun, Key: ref.Key, Size: len(body), Limit: tx.MaxEntry}
	}
	tx.outbox.put(db.Entry{Key: ref.entryKey(), Version: version, Deleted: deleted, Body: body})
	tx.outbox.tell(db.Fact{
		ID: "cfg_" + uuid.NewString(), Type: ref.eventType(), Noun: ref.Noun, Key: ref.Key, Version: version, Deleted: deleted,
	})
	return nil
}

// entry makes the body of an entry from the rows as the transaction sees them.
// A row that is not there makes an entry that says so.
func (s *Store) entry(ctx context.Context, q *db.Queries, ref Ref, version int64) (body []byte, deleted bool, err error) {
	head := catalog.Entry{Version: version}
	var value any
	switch ref.Noun {
	case NounConnection:
		value, err = connectionEntry(ctx, q, head, ref.id)
	case NounPolicy:
		value, err = policyEntry(ctx, q, head, ref)
	case NounClient:
		value, err = clientEntry(ctx, q, head, ref.id)
	case NounPreApproval:
		value, err = preApprovalEntry(ctx, q, head)
	case NounSettings:
		value, err = s.settingsEntry(ctx, q, head)
	default:
		return nil, false, fmt.Errorf("store: no entry for %q", ref.Noun)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		head.Deleted = true
		value, deleted, err = head, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	body, err = json.Marshal(value)
	return body, deleted, err
}

func policyEntry(ctx context.Context, q *db.Queries, head catalog.Entry, ref Ref) (catalog.Policy, error) {
	if ref.lists != nil {
		return ref.lists.entry(head), nil
	}
	lists, err := PolicyLists(ctx, q, ref.Key, Claim{})
	return lists.entry(head), err
}

// current says whether the stored entry is what the rows say.
func (s *Store) current(ctx context.Context, q *db.Queries, ref Ref) (bool, error) {
	stored, err := q.Entry(ctx, ref.entryKey())
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	body, _, err := s.entry(ctx, q, ref, stored.Version)
	return bytes.Equal(body, stored.Body), err
}
