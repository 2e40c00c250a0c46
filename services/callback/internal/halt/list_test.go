package halt

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/stored"
	"github.com/parley-dsr/parley/internal/topology"
)

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

// What ends first is first; of what ends together, the call decides.
func TestListIsOrderedByItsEnd(t *testing.T) {
	t.Parallel()
	_, js := testbed.NATS(t)
	b := prepare(t, js)
	now := time.Now()
	for i, left := range []time.Duration{3 * time.Hour, time.Hour, 2 * time.Hour, time.Hour} {
		h := Halt{CallID: record.WebhookCall(requestID, 1, record.Pre, webhookID, i).String(), Until: now.Add(left)}
		value, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.halted.Create(t.Context(), h.CallID, value, left); err != nil {
			t.Fatal(err)
		}
	}
	got, total, err := replica(t, js, nil).Page(t.Context(), 0, 10)
	if err != nil || total != 4 {
		t.Fatalf("%d in all, %v", total, err)
	}
	for at, i := range []int{1, 3, 2, 0} {
		if want := record.WebhookCall(requestID, 1, record.Pre, webhookID, i).String(); got[at].CallID != want {
			t.Errorf("at %d: %s, want %s", at, got[at].CallID, want)
		}
	}
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
