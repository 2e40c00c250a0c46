package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Actions that executors are asked for.
const (
	ActionAccess  = "access"
	ActionErasure = "erasure"
	ActionConsent = "consent"
)

// ExecutorConsumer is the durable consumer that the executors of an action
// share.
func ExecutorConsumer(action string) string { return "executor-" + action }

// ExecuteOption changes how Execute works.
type ExecuteOption func(*executor)

// WithConcurrency has up to n executions at work at once in this process. The
// default is 1.
func WithConcurrency(n int) ExecuteOption { return func(x *executor) { x.concurrency = max(n, 1) } }

// WithWaiting has f told, again and again, why no work can be had.
func WithWaiting(f func(reason string)) ExecuteOption { return func(x *executor) { x.waiting = f } }

// WithExecuteLogger has the logger told of work that could not be settled.
func WithExecuteLogger(l *slog.Logger) ExecuteOption { return func(x *executor) { x.logger = l } }

// WithTakeover sets how long after the loss of an executor another one gets the
// execution that it had. The default is 30 s; a handler may take longer. The
// executors of an action share the setting, and whoever binds last decides.
func WithTakeover(after time.Duration) ExecuteOption {
	return func(x *executor) { x.ackWait = max(after, time.Second) }
}

// Execute takes part as an executor: it hands the executions of an action to
// the handler until ctx ends, and tells the orchestrator how they ended. Several
// executors of an action share the work.
//
// A handler that returns nil has completed the execution. One that returns an
// error has failed it, and the request goes to error, from where a person may
// retry it; only the text given to Fail is passed on, since any other may hold
// personal data. Again asks for the same execution later. When ctx ends,
// handlers get an ended context, and what they leave is done by another
// executor, or later.
//
// An execution may be handed out twice, if an executor dies or the server
// restarts: handlers must bear it. The error is that of ctx, ErrAction, or
// nats.ErrConnectionClosed.
func Execute(ctx context.Context, nc *nats.Conn, action string, handler func(ctx context.Context, task *ExecutionTask) error, options ...ExecuteOption) error {
	if !slices.Contains([]string{ActionAccess, ActionErasure, ActionConsent}, action) {
		return fmt.Errorf("%w: %q", ErrAction, action)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	x := &executor{
		nc: nc, js: js, action: action, handle: handler,
		concurrency: 1,
		ackWait:     executeAckWait,
		waiting:     func(string) {},
		logger:      slog.New(slog.DiscardHandler),
	}
	for _, option := range options {
		option(x)
	}
	return x.run(ctx)
}

const executeAckWait = 30 * time.Second

type executor struct {
	nc          *nats.Conn
	js          jetstream.JetStream
	action      string
	handle      func(ctx context.Context, task *ExecutionTask) error
	concurrency int
	ackWait     time.Duration
	waiting     func(reason string)
	logger      *slog.Logger
}

// run has the workers at work until ctx ends or the connection is closed.
func (x *executor) run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range x.concurrency {
		workers.Go(func() { x.worker(ctx) })
	}
	workers.Wait()
	if ctx.Err() == nil {
		return nats.ErrConnectionClosed
	}
	_ = x.nc.FlushTimeout(2 * time.Second) // what was given back is on its way
	return context.Cause(ctx)
}

// worker takes work; where none can be had it tries again, ever more slowly.
func (x *executor) worker(ctx context.Context) {
	const first, longest = 100 * time.Millisecond, 5 * time.Second
	for pause := first; ; pause = min(2*pause, longest) {
		began := time.Now()
		err := x.session(ctx)
		if ctx.Err() != nil || x.nc.IsClosed() {
			return
		}
		x.waiting(waitingReason(err))
		if time.Since(began) > longest {
			pause = first
		}
		if sleep(ctx, pause) != nil {
			return
		}
	}
}

// session takes one execution after the other until something breaks. None is
// fetched ahead: it would wait, unseen by the other executors, for as long as
// the one before it takes.
func (x *executor) session(ctx context.Context) error {
	consumer, err := x.bind(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("stream %s does not exist yet", StreamWork)
	}
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(1),
		jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return err
	}
	defer giveUp(messages)
	for ctx.Err() == nil {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		x.settle(ctx, msg)
	}
	return ctx.Err()
}

