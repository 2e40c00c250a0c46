package eventstest

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// order publishes an execution as the orchestrator does.
func (b *bed) order(t *testing.T, action, request string) events.Execution {
	t.Helper()
	x := events.Execution{
		ExecutionID: request + "_1_execute_" + action + "_1",
		RequestID:   request, Action: action, Run: 1, OrderedAt: time.Now(),
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
	data, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.js.Publish(t.Context(), events.ExecuteSubject(action, request), data); err != nil {
		t.Fatal(err)
	}
	return x
}

// answer answers for identities as the orchestrator does.
func (b *bed) answer(t *testing.T, reply func(q events.IdentityQuestion) events.IdentityAnswer) {
	t.Helper()
	sub, err := b.nc.Subscribe("dsr.ask.identity.*", func(msg *nats.Msg) {
		var q events.IdentityQuestion
		if err := json.Unmarshal(msg.Data, &q); err != nil {
			t.Error(err)
		}
		data, err := json.Marshal(reply(q))
		if err != nil {
			t.Error(err)
		}
		if err := msg.Respond(data); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
}

func known(events.IdentityQuestion) events.IdentityAnswer {
	return events.IdentityAnswer{Person: &events.Person{Identity: map[string]any{"email": "ada@example.com"}}}
}

// execute runs an executor until the test, or stop, ends it.
func (b *bed) execute(t *testing.T, action string, handler func(context.Context, *events.ExecutionTask) error, options ...events.ExecuteOption) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	nc, _ := testbed.Connect(t, b.server.URL())
	go func() { ended <- events.Execute(ctx, nc, action, handler, options...) }()
	stop = func() error {
		cancel()
		select {
		case err := <-ended:
			ended <- err
			return err
		case <-time.After(patience):
			t.Fatal("Execute did not end")
			return nil
		}
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

// outcome waits for a fact of an executor.
func outcome(t *testing.T, sub *subscriber) (events.Event, events.ExecutionData) {
	t.Helper()
	e := sub.next(t)
	var data events.ExecutionData
	if err := e.DataAs(&data); err != nil {
		t.Fatal(err)
	}
	return e, data
}

// settled waits until no work is left.
func (b *bed) settled(t *testing.T) {
	t.Helper()
	err := topology.Await(t.Context(), nil, func(ctx context.Context) error {
		stream, err := b.js.Stream(ctx, events.StreamWork)
		if err != nil {
			return err
		}
		if stream.CachedInfo().State.Msgs > 0 {
			return errors.New("there is work left")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestExecutionCompletes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer(t, known)
	facts := subscribe(t, b.js, events.Subscription{})
	x := b.order(t, events.ActionErasure, "pri_1")
	b.execute(t, events.ActionErasure, func(ctx context.Context, task *events.ExecutionTask) error {
		if task.RequestID != "pri_1" || task.Person.Identity["email"] != "ada@example.com" {
			t.Errorf("task %+v", task.Execution)
		}
		return task.Progress(ctx, "half of it")
	})
	e, data := outcome(t, facts)
	if e.Type() != events.ExecutionProgressed || data.Message != "half of it" || data.ExecutionID != x.ExecutionID {
		t.Errorf("%s", e)
	}
	e, data = outcome(t, facts)
	if e.Type() != events.ExecutionCompleted || data.ExecutionID != x.ExecutionID || data.Action != events.ActionErasure ||
		e.ID() != x.ExecutionID+".completed" || e.Subject() != "pri_1" || e.Source() != events.SourceExecutor ||
		events.TraceParent(e) != x.TraceParent {
		t.Errorf("%s", e)
	}
	b.settled(t)
}

func TestExecutionFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		text string
	}{
		"with a text for the log": {events.Fail("The shop is closed"), "The shop is closed"},
		"with personal data":      {events.Fail("no row for Ada@example.com"), "no row for [withheld]"},
		"with any other error":    {errors.New("no row for ada@example.com"), "The executor reported an error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.answer(t, known)
			facts := subscribe(t, b.js, events.Subscription{})
			x := b.order(t, events.ActionAccess, "pri_1")
			b.execute(t, events.ActionAccess, func(context.Context, *events.ExecutionTask) error { return c.err })
			e, data := outcome(t, facts)
			if e.Type() != events.ExecutionFailed || e.ID() != x.ExecutionID+".failed" || data.Message != c.text {
				t.Errorf("%s", e)
			}
			b.settled(t)
		})
	}
}

func TestExecutionIsTriedAgainWhereAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer(t, known)
	facts := subscribe(t, b.js, events.Subscription{})
	b.order(t, events.ActionAccess, "pri_1")
	var calls atomic.Int32
	b.execute(t, events.ActionAccess, func(context.Context, *events.ExecutionTask) error {
		if calls.Add(1) < 3 {
			return events.Again(10*time.Millisecond, errors.New("busy"))
		}
		return nil
	})
	if e, _ := outcome(t, facts); e.Type() != events.ExecutionCompleted || calls.Load() != 3 {
		t.Errorf("%d calls, %s", calls.Load(), e)
	}
	b.settled(t)
}

func TestExecutionNobodyWaitsForIsDropped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer(t, func(events.IdentityQuestion) events.IdentityAnswer {
		return events.IdentityAnswer{Code: events.IdentityNotAwaited}
	})
	b.order(t, events.ActionConsent, "pri_1")
	b.execute(t, events.ActionConsent, func(context.Context, *events.ExecutionTask) error {
		t.Error("the handler was called")
		return nil
	})
	b.settled(t)
}

func TestExecutionWithoutIdentityFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer(t, func(events.IdentityQuestion) events.IdentityAnswer {
		return events.IdentityAnswer{Code: events.IdentityExpired}
	})
	facts := subscribe(t, b.js, events.Subscription{})
	b.order(t, events.ActionConsent, "pri_1")
	b.execute(t, events.ActionConsent, func(context.Context, *events.ExecutionTask) error {
		t.Error("the handler was called")
		return nil
	})
	if e, data := outcome(t, facts); e.Type() != events.ExecutionFailed || data.Reason != events.ReasonIdentityExpired {
		t.Errorf("%s", e)
	}
	b.settled(t)
}

// The orchestrator is away for a moment: the work waits, and is done.
func TestExecutionWaitsForTheOrchestrator(t *testing.T) {
	t.Parallel()
	b := setup(t)
	asked := make(chan struct{}, 10)
	var unavailable atomic.Bool
	unavailable.Store(true)
	b.answer(t, func(q events.IdentityQuestion) events.IdentityAnswer {
		asked <- struct{}{}
		if unavailable.Load() {
			return events.IdentityAnswer{Code: events.IdentityUnavailable}
		}
		return known(q)
	})
	facts := subscribe(t, b.js, events.Subscription{})
	b.order(t, events.ActionAccess, "pri_1")
	b.execute(t, events.ActionAccess, func(context.Context, *events.ExecutionTask) error { return nil })
	<-asked
	unavailable.Store(false)
	if e, _ := outcome(t, facts); e.Type() != events.ExecutionCompleted {
		t.Errorf("%s", e)
	}
}

// An executor that is stopped gives its work back, and has said nothing of it.
func TestStoppedExecutorGivesWorkBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer(t, known)
	facts := subscribe(t, b.js, events.Subscription{})
	b.order(t, events.ActionAccess, "pri_1")
	begun := make(chan struct{})
	stop := b.execute(t, events.ActionAccess, func(ctx context.Context, _ *events.ExecutionTask) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	<-begun
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	b.execute(t, events.ActionAccess, func(context.Context, *events.ExecutionTask) error { return nil })
	if e, _ := outcome(t, facts); e.Type() != events.ExecutionCompleted {
		t.Errorf("%s", e)
	}
	facts.nothing(t)
}

func TestExecutorsWorkAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer(t, known)
	facts := subscribe(t, b.js, events.Subscription{})
	for _, request := range []string{"pri_1", "pri_2", "pri_3"} {
		b.order(t, events.ActionAccess, request)
	}
	arrived, all := make(chan struct{}, 3), make(chan struct{})
	handler := func(context.Context, *events.ExecutionTask) error {
		arrived <- struct{}{}
		<-all
		return nil
	}
	b.execute(t, events.ActionAccess, handler, events.WithConcurrency(2))
	b.execute(t, events.ActionAccess, handler) // another replica
	for range 3 {
		<-arrived
	}
	close(all)
	for range 3 {
		if e, _ := outcome(t, facts); e.Type() != events.ExecutionCompleted {
			t.Errorf("%s", e)
		}
	}
	b.settled(t)
}

func TestUnreadableWorkIsLeftOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer(t, known)
	if _, err := b.js.Publish(t.Context(), events.ExecuteSubject(events.ActionAccess, "pri_1"), []byte("noise")); err != nil {
		t.Fatal(err)
	}
	b.execute(t, events.ActionAccess, func(context.Context, *events.ExecutionTask) error { return nil })
	b.settled(t)
}

func TestExecuteWaitsForTheStream(t *testing.T) {
	t.Parallel()
	nc, js := testbed.NATS(t)
	reasons := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- events.Execute(ctx, nc, events.ActionAccess, nil, events.WithWaiting(func(r string) { reasons <- r }))
	}()
	if reason := <-reasons; reason != "stream DSR_WORK does not exist yet" {
		t.Errorf("reason %q", reason)
	}
	if err := topology.EnsureOrchestrator(t.Context(), js, topology.Options{}); err != nil {
		t.Fatal(err)
	}
	err := topology.Await(t.Context(), nil, func(ctx context.Context) error {
		_, err := js.Consumer(ctx, events.StreamWork, events.ExecutorConsumer(events.ActionAccess))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	if err := events.Execute(t.Context(), nc, "delete", nil); !errors.Is(err, events.ErrAction) {
		t.Errorf("err = %v", err)
	}
}

// An executor dies without a word: another one takes up what it had begun, as
// soon as the server misses it.
func TestTakeover(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer(t, known)
	facts := subscribe(t, b.js, events.Subscription{})
	b.order(t, events.ActionErasure, "pri_1")
	begun, never := make(chan struct{}, 1), make(chan struct{})
	t.Cleanup(func() { close(never) })
	nc, _ := testbed.Connect(t, b.server.URL())
	go func() {
		_ = events.Execute(context.Background(), nc, events.ActionErasure, func(context.Context, *events.ExecutionTask) error {
			begun <- struct{}{}
			<-never
			return nil
		}, events.WithTakeover(time.Second))
	}()
	<-begun
	nc.Close()
	b.execute(t, events.ActionErasure, func(context.Context, *events.ExecutionTask) error { return nil }, events.WithTakeover(time.Second))
	if e, _ := outcome(t, facts); e.Type() != events.ExecutionCompleted {
		t.Errorf("%s", e)
	}
	b.settled(t)
}
