package floor

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/topology"
)

// Calls of a lifecycle, as their messages name them.
const pre, post = 'a', 'b'

// Lifecycle plays one from its begin to its end.
func (f *Floor) Lifecycle(ctx context.Context) error {
	id := "pri_" + uuid.NewString()
	if _, err := f.own.read(ctx, bucketConfig, "policy"); err != nil {
		return err
	}
	_, err := f.js.PublishMsg(ctx, vault.message(key(bucketVault, id), pre), jetstream.WithMsgTTL(identityTTL))
	if err != nil {
		return fmt.Errorf("floor: vault: %w", err)
	}
	end := f.ends.begin(id)
	_, err = f.js.PublishMsg(ctx, command.message("floor.work.command."+id, pre), jetstream.WithMsgID(id))
	if err != nil {
		return fmt.Errorf("floor: command: %w", err)
	}
	select {
	case <-end:
		return nil
	case <-f.ends.failed:
		return f.ends.failure()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// submitted takes the command: the request is created and its run begins.
func (f *Floor) submitted(ctx context.Context, msg jetstream.Msg) error {
	id := idOf(msg.Subject())
	for _, name := range []string{"policy", "settings", "preapproval"} {
		if _, err := f.own.read(ctx, bucketConfig, name); err != nil {
			return err
		}
	}
	ack, err := f.js.PublishMsg(ctx, record1.message(key(bucketRecords, id), pre), jetstream.WithExpectLastSequencePerSubject(0))
	if err != nil {
		return err
	}
	known, err := f.own.read(ctx, bucketVault, id)
	if err != nil {
		return err
	}
	_, err = f.js.PublishMsg(ctx, touch.message(key(bucketVault, id), pre),
		jetstream.WithMsgTTL(identityTTL), jetstream.WithExpectLastSequencePerSubject(known))
	if err != nil {
		return err
	}
	facts := []*nats.Msg{
		created.message("floor.event.request.created."+id, pre), approved.message("floor.event.request.approved."+id, pre),
		started.message("floor.event.request.started."+id, pre), requested.message("floor.event.webhook.requested."+id, pre),
	}
	if err := f.publish(ctx, id, "1", facts...); err != nil {
		return err
	}
	if err := f.order(ctx, id, pre); err != nil {
		return err
	}
	return f.settle(settled1, id, ack.Sequence)
}

// answered takes the end of a call: the next one is ordered, or the request is
// complete.
func (f *Floor) answered(ctx context.Context, msg jetstream.Msg) error {
	id, call := idOf(msg.Subject()), msg.Data()[0]
	next, settled := record2, settled2
	if call == post {
		next, settled = record3, settled3
	}
	var revision uint64
	for {
		record, err := f.own.read(ctx, bucketRecords, id)
		if err != nil {
			return err
		}
		ack, err := f.js.PublishMsg(ctx, next.message(key(bucketRecords, id), call), jetstream.WithExpectLastSequencePerSubject(record))
		if topology.IsConflict(err) {
			continue // it was settled meanwhile
		}
		if err != nil {
			return err
		}
		revision = ack.Sequence
		break
	}
	if call == post {
		if err := f.publish(ctx, id, "3", completed.message("floor.event.request.completed."+id, call)); err != nil {
			return err
		}
		return f.settle(settled, id, revision)
	}
	if err := f.publish(ctx, id, "2", requested.message("floor.event.webhook.requested."+id, post)); err != nil {
		return err
	}
	if err := f.order(ctx, id, post); err != nil {
		return err
	}
	return f.settle(settled, id, revision)
}

// order orders a call on one of the lanes, the two of a request on two.
func (f *Floor) order(ctx context.Context, id string, call byte) error {
	lane := connection(f.lane(id, call))
	return f.publish(ctx, id, "order"+string(call), order.message("floor.work.call."+lane+"."+id, call))
}

func (f *Floor) lane(id string, call byte) int {
	sum := fnv.New32a()
	_, _ = io.WriteString(sum, id)
	return int((sum.Sum32() + uint32(call-pre)) % uint32(f.options.Connections)) //nolint:gosec // a small number
}

// call makes a call that was ordered.
func (f *Floor) call(ctx context.Context, msg jetstream.Msg) error {
	id, call := idOf(msg.Subject()), msg.Data()[0]
	lane := connection(f.lane(id, call))
	for _, one := range [][2]string{{bucketRecords, id}, {bucketConfig, lane}, {bucketVault, id}} {
		if _, err := f.theirs.read(ctx, one[0], one[1]); err != nil {
			return err
		}
	}
	if err := f.post(ctx, call); err != nil {
		return err
	}
	fact := succeeded.message("floor.event.webhook.succeeded."+id, call)
	_, err := f.caller.PublishMsg(ctx, fact, jetstream.WithMsgID(id+"."+string(call)))
	return err
}

func (f *Floor) post(ctx context.Context, call byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.options.Receiver, bytes.NewReader(f.body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Webhook-Id", filler[:80])
	if call == pre {
		request.Header.Set("Reply-To-Token", filler[:500])
	}
	answer, err := f.options.Client.Do(request)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.Body.Close()
}

// publish stores messages at the same time, and returns when all are stored.
func (f *Floor) publish(ctx context.Context, id, step string, messages ...*nats.Msg) error {
	acks := make([]jetstream.PubAckFuture, len(messages))
	for i, m := range messages {
		var err error
		if acks[i], err = f.js.PublishMsgAsync(m, jetstream.WithMsgID(fmt.Sprintf("%s.%s.%d", id, step, i))); err != nil {
			return err
		}
	}
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// settle writes the record once more. Nobody waits for it.
func (f *Floor) settle(k kind, id string, revision uint64) error {
	_, err := f.js.PublishMsgAsync(k.message(key(bucketRecords, id), pre), jetstream.WithExpectLastSequencePerSubject(revision))
	return err
}
