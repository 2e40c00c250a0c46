package rest

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/services/orchestrator/internal/api"
	"github.com/parley-dsr/parley/services/orchestrator/internal/intake"
)

// naming is how the request of an item is called.
type naming struct {
	// ids are one, or, with an Idempotency-Key, one for each key of the keyring,
	// newest first: an earlier attempt may have been made with an older one.
	ids []string
	// fingerprints are, with an Idempotency-Key, keyed hashes of the body, in the
	// same order.
	fingerprints []string
}

// again says whether there may have been another attempt.
func (n naming) again() bool { return len(n.fingerprints) > 0 }

func (n naming) fingerprint() string {
	if !n.again() {
		return ""
	}
	return n.fingerprints[0]
}

// namings derives the names from the key and the client, so that the same key
// names the same requests whoever takes them. A key of somebody without
// credentials belongs to nobody: such a body is part of the name, and one that
// is not the same has nothing to do with it.
func namings(hashes func(string) []string, client, key string, items []intake.Item) ([]naming, error) {
	body, err := json.Marshal(items)
	if err != nil {
		return nil, fmt.Errorf("rest: encode a submission: %w", err)
	}
	scope := client + "\x00" + key
	all := scope + "\x00" + string(body)
	fingerprints := hashes("submission\x00" + all)
	if client == "" {
		scope = all
	}
	names := make([]naming, len(items))
	for i := range items {
		names[i].fingerprints = fingerprints
		for _, hash := range hashes("request\x00" + strconv.Itoa(i) + "\x00" + scope) {
			id, err := derivedID(hash)
			if err != nil {
				return nil, err
			}
			names[i].ids = append(names[i].ids, id)
		}
	}
	return names, nil
}

// derivedID is a request id that looks like any other: a UUID of version 8.
func derivedID(hash string) (string, error) {
	sum, err := hex.DecodeString(hash)
	if err != nil {
		return "", fmt.Errorf("rest: derive an id: %w", err)
	}
	var id uuid.UUID
	copy(id[:], sum)
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return "pri_" + id.String(), nil
}

func errOtherBody() error {
	return edge.UnprocessableText("This Idempotency-Key was used before with another body. A new submission needs a new key.")
}

// createOnce takes a submission that may have been sent before: what is there is
// answered as it was created, and the rest is taken. A body that is not the one
// of the key is refused before anything is taken. Of two that come at the same
// time the first item decides, so the others wait for it.
func (s *Server) createOnce(ctx context.Context, items []intake.Item, requests []intake.Request, key string, now time.Time) (api.RequestBulk, error) {
	names, err := namings(s.Ring.Hashes, edge.PrincipalFrom(ctx).ClientID, key, items)
	if err != nil {
		return api.RequestBulk{}, err
	}
	outcomes := make([]outcome, len(items))
	atOnce(outcomes, func(i int) outcome { return s.known(ctx, requests[i], names[i]) })
	for _, o := range outcomes {
		if o.err != nil {
			return api.RequestBulk{}, o.err
		}
	}
	decided := false
	for i := 0; i < len(items) && !decided; i++ {
		if !outcomes[i].settled() {
			outcomes[i] = s.submit(ctx, requests[i], now, names[i])
		}
		if outcomes[i].err != nil {
			return api.RequestBulk{}, outcomes[i].err
		}
		decided = outcomes[i].request != nil || outcomes[i].unavailable
	}
	atOnce(outcomes, func(i int) outcome {
		if outcomes[i].settled() {
			return outcomes[i]
		}
		return s.submit(ctx, requests[i], now, names[i])
	})
	return gather(outcomes)
}

// known gives the request that an earlier attempt has created, as it was; an
// outcome that is not settled where there is none.
func (s *Server) known(ctx context.Context, r intake.Request, as naming) outcome {
	for _, id := range as.ids {
		entry, err := s.Requests.Get(ctx, id)
		if errors.Is(err, topology.ErrNotFound) {
			continue
		}
		if err != nil {
			return s.unavailable(err, textNotAdded, r.Echo)
		}
		rec, err := record.Decode(entry.Value)
		if err != nil {
			return outcome{err: fmt.Errorf("rest: %s: %w", id, err)}
		}
		if f := rec.Submission.Fingerprint; f != "" && !slices.Contains(as.fingerprints, f) {
			return outcome{err: errOtherBody()}
		}
		return s.asCreated(ctx, rec)
	}
	return outcome{}
}

// taken is known for an item that another attempt has created meanwhile.
func (s *Server) taken(ctx context.Context, r intake.Request, as naming) outcome {
	if there := s.known(ctx, r, as); there.settled() {
		return there
	}
	return failed(textNotAdded, r.Echo) // it has gone again
}

// asCreated shows a request as the answer to its creation did, and tells the
// read model: who should have, may be gone.
func (s *Server) asCreated(ctx context.Context, rec *record.Record) outcome {
	shown, err := s.Show(rec, s.Clock().UTC())
	if err != nil {
		return outcome{err: err}
	}
	if err := s.Apply(ctx, rec, nil); err != nil {
		s.Logger.Debug("a request is answered before it is shown", "request_id", rec.ID, "error", err)
	}
	return created(shown, rec.Submission)
}
