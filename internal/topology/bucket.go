package topology

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bucket is a key-value bucket. A time to live of 0 is none, and one below 0
// is ErrExpired; every write decides anew how long the key lives, and one that
// gives none keeps the key for ever.
type Bucket struct {
	name   string
	js     jetstream.JetStream
	stream jetstream.Stream
}

// Entry is a key with its value.
type Entry struct {
	Key   string
	Value []byte
	// Revision is the sequence of the value in the bucket's stream: what an
	// Update has to name.
	Revision uint64
	Created  time.Time
	// Expires is when the key goes by itself; zero for never, and where the
	// entry came from Keys or Entries, which do not tell.
	Expires time.Time
}

// Left is the rest of the entry's life, as a time to live: 0 for one that
// stays, and below 0 for one whose time is over.
func (e Entry) Left(now time.Time) time.Duration {
	if e.Expires.IsZero() {
		return 0
	}
	if left := e.Expires.Sub(now); left > 0 {
		return left
	}
	return -1
}

// Name of the bucket.
func (b *Bucket) Name() string { return b.name }

// StreamName is the name of the stream that holds the bucket, for consumers.
func (b *Bucket) StreamName() string { return streamOf(b.name) }

// Stream that holds the bucket.
func (b *Bucket) Stream() jetstream.Stream { return b.stream }

// Subject of a key, or of a filter over keys.
func (b *Bucket) Subject(key string) string { return subjectOf(b.name, key) }

// Get reads a key. ErrNotFound where it does not exist, was removed or has
// expired.
func (b *Bucket) Get(ctx context.Context, key string) (Entry, error) {
	e, marker, err := b.last(ctx, key)
	if err != nil {
		return Entry{}, err
	}
	if marker {
		return Entry{}, ErrNotFound
	}
	return e, nil
}

// Create writes a key that does not exist, was removed or has expired.
// ErrConflict where it exists.
func (b *Bucket) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error) {
	revision, err := b.Update(ctx, key, value, 0, ttl)
	if !errors.Is(err, ErrConflict) {
		return revision, err
	}
	e, marker, getErr := b.last(ctx, key)
	switch {
	case errors.Is(getErr, ErrNotFound):
		return 0, err // the key went while we looked: a conflict all the same
	case getErr != nil:
		return 0, getErr
	case !marker:
		return 0, err
	}
	return b.Update(ctx, key, value, e.Revision, ttl)
}

// Update writes a key whose revision is the given one; 0 is a key that has
// none. ErrConflict where it has another.
func (b *Bucket) Update(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error) {
	msg, options, err := b.write(key, value, ttl)
	if err != nil {
		return 0, err
	}
	return b.publish(ctx, msg, append(options, jetstream.WithExpectLastSequencePerSubject(revision))...)
}

// UpdateAsync is Update without the wait. The future's error may be a
// conflict; see IsConflict.
func (b *Bucket) UpdateAsync(key string, value []byte, revision uint64, ttl time.Duration) (jetstream.PubAckFuture, error) {
	msg, options, err := b.write(key, value, ttl)
	if err != nil {
		return nil, err
	}
	return b.js.PublishMsgAsync(msg, append(options, jetstream.WithExpectLastSequencePerSubject(revision))...)
}

// Put writes a key whatever it had before.
func (b *Bucket) Put(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error) {
	msg, options, err := b.write(key, value, ttl)
	if err != nil {
		return 0, err
	}
	return b.publish(ctx, msg, options...)
}

// Remove takes a key away; one that does not exist is as good as removed. The
// trace that it leaves goes after RemovedTTL.
func (b *Bucket) Remove(ctx context.Context, key string) error {
	if _, err := b.Get(ctx, key); errors.Is(err, ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	msg := nats.NewMsg(b.Subject(key))
	msg.Header.Set(HeaderOperation, operationPurge)
	msg.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	var options []jetstream.PublishOpt
	if b.stream.CachedInfo().Config.AllowMsgTTL {
		options = append(options, jetstream.WithMsgTTL(RemovedTTL))
	}
	_, err := b.publish(ctx, msg, options...)
	return err
}

// IsConflict says whether a write failed because the key has another revision
// than the one that was expected.
func IsConflict(err error) bool {
	if errors.Is(err, ErrConflict) {
		return true
	}
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
			// what a stream with more than one replica says
			api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// last reads the last message of a key and says whether it is a marker.
func (b *Bucket) last(ctx context.Context, key string) (e Entry, marker bool, err error) {
	if !validKey(key) {
		return Entry{}, false, ErrKey
	}
	msg, err := b.stream.GetLastMsgForSubject(ctx, b.Subject(key))
	if errors.Is(err, nats.ErrNoResponders) {
		// The owner may have changed, since we bound, who answers reads.
		if _, err = b.stream.Info(ctx); err == nil {
			msg, err = b.stream.GetLastMsgForSubject(ctx, b.Subject(key))
		}
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Entry{}, false, ErrNotFound
	}
	if err != nil {
		return Entry{}, false, fmt.Errorf("topology: get from %s: %w", b.name, err)
	}
	e = Entry{Key: key, Value: msg.Data, Revision: msg.Sequence, Created: msg.Time, Expires: expiry(msg)}
	return e, IsMarker(msg.Header), nil
}

func (b *Bucket) write(key string, value []byte, ttl time.Duration) (*nats.Msg, []jetstream.PublishOpt, error) {
	if !validKey(key) {
		return nil, nil, ErrKey
	}
	if ttl < 0 {
		return nil, nil, ErrExpired
	}
	msg := &nats.Msg{Subject: b.Subject(key), Header: nats.Header{}, Data: value}
	options := make([]jetstream.PublishOpt, 0, 2)
	if ttl > 0 {
		options = append(options, jetstream.WithMsgTTL(wholeSeconds(ttl)))
	}
	return msg, options, nil
}

func (b *Bucket) publish(ctx context.Context, msg *nats.Msg, options ...jetstream.PublishOpt) (uint64, error) {
	ack, err := b.js.PublishMsg(ctx, msg, options...)
	if IsConflict(err) {
		return 0, ErrConflict
	}
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum) {
		return 0, ErrTooLarge
	}
	if err != nil {
		return 0, fmt.Errorf("topology: write to %s: %w", b.name, err)
	}
	return ack.Sequence, nil
}

// expiry is when a message goes by its own time to live.
func expiry(msg *jetstream.RawStreamMsg) time.Time {
	text := msg.Header.Get(jetstream.MsgTTLHeader)
	ttl, err := time.ParseDuration(text)
	if seconds, plain := strconv.ParseInt(text, 10, 64); plain == nil {
		ttl, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || ttl <= 0 {
		return time.Time{} // none, or "never"
	}
	return msg.Time.Add(ttl)
}

// wholeSeconds rounds up: the server counts in seconds, and a key must not go
// before its time.
func wholeSeconds(ttl time.Duration) time.Duration {
	whole := ttl.Truncate(time.Second)
	if whole < ttl && ttl <= math.MaxInt64-time.Second {
		whole += time.Second
	}
	return whole
}

// validKey takes what the buckets use: tokens of letters, digits and a few
// signs, joined by dots. Wildcards would read or write somebody else's key.
func validKey(key string) bool {
	if key == "" || key[0] == '.' || key[len(key)-1] == '.' || strings.Contains(key, "..") {
		return false
	}
	for i := range len(key) {
		switch c := key[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '.', c == '-', c == '_', c == '/', c == '=':
		default:
			return false
		}
	}
	return true
}
