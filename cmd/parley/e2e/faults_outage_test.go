//go:build faults

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dsr/parley/cmd/parley/internal/receiver"
	"github.com/parley-dsr/parley/pkg/events"
)

const (
	// outage is how long Postgres is away.
	outage = 20 * time.Second
	// readWithin is what a read may take until it says that it cannot: four
	// seconds, and what a busy machine adds.
	readWithin = 15 * time.Second
	crowdSize  = 200
	crowdBatch = 10
)

// crowd is many requests at once, of three policies: one that tells, one that
// asks, and the story's, which halts.
type crowd struct {
	g  *ground
	mu sync.Mutex
	// policies of the requests, by id.
	policies  map[string]string
	repeats   bool // calls may be made twice, and be resumed twice
	completed map[string]bool
	problems  []string
	changed   chan struct{} // closed, and replaced, with every end of a request
	resumes   sync.WaitGroup
}

const (
	tellingPolicy = "telling_policy"
	askingPolicy  = "asking_policy"
)

// callsOfPolicy is the number of webhooks that a request of a policy calls.
func callsOfPolicy(policy string) int {
	if policy == policyKey {
		return 4
	}
	return 3
}

func gather(g *ground) *crowd {
	g.t.Helper()
	c := &crowd{g: g, policies: map[string]string{}, completed: map[string]bool{}, changed: make(chan struct{})}
	for policy, direction := range map[string]string{tellingPolicy: "one_way", askingPolicy: "two_way"} {
		g.configure(policy, direction)
	}
	filter, err := events.Filter(events.RequestCompleted)
	if err != nil {
		g.t.Fatal(err)
	}
	if _, err := g.nc.Subscribe(filter, func(m *nats.Msg) { c.ended(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]) }); err != nil {
		g.t.Fatal(err)
	}
	return c
}

// configure makes a policy with two webhooks before and one after, on the
// connection of the story.
func (g *ground) configure(policy, direction string) {
	g.t.Helper()
	webhook := func(n int) map[string]any {
		name := fmt.Sprintf("%s_%d", policy, n)
		return map[string]any{"connection_config_key": "test_webhook_connection_config", "direction": direction, "key": name, "name": name}
	}
	g.post(http.MethodPatch, "/v1/dsr/policy", g.token, []map[string]any{{"name": policy, "key": policy}})
	g.post(http.MethodPatch, "/v1/dsr/policy/"+policy+"/rule", g.token, []map[string]any{{
		"name": policy + " rule", "key": policy + "_rule", "action_type": "erasure", "masking_strategy": map[string]any{"strategy": "hmac", "configuration": map[string]any{}},
	}})
	g.post(http.MethodPut, "/v1/policy/"+policy+"/webhook/pre_execution", g.token, []map[string]any{webhook(1), webhook(2)})
	g.post(http.MethodPut, "/v1/policy/"+policy+"/webhook/post_execution", g.token, []map[string]any{webhook(3)})
}

// script halts the requests of the story's policy and resumes them as soon as
// the answer is sent.
func (c *crowd) script(ctx context.Context) receiver.Answer {
	return receiver.Answer{Decide: func(call receiver.Call) receiver.Answer {
		p, err := call.Payload()
		if err != nil {
			return receiver.Status(http.StatusBadRequest)
		}
		policy, _ := p.PrivacyRequest["policy"].(map[string]any)
		if policy["key"] != policyKey || turn(p) != 2 {
			return receiver.Continue()
		}
		answer := receiver.DeriveAndHalt(map[string]any{"phone_number": derivedPhone})
		answer.Sent = func() {
			c.resumes.Go(func() {
				if err := c.g.resume(ctx, call, "resumed@example.org"); err != nil && !c.repeats {
					c.problem("resume of %s: %v", p.PrivacyRequestID, err)
				}
			})
		}
		return answer
	}}
}

