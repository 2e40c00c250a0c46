package config_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	contenders = 32
	turns      = 15
	contested  = 10 // webhooks that they contend for
)

// contender is one of many clients that change the same list.
type contender struct {
	b      *bundle
	random *rand.Rand
	client *http.Client
	counts *[2]atomic.Int64 // done, refused
}

func TestManyClientsChangeOneList(t *testing.T) {
	t.Parallel()
	b := withHooks(t)
	transport := &http.Transport{MaxIdleConnsPerHost: contenders}
	defer transport.CloseIdleConnections()
	var counts [2]atomic.Int64
	var clients sync.WaitGroup
	for i := range contenders {
		c := contender{b: b, random: rand.New(rand.NewPCG(7, uint64(i))), client: &http.Client{Transport: transport}, counts: &counts} //nolint:gosec // the same every time
		clients.Go(func() {
			for range turns {
				c.turn(t)
			}
		})
	}
	clients.Wait()
	t.Logf("%d changes and reads, %d refused", counts[0].Load(), counts[1].Load())
	if counts[0].Load() < contenders*turns/4 {
		t.Error("most were refused")
	}

	// What is published is what is stored.
	keys := []any{}
	entry, err := b.policy("p")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range entry.Pre {
		keys = append(keys, w.Key)
	}
	if diff := cmp.Diff(b.order(pre), keys); diff != "" {
		t.Error(diff)
	}
}

// turn makes one change, or reads.
func (c contender) turn(t *testing.T) {
	hook := fmt.Sprint("w", c.random.IntN(contested))
	switch c.random.IntN(8) {
	case 0, 1:
		c.send(t, http.MethodPut, pre, c.list())
	case 2, 3:
		c.send(t, http.MethodPatch, pre+"/"+hook, fmt.Sprintf(`{"order":%d}`, c.random.IntN(contested)))
	case 4:
		c.send(t, http.MethodPatch, pre+"/"+hook, fmt.Sprintf(`{"name":"Name %d","direction":"two_way"}`, c.random.IntN(2*contested)))
	case 5:
		c.send(t, http.MethodDelete, pre+"/"+hook, "")
	default:
		c.send(t, http.MethodGet, pre, "")
	}
}

// list is a body for PUT: some of the webhooks, in any order.
func (c contender) list() string {
	var items []string
	for _, i := range c.random.Perm(contested)[:1+c.random.IntN(contested)] {
		items = append(items, fmt.Sprintf(`{"key":"w%d","name":"Hook %d","direction":"one_way","connection_config_key":"c%d"}`, i, i, 1+i%2))
	}
	return "[" + strings.Join(items, ",") + "]"
}

// send makes a request and judges the answer: a client may be refused because
// another was faster (400, 404), and for no other reason.
func (c contender) send(t *testing.T, method, path, body string) {
	ctx, cancel := context.WithTimeout(c.b.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, c.b.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+c.b.root)
	response, err := c.client.Do(r)
	if err != nil {
		t.Errorf("%s: %v", method, err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
		return
	}
	got := answer{status: response.StatusCode, body: string(text)}
	switch got.status {
	case http.StatusOK:
		c.counts[0].Add(1)
		contiguous(t, method, got)
	case http.StatusBadRequest, http.StatusNotFound:
		c.counts[1].Add(1)
	default:
		t.Errorf("%s %s: %s", method, path, got)
	}
}

// contiguous wants the orders of an answer to be 0, 1, 2 and so on.
func contiguous(t *testing.T, method string, got answer) {
	list, isList := got.json().([]any)
	if !isList {
		list, isList = got.field("items").([]any)
	}
	if !isList {
		list, _ = got.field("new_order").([]any)
	}
	for i, one := range list {
		if order := one.(map[string]any)["order"]; order != float64(i) {
			t.Errorf("%s: order %v at %d: %s", method, order, i, got.body)
			return
		}
	}
}
