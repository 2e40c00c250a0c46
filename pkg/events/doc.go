// Package events is how a program takes part in the life of privacy requests:
// it has the facts that Parley's services publish, and the work of executors.
//
// A fact says what happened: a request was created, a webhook halted it, an
// execution was completed. It is a CloudEvent (version 1.0) in the NATS stream
// DSR_EVENTS, under dsr.event.<noun>.<verb>.<request id>, and its data is one
// of the …Data types. Facts carry no personal data.
//
// # What Subscribe promises
//
// Order: facts come in the order of the stream, one at a time, over all
// subscribers that share a durable name. A fact whose handler failed comes
// again after a pause, and the later ones wait for it.
//
// At least once: a fact is done with when its handler has returned nil. If the
// process dies in between it comes again. Repeats that this process has seen,
// known by the id of the event among the last 16 000 or more, are dropped;
// others are for the handler to bear. Facts of the orchestrator about one
// request are numbered (RequestData.Sequence, and of webhook.requested
// WebhookData.Sequence), which tells a repeat from a new one.
//
// Patience: a stream that does not exist yet, a server that is away or restarts
// end nothing. Subscribe tells Subscription.Waiting and goes on where it was.
//
// # Gaps
//
// Facts are kept for a time that the operator sets. A durable subscription that
// was away for longer has missed some, and must know. One to all facts finds out
// in three ways, and says so with a GapError:
//
//   - when it begins, the oldest fact of the stream is younger than the one
//     after the last that was handled;
//   - while it runs, a fact stands further on in the stream than the next one,
//     and no other subscriber of the durable can have had those between;
//   - the numbers of a request that this process has seen jump.
//
// For the first, subscribers write the last handled sequence into the metadata
// of their durable consumer, some seconds late at most. A subscriber that was
// killed may therefore be told of a gap that begins with a few facts that it
// had handled; a gap is never left out. With a gap accepted by
// Subscription.OnGap the facts after it follow; without OnGap, Subscribe ends
// with the GapError, now and after every restart, until it has one or the
// durable is made anew. A subscription to some types knows no gaps: what it does
// not see may be of other types.
//
// # Executors
//
// Execute hands out the access, erasure and consent executions that the
// orchestrator orders when it runs with external execution, with the identity
// of the person.
package events