func (x *executor) bind(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return x.js.CreateOrUpdateConsumer(ctx, StreamWork, jetstream.ConsumerConfig{
		Durable:       ExecutorConsumer(x.action),
		FilterSubject: ExecuteFilter(x.action),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       x.ackWait,
		MaxDeliver:    -1,
	})
}

// settle does one execution and tells the server what became of the message.
func (x *executor) settle(ctx context.Context, msg jetstream.Msg) {
	stop := keepAlive(msg, x.ackWait/3)
	defer stop()
	var order Execution
	if err := json.Unmarshal(msg.Data(), &order); err != nil || order.ExecutionID == "" || !ValidToken(order.RequestID) {
		// The request does not wait for ever: its execution has a deadline.
		x.logger.Error("an execution could not be read and is left out", "action", x.action)
		_ = msg.TermWithReason("not an execution")
		return
	}
	err := x.execute(ctx, msg, order)
	if err == nil {
		_ = msg.Ack() // a lost one brings the execution again, which nobody then waits for
		return
	}
	if ctx.Err() != nil {
		_ = msg.Nak()
		return
	}
	pause := doubling(deliveries(msg))
	var again *againError
	if errors.As(err, &again) && again.after > 0 {
		pause = again.after
	}
	_ = msg.NakWithDelay(pause)
}

// execute fetches the person, runs the handler and publishes how it ended. A nil
// error means that the work is done with, for better or worse.
func (x *executor) execute(ctx context.Context, msg jetstream.Msg, order Execution) error {
	log := x.logger.With("execution_id", order.ExecutionID, "request_id", order.RequestID)
	answer, err := x.ask(ctx, order)
	if err != nil {
		log.Warn("the identity could not be asked for", "error", err)
		return err
	}
	switch answer.Code {
	case "":
	case IdentityNotAwaited:
		log.Info("nobody waits for the execution any more")
		return nil
	case IdentityExpired:
		return x.publish(ctx, order, ExecutionFailed, ".failed", ExecutionData{
			Message: "The identity has expired", Reason: ReasonIdentityExpired,
		})
	default:
		return fmt.Errorf("%w: %s", errIdentity, answer.Code)
	}
	if answer.Person == nil {
		return errIdentity
	}
	task := &ExecutionTask{Execution: order, Person: *answer.Person, executor: x, delivery: deliveries(msg)}
	err = x.handle(ctx, task)
	if ctx.Err() != nil && err != nil {
		return err // it was interrupted, which says nothing about the execution
	}
	var again *againError
	if errors.As(err, &again) {
		return err
	}
	if err == nil {
		err = x.publish(ctx, order, ExecutionCompleted, ".completed", ExecutionData{})
	} else {
		err = x.publish(ctx, order, ExecutionFailed, ".failed", ExecutionData{Message: task.Person.withhold(failureText(err))})
	}
	if err != nil {
		log.Warn("the end of an execution could not be published", "error", err)
	}
	return err
}

var errIdentity = errors.New("events: the identity cannot be had now")

func (x *executor) ask(ctx context.Context, order Execution) (IdentityAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	question, err := json.Marshal(IdentityQuestion{ExecutionID: order.ExecutionID})
	if err != nil {
		return IdentityAnswer{}, err
	}
	reply, err := x.nc.RequestWithContext(ctx, IdentitySubject(order.RequestID), question)
	if err != nil {
		return IdentityAnswer{}, err
	}
	var answer IdentityAnswer
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return IdentityAnswer{}, errIdentity // the decoder's text would quote the answer
	}
	return answer, nil
}

// publish tells the end or the progress of an execution. The end is published
// also when ctx has ended: the handler is done, and its work is not to be done
// again.
func (x *executor) publish(ctx context.Context, order Execution, eventType, suffix string, data ExecutionData) error {
	data.ExecutionID, data.Action = order.ExecutionID, order.Action
	e, err := New(SourceExecutor, eventType, order.ExecutionID+suffix, order.RequestID, time.Now(), data)
	if err != nil {
		return err
	}
	SetTraceParent(&e, order.TraceParent)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return Publish(ctx, x.js, e)
}

func deliveries(msg jetstream.Msg) int {
	meta, err := msg.Metadata()
	if err != nil {
		return 1
	}
	return int(min(meta.NumDelivered, 1<<20))
}