// submit submits batches of all three policies, from one number to another.
func (c *crowd) submit(ctx context.Context, from, to int) {
	for batch := from / crowdBatch; batch*crowdBatch < to; batch++ {
		policy := []string{policyKey, tellingPolicy, askingPolicy}[batch%3]
		var emails []string
		for n := range crowdBatch {
			emails = append(emails, fmt.Sprintf("person-%d@example.com", batch*crowdBatch+n))
		}
		ids, err := c.g.submit(ctx, policy, emails...)
		if err != nil {
			c.problem("submission: %v", err)
			return
		}
		c.mu.Lock()
		for _, id := range ids {
			c.policies[id] = policy
		}
		c.mu.Unlock()
	}
}

func (c *crowd) problem(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func (c *crowd) ended(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.completed[id] = true
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *crowd) progress() (submitted, completed int, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.policies), len(c.completed), c.changed
}

// awaitCompleted waits until so many requests are complete.
func (c *crowd) awaitCompleted(ctx context.Context, want int) {
	c.g.t.Helper()
	for {
		submitted, completed, changed := c.progress()
		if completed >= want {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			c.g.t.Fatalf("%d of %d requests are complete, want %d; problems: %v\nopen: %s%s", completed, submitted, want, c.problems, c.open(), c.g.consumers())
		}
	}
}

// open describes requests that are not complete.
func (c *crowd) open() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	shown := 0
	for id, policy := range c.policies {
		if c.completed[id] || shown == 5 {
			continue
		}
		shown++
		fmt.Fprintf(&b, "\n%s (%s): %d calls, facts:", id, policy, len(c.g.callsOf(id)))
		for _, e := range c.g.facts(id) {
			fmt.Fprintf(&b, "\n  %s %s", e.Time().Format(time.TimeOnly), factName(e))
		}
		if rec := c.g.record(context.Background(), id); rec != nil {
			fmt.Fprintf(&b, "\n  record: %s, wait %+v, outbox %d", rec.Status, rec.Wait, len(rec.Outbox))
		}
	}
	return b.String()
}

// reads is what somebody saw who read again and again.
type reads struct {
	statuses map[int]int
	longest  time.Duration
}

// readUntil reads lists and logs until ctx ends.
func (c *crowd) readUntil(ctx context.Context, id string) reads {
	seen := reads{statuses: map[int]int{}}
	pause := time.NewTicker(250 * time.Millisecond)
	defer pause.Stop()
	paths := []string{"/api/v1/privacy-request?size=50", "/api/v1/privacy-request/" + id + "/log", "/api/v1/privacy-request/" + id + "/delivery"}
	for n := 0; ; n++ {
		began := time.Now()
		var anything any
		reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*readWithin)
		status, err := c.g.read(reading, paths[n%len(paths)], &anything)
		cancel()
		if ctx.Err() != nil {
			return seen // the outage may have ended meanwhile
		}
		if err != nil {
			c.problem("%s: %v", paths[n%len(paths)], err)
		}
		seen.statuses[status]++
		seen.longest = max(seen.longest, time.Since(began))
		select {
		case <-pause.C:
		case <-ctx.Done():
			return seen
		}
	}
}

// TestOutage takes Postgres away for twenty seconds in the middle of two
// hundred requests. They go on, further ones are taken, and reads say at once
// that they cannot. When it is back the read model catches up by itself.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]struct{ begin, end func(*cluster) }{
		"stopped":   {(*cluster).freeze, (*cluster).thaw},
		"shut down": {(*cluster).shutdown, (*cluster).revive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := prepare(t, true)
			ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
			defer cancel()
			c := gather(g)
			g.receiver.Script(webhookPath, c.script(ctx))
			c.submit(ctx, 0, crowdSize/2)
			c.awaitCompleted(ctx, 1)

			_, before, _ := c.progress()
			outage.begin(g.postgres)
			seen := c.during(ctx)
			_, after, _ := c.progress()
			outage.end(g.postgres)

			t.Logf("complete before: %d, after: %d of %d; reads: %v, the longest took %s", before, after, crowdSize, seen.statuses, seen.longest)
			if seen.longest > readWithin || len(seen.statuses) != 1 || seen.statuses[http.StatusServiceUnavailable] == 0 {
				t.Errorf("reads were answered %v within %s, want 503 within %s", seen.statuses, seen.longest, readWithin)
			}
			if after-before < crowdSize/4 {
				t.Errorf("%d requests ended while Postgres was away", after-before)
			}
			c.awaitCompleted(ctx, crowdSize)
			c.resumes.Wait()
			back := time.Now()
			c.check(ctx)
			t.Logf("the read model had everything %s after the end, the time of %d reads included", time.Since(back).Round(time.Millisecond), 2*crowdSize)
			g.checkLeftovers()
		})
	}
}

