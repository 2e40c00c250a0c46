//go:build faults

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/pkg/events"
)

// clusterPatience is how long anything may take while a node is away: services
// notice after a quarter of a minute that one has gone silent, what was in hand
// comes again after one or two minutes.
const clusterPatience = 5 * time.Minute

// TestCluster runs over three NATS nodes. While requests are under way the node
// that leads most streams is killed, and comes back; then, while others are, the
// one that leads most by then, and to which all services are connected, is cut
// off: it runs on, and neither the others nor any client reaches it, until it is
// connected again. The other two do without it, and of two hundred requests, and
// of what NATS confirmed, nothing is lost.
func TestCluster(t *testing.T) {
	t.Parallel()
	n := startNodes(t)
	databases := map[string]string{"config": testbed.Postgres(t), "orchestrator": testbed.Postgres(t)}
	g := &ground{house: setupOver(t, databases, map[string]string{"PARLEY_NATS_URL": n.url(), "PARLEY_NATS_REPLICAS": "3"})}
	g.nc, g.js = n.connect()
	g.open()
	ctx, cancel := context.WithTimeout(t.Context(), 3*clusterPatience)
	defer cancel()
	c := gather(g)
	c.repeats = true
	defer func() { // before the first process is ended
		if t.Failed() {
			t.Logf("open are:%s%s", c.open(), g.consumers())
		}
	}()
	g.receiver.Script(webhookPath, c.script(ctx))

	w := n.call(g.nc, g.js)
	losses := []loss{
		c.lose(ctx, n, "killed", 0, func(node string) { n.children[node].kill() }, func(node string) { n.children[node].start() }),
		c.lose(ctx, n, "cut off", crowdSize/2, func(node string) {
			n.network.lure(node, func() { g.awaitAt(n.network.clients(node)) })
			w.follow(node)
			n.network.cut(node)
			w.isCutOff(node)
		}, func(node string) {
			w.isBack()
			n.network.join(node)
		}),
	}
	c.resumes.Wait()
	n.awaitWhole(g.js)
	w.release()
	c.checkAll(ctx)
	for _, l := range losses {
		t.Logf("%s, which led most streams, was %s: the longest time without a fact was %s; half of what came then was complete after %s, all after %s",
			l.node, l.how, c.pause(l.struck, l.without), round(l.without.Sub(l.struck)), round(l.over.Sub(l.struck)))
	}
}

