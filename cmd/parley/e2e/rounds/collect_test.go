//go:build faults

package rounds

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/cmd/parley/internal/invariants"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// slack is how late a call may come that was on its way when its request ended.
const slack = 5 * time.Second

// collect gathers all that can be known of the round.
func (rd *round) collect(ctx context.Context) (c invariants.Collected, err error) {
	rd.book.mu.Lock()
	c.Calls = append(c.Calls, rd.book.calls...)
	rd.book.mu.Unlock()
	c.Promises, c.Submitted, c.Resumed = rd.promises, rd.submitted, rd.resumed
	c.Faults, c.Slack, c.MayFail = rd.faults, slack, []string{events.ReasonHaltExpired}
	steps := []func() error{
		func() (err error) { c.Facts, err = rd.facts(ctx); return err },
		func() (err error) { c.Records, err = rd.records(ctx); return err },
		func() (err error) { c.Shown, err = rd.shown(ctx); return err },
		func() (err error) { c.Stored, err = rd.stored(ctx); return err },
		func() (err error) { c.Work, err = rd.work(ctx); return err },
		func() (err error) { c.Halts, err = rd.halts(ctx); return err },
		func() (err error) { _, c.Unread, err = rd.progress(ctx); return err },
		func() (err error) { c.Personal, err = rd.search(ctx); return err },
	}
	var problems []error
	for _, step := range steps {
		problems = append(problems, step())
	}
	return c, errors.Join(problems...)
}

// facts reads all facts about requests, in stream order.
func (rd *round) facts(ctx context.Context) (all []invariants.Fact, err error) {
	err = rd.messages(ctx, events.StreamEvents, func(m jetstream.Msg) error {
		e, err := events.Decode(m.Headers(), m.Data())
		if err != nil {
			return err
		}
		if e.Source() == events.SourceConfig {
			return nil
		}
		f, err := factOf(e)
		all = append(all, f)
		return err
	})
	return all, err
}

func factOf(e events.Event) (invariants.Fact, error) {
	var data struct {
		Sequence  uint64     `json:"sequence"`
		Status    string     `json:"status"`
		Reason    string     `json:"reason"`
		CallID    string     `json:"call_id"`
		ResendOf  string     `json:"resend_of"`
		StagedKey string     `json:"staged_key"`
		Until     *time.Time `json:"until"`
	}
	err := e.DataAs(&data)
	f := invariants.Fact{
		Name: strings.TrimSuffix(strings.TrimPrefix(e.Type(), "dev.parley."), ".v1"), ID: e.ID(), RequestID: e.Subject(),
		At: e.Time(), Number: data.Sequence, Status: record.Status(data.Status), Reason: data.Reason, CallID: data.CallID,
		ResendOf: data.ResendOf, Staged: data.StagedKey != "",
	}
	if data.Until != nil {
		f.Until = *data.Until
	}
	return f, err
}

// messages hands over every message of a stream.
func (rd *round) messages(ctx context.Context, name string, take func(jetstream.Msg) error) error {
	stream, err := rd.house.js.Stream(ctx, name)
	if err != nil || stream.CachedInfo().State.Msgs == 0 {
		return err
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	it, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextMaxWait(answerWithin))
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
		if err := take(m); err != nil {
			return err
		}
		if meta, err := m.Metadata(); err != nil || meta.NumPending == 0 {
			return err
		}
	}
}

// shown is the status of every request in the list.
func (rd *round) shown(ctx context.Context) (map[string]record.Status, error) {
	all := map[string]record.Status{}
	for page := 1; ; page++ {
		var answer struct {
			Items []listed `json:"items"`
			Pages int      `json:"pages"`
		}
		query := url.Values{"page": {fmt.Sprint(page)}, "size": {"100"}, "sort_field": {"id"}}
		status, err := rd.send(ctx, http.MethodGet, "/privacy-request?"+query.Encode(), rd.token, nil, &answer)
		if err != nil || status != http.StatusOK {
			return nil, fmt.Errorf("list: %d, %w", status, err)
		}
		for _, item := range answer.Items {
			all[item.ID] = record.Status(item.Status)
		}
		if page >= answer.Pages {
			return all, nil
		}
	}
}

// stored is the status of every request in the database.
func (rd *round) stored(ctx context.Context) (map[string]record.Status, error) {
	conn, err := pgx.Connect(ctx, rd.house.database["orchestrator"])
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "SELECT id, status FROM requests")
	if err != nil {
		return nil, err
	}
	all := map[string]record.Status{}
	var id string
	var status record.Status
	_, err = pgx.ForEachRow(rows, []any{&id, &status}, func() error {
		all[id] = status
		return nil
	})
	return all, err
}

// search looks for what persons have in common, everywhere but in the vault's
// seals and in what receivers were told.
func (rd *round) search(ctx context.Context) (found []invariants.Found, err error) {
	look := func(place string, text []byte) {
		for name, needles := range map[string][][]byte{"a person's word": needles(canary), "a phone number": needles(phoneCanary)} {
			for _, needle := range needles {
				if bytes.Contains(text, needle) {
					found = append(found, invariants.Found{Value: name, Place: place})
					break
				}
			}
		}
	}
	for _, name := range append([]string{"KV_" + topology.BucketIdentities, "KV_" + topology.BucketConfig}, streams...) {
		if err := rd.messages(ctx, name, func(m jetstream.Msg) error {
			look(name+" "+m.Subject(), fmt.Append(m.Data(), m.Subject(), m.Headers()))
			return nil
		}); err != nil {
			return nil, err
		}
	}
	for _, name := range serviceNames {
		p := rd.house.services[name]
		_, metrics := get(ctx, "http://"+p.addr+"/metrics")
		look("the metrics of "+name, []byte(metrics))
		look("the log of "+name, []byte(p.log.String()))
	}
	for _, name := range []string{"config", "orchestrator"} {
		text, err := dump(ctx, rd.house.database[name])
		if err != nil {
			return nil, err
		}
		// the identifier that a caller chose is there to be found by
		look("the database of "+name, bytes.ReplaceAll(text, []byte(canary+"-external"), nil))
	}
	return found, nil
}

// needles are the forms in which a value may stand somewhere: as it is, and in
// base64, which depends on where in the encoded text it begins.
func needles(value string) [][]byte {
	all := [][]byte{[]byte(value)}
	for offset := range 3 {
		padded := append(bytes.Repeat([]byte{0}, offset), value...)
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString(padded)
			all = append(all, []byte(text[(offset*8+5)/6:len(padded)*8/6]))
		}
	}
	return all
}

func dump(ctx context.Context, database string) ([]byte, error) {
	program := "pg_dump"
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_dump"); len(found) > 0 {
		program = found[len(found)-1]
	}
	var problems bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "--data-only", database)
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("pg_dump: %w: %s", err, problems.String())
	}
	return out, nil
}