// during is the outage: the second half is submitted, and somebody reads.
func (c *crowd) during(ctx context.Context) reads {
	away, end := context.WithTimeout(ctx, outage)
	defer end()
	var id string
	c.mu.Lock()
	for id = range c.policies {
		break
	}
	c.mu.Unlock()
	var clients sync.WaitGroup
	defer clients.Wait()
	clients.Go(func() { c.submit(ctx, crowdSize/2, crowdSize) })
	return c.readUntil(away, id)
}

// check waits until the read model shows all that happened, and checks that
// each webhook was called once.
func (c *crowd) check(ctx context.Context) {
	c.g.t.Helper()
	if len(c.policies) != crowdSize {
		c.g.t.Errorf("%d requests were submitted, want %d", len(c.policies), crowdSize)
	}
	eventually(c.g.t, func() (bool, string) {
		var page struct {
			Total int `json:"total"`
		}
		status, err := c.g.read(ctx, "/api/v1/privacy-request?status=complete&size=1", &page)
		return page.Total == crowdSize, fmt.Sprintf("%d: %d are shown complete, %v", status, page.Total, err)
	})
	calls := c.g.webhookIDs()
	for id, policy := range c.policies {
		eventually(c.g.t, func() (bool, string) { return c.shown(ctx, id, policy) })
		ids := calls[id]
		slices.Sort(ids)
		if n := len(slices.Compact(slices.Clone(ids))); n != callsOfPolicy(policy) || n != len(ids) {
			c.g.t.Errorf("%s (%s) was called %d times, with %d webhook-ids, want %d", id, policy, len(ids), n, callsOfPolicy(policy))
		}
	}
	for _, p := range c.problems {
		c.g.t.Error(p)
	}
}

// shown says whether a request's deliveries and log are complete.
func (c *crowd) shown(ctx context.Context, id, policy string) (bool, string) {
	var deliveries []struct {
		Status string `json:"status"`
	}
	status, err := c.g.read(ctx, "/api/v1/privacy-request/"+id+"/delivery", &deliveries)
	if err != nil || status != http.StatusOK || len(deliveries) != callsOfPolicy(policy) {
		return false, fmt.Sprintf("%s: deliveries answered %d, %v: %v", id, status, deliveries, err)
	}
	for _, d := range deliveries {
		if d.Status != "succeeded" && d.Status != "halted" {
			return false, fmt.Sprintf("%s: deliveries are %v", id, deliveries)
		}
	}
	var log struct {
		Items []struct {
			Status string `json:"status"`
		} `json:"items"`
	}
	status, err = c.g.read(ctx, "/api/v1/privacy-request/"+id+"/log?size=100", &log)
	return err == nil && status == http.StatusOK && len(log.Items) >= callsOfPolicy(policy),
		fmt.Sprintf("%s: the log answered %d, %v: %v", id, status, log, err)
}

// webhookIDs are the ids of all calls, by request.
func (g *ground) webhookIDs() map[string][]string {
	ids := map[string][]string{}
	for _, call := range g.receiver.Calls() {
		if p, err := call.Payload(); err == nil {
			ids[p.PrivacyRequestID] = append(ids[p.PrivacyRequestID], call.WebhookID())
		}
	}
	return ids
}
