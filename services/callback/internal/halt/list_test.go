package halt

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/stored"
	"github.com/parley-dsr/parley/internal/topology"
)

// readAll is what the list has to be: all that the bucket holds, in order.
func readAll(ctx context.Context, bucket *topology.Bucket) ([]Halt, error) {
	halts := []Halt{}
	for entry, err := range bucket.Entries(ctx, ">") {
		if err != nil {
			return nil, err
		}
		var h Halt
		if err := stored.Decode(entry.Value, &h); err != nil {
			return nil, err
		}
		h.Trace = "" // the list does not give it
		halts = append(halts, h)
	}
	slices.SortFunc(halts, func(a, b Halt) int {
		return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.CallID, b.CallID))
	})
	return halts, nil
}

// example is one of many halts; several end at the same time.
func example(n int) Halt {
	request := fmt.Sprintf("pri_6f0c0000-0000-4000-8000-%012d", n)
	since := time.Date(2026, 5, 1, 8, 0, n%7, 250_000_000, time.UTC)
	return Halt{
		CallID: record.WebhookCall(request, 1, record.Pre, webhookID, n%3).String(), RequestID: request,
		WebhookID: webhookID, WebhookKey: fmt.Sprint("key", n%5), WebhookName: "Prep",
		Since: since, Until: since.Add(time.Hour), Trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
}

func encoded(t testing.TB, h Halt) []byte {
	t.Helper()
	value, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func put(t testing.TB, bucket *topology.Bucket, h Halt, ttl time.Duration) {
	t.Helper()
	if _, err := bucket.Put(t.Context(), h.CallID, encoded(t, h), ttl); err != nil {
		t.Fatal(err)
	}
}

// replica gives a list over a connection.
func replica(t testing.TB, js jetstream.JetStream, change func(*List)) *List {
	t.Helper()
	b, err := topology.AwaitBucket(t.Context(), js, topology.BucketHalted, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := NewList(js, b, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if change != nil {
		change(l)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l
}

// check compares the pages of a list, of a size, with what the bucket holds.
func check(t *testing.T, l *List, bucket *topology.Bucket, size int) {
	t.Helper()
	want, err := readAll(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	got := []Halt{}
	for {
		page, total, err := l.Page(t.Context(), len(got), size)
		if err != nil {
			t.Fatal(err)
		}
		if total != len(want) || len(page) > size {
			t.Fatalf("a page of %d, %d in all, want %d", len(page), total, len(want))
		}
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

// Halts come and go while two replicas are asked, in turns and each at once
// after a change: what they answer is what the bucket holds.
func TestListIsWhatTheBucketHolds(t *testing.T) {
	t.Parallel()
	server := testbed.NATSServer(t)
	_, js := testbed.Connect(t, server.URL())
	if err := topology.EnsureCallback(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	halted := bucket(t, js, topology.BucketHalted)
	var replicas []*List
	for range 2 {
		_, other := testbed.Connect(t, server.URL())
		replicas = append(replicas, replica(t, other, nil))
	}
	check(t, replicas[0], halted, 3) // nothing
	random := rand.New(rand.NewPCG(1, 2))
	for step := range 120 {
		h := example(random.IntN(40))
		switch random.IntN(4) {
		case 0, 1:
			put(t, halted, h, time.Hour)
		case 2: // the same call with another end
			h.Until = h.Until.Add(time.Duration(random.IntN(5)) * time.Second)
			put(t, halted, h, time.Hour)
		case 3:
			if err := halted.Remove(t.Context(), h.CallID); err != nil {
				t.Fatal(err)
			}
		}
		check(t, replicas[step%2], halted, 1+random.IntN(20))
	}
	last := example(1000)
	put(t, halted, last, time.Second)
	check(t, replicas[0], halted, 50)
	for gone := false; !gone; { // its time is over
		_, err := halted.Get(t.Context(), last.CallID)
		if gone = errors.Is(err, topology.ErrNotFound); err != nil && !gone {
			t.Fatal(err)
		}
	}
	check(t, replicas[0], halted, 50)
	check(t, replicas[1], halted, 50)
}

// What cannot be read is told, as long as it is there.
func TestListOfWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	b := prepare(t, js)
	l := replica(t, js, nil)
	put(t, b.halted, example(1), time.Hour)
	if _, err := b.halted.Put(t.Context(), "torn", []byte(`{"call_id":`), time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Page(t.Context(), 0, 10); !errors.Is(err, stored.ErrUnreadable) || !strings.Contains(err.Error(), "torn") {
		t.Fatalf("torn: %v", err)
	}
	if err := b.halted.Remove(t.Context(), "torn"); err != nil {
		t.Fatal(err)
	}
	check(t, l, b.halted, 10)
}

// Nothing is kept for a list that nobody asks for.
func TestListIsNotKept(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	b := prepare(t, js)
	l := replica(t, js, func(l *List) { l.unasked = time.Millisecond })
	for n := range 3 {
		put(t, b.halted, example(n), time.Hour)
		check(t, l, b.halted, 10)
		for {
			info, err := b.halted.Stream().Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if info.State.Consumers == 0 {
				break
			}
		}
	}
}

// A bucket that does not come to where it was when somebody asked is not waited
// for without end, and who asks then is answered.
func TestListThatIsBehind(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	b := prepare(t, js)
	put(t, b.halted, example(1), time.Hour)
	l := replica(t, js, func(l *List) { l.silent = 100 * time.Millisecond })
	now, err := l.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	question := func(sequence uint64) answer {
		got := make(chan answer, 1)
		l.asks <- ask{tip: tip{origin: now.origin, sequence: sequence}, size: 1, answer: got}
		return receive(t, got)
	}
	until := func(sequence uint64) { // a busy machine may need more than one reading
		for {
			a := question(sequence)
			if a.err == nil && a.total == 1 {
				return
			}
			if !errors.Is(a.err, errSilent) {
				t.Fatalf("at %d: %+v", sequence, a)
			}
		}
	}
	until(now.sequence)
	if a := question(now.sequence + 100); !errors.Is(a.err, errSilent) {
		t.Fatalf("behind: %+v", a)
	}
	until(now.sequence + 100) // read anew, from where the stream is said to be
}

// A store that comes back older, and a stream that is made anew, are seen at
// the next question.
func TestListOfAStoreThatWentBack(t *testing.T) {
	t.Parallel()
	dir, older := t.TempDir(), filepath.Join(t.TempDir(), "older")
	server := testbed.StartNATS(t, embedded.NATSOptions{Dir: dir})
	addr := strings.TrimPrefix(server.URL(), "nats://")
	restart := func(from string) {
		if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(from))); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		server = testbed.StartNATS(t, embedded.NATSOptions{Dir: dir, Addr: addr})
	}
	_, js := testbed.Connect(t, server.URL())
	b := prepare(t, js)
	l := replica(t, js, nil)
	for n := range 5 {
		put(t, b.halted, example(n), time.Hour)
	}
	check(t, l, b.halted, 10)
	server.Close()
	if err := os.CopyFS(older, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	restart(older)
	put(t, b.halted, example(5), time.Hour)
	check(t, l, b.halted, 10)
	server.Close()
	restart(older)
	put(t, b.halted, example(6), time.Hour) // under the sequence that example(5) had
	put(t, b.halted, example(7), time.Hour)
	check(t, l, b.halted, 10)
	if err := js.DeleteStream(t.Context(), b.halted.StreamName()); err != nil {
		t.Fatal(err)
	}
	if err := topology.EnsureCallback(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	for n := range 12 {
		put(t, b.halted, example(10+n), time.Hour)
	}
	check(t, l, b.halted, 10)
}

// BenchmarkPage is a page out of the middle of many halts: read from the whole
// bucket, from the index, and from the index with a halt that came before.
func BenchmarkPage(b *testing.B) {
	const halts, offset, size = 100_000, 50_000, 100
	_, js := testbed.NATS(b)
	if err := topology.EnsureCallback(b.Context(), js, topology.Options{}); err != nil {
		b.Fatal(err)
	}
	l := replica(b, js, nil)
	for n := range halts {
		h := example(n)
		if _, err := l.halted.UpdateAsync(h.CallID, encoded(b, h), 0, time.Hour); err != nil {
			b.Fatal(err)
		}
		if n%1000 == 0 {
			<-js.PublishAsyncComplete()
		}
	}
	<-js.PublishAsyncComplete()
	page := func(b *testing.B) {
		got, total, err := l.Page(b.Context(), offset, size)
		if err != nil || len(got) != size || total < halts {
			b.Fatal(len(got), total, err)
		}
	}
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			if all, err := readAll(b.Context(), l.halted); err != nil || len(all) < halts {
				b.Fatal(len(all), err)
			}
		}
	})
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			page(b)
			b.StopTimer()
			l.asks <- ask{tip: tip{sequence: 1 << 60}, answer: make(chan answer, 1)} // of another origin: the next is read anew
			b.StartTimer()
		}
	})
	b.Run("next", func(b *testing.B) {
		page(b)
		for b.Loop() {
			page(b)
		}
	})
	b.Run("next after a halt", func(b *testing.B) {
		n := halts
		for b.Loop() {
			b.StopTimer()
			put(b, l.halted, example(n), time.Hour)
			n++
			b.StartTimer()
			page(b)
		}
	})
}