// loss is what became of a node, and when.
type loss struct {
	node, how string
	struck    time.Time
	without   time.Time // half of what came since was complete, without the node
	over      time.Time // all was
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

// lose loses a node in the middle of a hundred requests, and mends it when half
// of those that came since have gone through without it.
func (c *crowd) lose(ctx context.Context, n *nodes, how string, from int, strike, mend func(node string)) loss {
	c.g.t.Helper()
	node := n.awaitWhole(c.g.js)
	const before, after = crowdSize / 4, crowdSize / 4
	var people sync.WaitGroup
	defer people.Wait()
	people.Go(func() { c.insist(ctx, askingPolicy, from, from+before) })
	c.awaitComplete(ctx, from+1)

	l := loss{node: node, how: how}
	strike(node)
	l.struck = time.Now()
	complete, _ := c.count(ctx, "?status=complete&size=1")
	people.Go(func() { c.insist(ctx, policyKey, from+before, from+before+after) })
	c.awaitComplete(ctx, max(complete, from+before)+after/2)
	l.without = time.Now()
	mend(node)

	people.Wait()
	c.awaitComplete(ctx, from+before+after)
	l.over = time.Now()
	return l
}

// awaitAt waits until all services are connected to one NATS server, as they say.
func (g *ground) awaitAt(addr string) {
	g.t.Helper()
	const connected = `"server":"nats://`
	eventually(g.t, func() (bool, string) {
		for _, name := range serviceNames {
			log := g.services[name].log.String()
			if i := strings.LastIndex(log, connected); i < 0 || !strings.HasPrefix(log[i+len(connected):], addr+`"`) {
				return false, name + " is not connected to " + addr
			}
		}
		return true, ""
	})
}

// insist submits so many requests, and those that were not taken again. One of
// which nobody knew whether it was stored may then be there twice.
func (c *crowd) insist(ctx context.Context, policy string, from, to int) {
	for from < to {
		var body []map[string]any
		for n := from; n < min(from+crowdBatch, to); n++ {
			email := fmt.Sprintf("person-%d@example.com", n)
			body = append(body, map[string]any{"policy_key": policy, "identity": map[string]any{"email": email}})
		}
		_ = again(ctx, func(ctx context.Context) (bool, error) {
			_, answer, err := send(ctx, http.MethodPost, c.g.origin+"/v1/privacy-request", "", body)
			var bulk struct {
				Succeeded []struct {
					ID string `json:"id"`
				} `json:"succeeded"`
			}
			if err == nil && json.Unmarshal(answer, &bulk) != nil {
				return false, fmt.Errorf("answered %s", answer)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, r := range bulk.Succeeded {
				c.policies[r.ID] = policy
			}
			from += len(bulk.Succeeded)
			return len(bulk.Succeeded) > 0, err
		})
		if ctx.Err() != nil {
			return
		}
	}
}

// count counts what a list shows.
func (c *crowd) count(ctx context.Context, query string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	var page struct {
		Total int `json:"total"`
	}
	status, err := c.g.read(ctx, "/api/v1/privacy-request"+query, &page)
	if err == nil && status >= 300 {
		err = fmt.Errorf("answered %d", status)
	}
	return page.Total, err
}

func (c *crowd) awaitComplete(ctx context.Context, want int) {
	c.g.t.Helper()
	within(c.g.t, clusterPatience, func() (bool, string) {
		complete, err := c.count(ctx, "?status=complete&size=1")
		return err == nil && complete >= want, fmt.Sprintf("%d requests are complete, want %d (%v)", complete, want, err)
	})
}

// pause is the longest time in which no fact was stored.
func (c *crowd) pause(from, to time.Time) time.Duration {
	c.g.t.Helper()
	at := []time.Time{to}
	stream, err := c.g.js.Stream(c.g.t.Context(), events.StreamEvents)
	if err != nil {
		c.g.t.Fatal(err)
	}
	for sequence := stream.CachedInfo().State.LastSeq; sequence > 0; sequence-- {
		var stored time.Time
		eventually(c.g.t, func() (bool, string) {
			msg, err := stream.GetMsg(c.g.t.Context(), sequence)
			if err == nil {
				stored = msg.Time
			}
			return err == nil, fmt.Sprintf("fact %d: %v", sequence, err)
		})
		if stored.Before(from) {
			break
		}
		if stored.Before(to) {
			at = append(at, stored)
		}
	}
	at = append(at, from)
	longest := time.Duration(0)
	for i, t := range at[1:] {
		longest = max(longest, at[i].Sub(t))
	}
	return round(longest)
}

// checkAll checks that every request is complete and shown so, that each of its
// webhooks was called, under one id, and that no work is left.
func (c *crowd) checkAll(ctx context.Context) {
	c.g.t.Helper()
	within(c.g.t, clusterPatience, func() (bool, string) {
		all, err := c.count(ctx, "?size=1")
		complete, err2 := c.count(ctx, "?status=complete&size=1")
		return err == nil && err2 == nil && all == complete && all >= crowdSize, fmt.Sprintf("of %d requests %d are complete (%v, %v)", all, complete, err, err2)
	})
	for id, policy := range c.policies {
		// what the read model had in hand comes again after two minutes, and a
		// one_way call may be made after its request has gone on
		within(c.g.t, clusterPatience, func() (bool, string) { return c.shown(ctx, id, policy) })
	}
	calls, repeats := c.g.webhookIDs(), 0
	for id, policy := range c.policies {
		ids := calls[id]
		slices.Sort(ids)
		unique := slices.Compact(slices.Clone(ids))
		if len(unique) != callsOfPolicy(policy) {
			c.g.t.Errorf("%s (%s) was called under the ids %v, want %d", id, policy, ids, callsOfPolicy(policy))
		}
		repeats += len(ids) - len(unique)
	}
	for _, p := range c.problems {
		c.g.t.Error(p)
	}
	within(c.g.t, clusterPatience, func() (bool, string) {
		work, known := c.g.waiting(ctx, ">")
		return known && len(work) == 0, fmt.Sprintf("work is left: %v", work)
	})
	c.g.t.Logf("%d requests are complete, %d calls came twice, under the id that they had", len(c.policies), repeats)
}
