package floor

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/nats-io/nats.go"
)

// kind is a message that is stored, with the size that it has in a lifecycle
// with one webhook before and one after the execution.
type kind struct {
	name         string
	header, data int // bytes; of the header the ids are part
}

var (
	vault     = kind{"the identity, when the request is submitted", 20, 385}
	touch     = kind{"the identity, when the run begins: its life begins anew", 60, 385}
	command   = kind{"the command to submit", 126, 462}
	record1   = kind{"the record: created, approved, started, first call ordered", 40, 3455}
	settled1  = kind{"the record, its outbox cleared; nobody waits for it", 40, 1636}
	record2   = kind{"the record: first call answered, second ordered", 40, 2738}
	settled2  = kind{"the record, its outbox cleared; nobody waits for it", 40, 1641}
	record3   = kind{"the record: second call made, complete", 40, 1761}
	settled3  = kind{"the record, its outbox cleared; nobody waits for it", 40, 1471}
	created   = kind{"request.created", 422, 1008}
	approved  = kind{"request.approved", 424, 1031}
	started   = kind{"request.started", 422, 1042}
	requested = kind{"webhook.requested, of either call", 426, 405}
	order     = kind{"the order of either call", 68, 505}
	succeeded = kind{"webhook.succeeded, of either call", 520, 410}
	completed = kind{"request.completed", 426, 1126}
)

// stores are the messages that a lifecycle stores, with how often.
func stores() map[string][]counted {
	return map[string][]counted{
		"vault":   {{vault, 1}, {touch, 1}},
		"work":    {{command, 1}, {order, 2}},
		"records": {{record1, 1}, {settled1, 1}, {record2, 1}, {settled2, 1}, {record3, 1}, {settled3, 1}},
		"facts":   {{created, 1}, {approved, 1}, {started, 1}, {requested, 2}, {succeeded, 2}, {completed, 1}},
	}
}

type counted struct {
	kind
	times int
}

// Stored is how many messages a lifecycle stores in all.
func Stored() (n int) {
	for _, kinds := range stores() {
		for _, k := range kinds {
			n += k.times
		}
	}
	return n
}

// What else a lifecycle does at least.
const (
	// Reads of single keys: the policy where the request is submitted and where
	// it starts, the settings and the pre-approval webhooks there, the record
	// at the transition after each of two calls and before each of them, the
	// connection of each call, and the identity for the touch and for each call.
	Reads = 13
	// Acks of what was delivered: a command, two calls, two facts.
	Acks = 5
	// Posts over TLS.
	Posts = 2
)

// Table prints what a lifecycle does at least.
func Table(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) }
	line("stored in\ttimes\tbytes\tmessage")
	for _, where := range []string{"vault", "work", "records", "facts"} {
		for _, k := range stores()[where] {
			line("%s\t%d\t%d\t%s", where, k.times, k.header+k.data, k.name)
		}
	}
	line("all\t%d\t\t", Stored())
	line("")
	line("read\t%d\t\tkeys of the buckets", Reads)
	line("delivered and acknowledged\t%d\t\ta command, two calls, two facts", Acks)
	line("posted over TLS\t%d\t1437\t", Posts)
	return t.Flush()
}

// message makes a message of a kind. Its first byte says of which call it is.
func (k kind) message(subject string, call byte) *nats.Msg {
	msg := &nats.Msg{Subject: subject, Header: nats.Header{}, Data: bytes.Repeat([]byte{' '}, k.data)}
	msg.Data[0] = call
	const name, around, others = "Floor", 4, 60
	if room := k.header - len(name) - around - others; room > 0 {
		msg.Header[name] = []string{filler[:room]}
	}
	return msg
}

// filler stands for headers.
const filler = "................................................................................................................................" +
	"................................................................................................................................" +
	"................................................................................................................................" +
	"................................................................................................................................"
