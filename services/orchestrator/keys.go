package orchestrator

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/rotation"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/rekey"
)

// placeCommands is the name of what waits to be decided.
const placeCommands = "commands that wait"

// KeyUse says what the requests need each key for: sealed values, hashes, and
// reply tokens that are out, which sealedUntil tells by when each key ceased to
// seal. The service may be running.
func KeyUse(ctx context.Context, s Settings, d process.Deps, sealedUntil map[string]time.Time) ([]*rotation.Place, error) {
	v, b, err := visit(ctx, s, d)
	if err != nil {
		return nil, err
	}
	defer v.store.Close()
	places, err := v.rekey(b, sealedUntil).Places(ctx)
	if err != nil {
		return nil, err
	}
	commands, err := waitingCommands(ctx, v.js, sealedUntil)
	return append(places, commands), err
}

// Reseal seals the values of all requests, and of the vault, again with the
// first key of the ring, and makes the hashes of those whose person is known
// anew. The service may be running; it brings the change to the read model.
func Reseal(ctx context.Context, s Settings, d process.Deps) ([]rotation.Resealed, error) {
	v, b, err := visit(ctx, s, d)
	if err != nil {
		return nil, err
	}
	defer v.store.Close()
	return v.rekey(b, nil).Reseal(ctx)
}

func (v *service) rekey(b buckets, sealedUntil map[string]time.Time) *rekey.Requests {
	return &rekey.Requests{
		Bucket: b.requests, Vault: b.vault, Rows: v.store, Ring: v.ring, Clock: v.deps.Clock, SealedUntil: sealedUntil,
	}
}

// waitingCommands looks whether a command is still to be decided that was given
// before a key ceased to seal: it may hold a reason or an external id.
func waitingCommands(ctx context.Context, js jetstream.JetStream, sealedUntil map[string]time.Time) (*rotation.Place, error) {
	place := rotation.NewPlace(placeCommands, rotation.Wait)
	stream, err := topology.AwaitStream(ctx, js, events.StreamWork, nil)
	if err != nil {
		return nil, err
	}
	oldest, err := stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(events.CommandFilter))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return place, nil
	}
	if err != nil {
		return nil, err
	}
	for kid, until := range sealedUntil {
		if oldest.Time.Before(until) {
			place.AddKID(kid, time.Time{})
		}
	}
	return place, nil
}
