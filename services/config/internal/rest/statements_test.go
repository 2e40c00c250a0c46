package rest_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

// atMost is how many statements one change of a list may take, however long
// the list is.
const atMost = 6

// fill makes connections, and policies with as many pre-execution webhooks.
func (b *bundle) fill(connections, policies, webhooks int) {
	b.tb.Helper()
	for from := 0; from < connections; from += 50 {
		var items []object
		for i := from; i < min(from+50, connections); i++ {
			items = append(items, object{
				"key": fmt.Sprint("c", i), "name": fmt.Sprint("Connection ", i), "connection_type": "https", "access": "read",
				"secrets": object{"url": "https://www.example.com/hook", "authorization": "Bearer s3cret"},
			})
		}
		b.call("PATCH", "/connection", b.json(items))
	}
	for from := 0; from < policies; from += 50 {
		var items []object
		for i := from; i < min(from+50, policies); i++ {
			items = append(items, object{"key": fmt.Sprint("p", i), "name": fmt.Sprint("Policy ", i)})
		}
		b.call("PATCH", "/dsr/policy", b.json(items))
	}
	for p := range policies {
		b.call("PUT", path(p), b.list(p, webhooks, connections, true))
	}
}

func path(policy int) string { return fmt.Sprintf("/dsr/policy/p%d/webhook/pre_execution", policy) }

// list is a body for PUT; with forward false its order is the other way round.
func (b *bundle) list(policy, webhooks, connections int, forward bool) []byte {
	items := make([]object, webhooks)
	for i := range items {
		at := i
		if !forward {
			at = webhooks - 1 - i
		}
		items[at] = object{
			"connection_config_key": fmt.Sprint("c", (policy*webhooks+i)%connections), "direction": "two_way",
			"key": fmt.Sprintf("w%d_%d", policy, i), "name": fmt.Sprintf("Webhook %d of %d", i, policy),
		}
	}
	return b.json(items)
}

func TestStatements(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fill(60, 3, 50)
	renamed := object{"order": 7, "name": "Another name", "direction": "one_way", "connection_config_key": "c3"}
	for _, c := range []struct {
		name, method, path string
		body               []byte
	}{
		{"PUT of the same 50", "PUT", path(1), b.list(1, 50, 60, true)},
		{"PUT of 50 in another order", "PUT", path(1), b.list(1, 50, 60, false)},
		{"PUT of none", "PUT", path(1), []byte(`[]`)},
		{"PUT of 50 new", "PUT", path(1), b.list(1, 50, 60, true)},
		{"PATCH of an order", "PATCH", path(1) + "/w1_0", []byte(`{"order":49}`)},
		{"DELETE of one of 50", "DELETE", path(1) + "/w1_3", nil},
		{"GET of a list", "GET", path(1), nil},
		{"GET of a page of connections", "GET", "/connection", nil},
	} {
		data, control := b.asked.data.Load(), b.asked.control.Load()
		b.call(c.method, c.path, c.body)
		data, control = b.asked.data.Load()-data, b.asked.control.Load()-control
		t.Logf("%-30s %d statements, and %d for the transaction", c.name, data, control)
		if data > atMost {
			t.Errorf("%s takes %d statements", c.name, data)
		}
	}
	// With everything that a body may name, one connection more is looked up.
	data := b.asked.data.Load()
	b.call("PATCH", path(1)+"/w1_1", b.json(renamed))
	if data = b.asked.data.Load() - data; data > atMost {
		t.Errorf("PATCH of everything takes %d statements", data)
	}
	var page struct {
		Items []struct {
			Key   string `json:"key"`
			Order int    `json:"order"`
		} `json:"items"`
	}
	if err := json.Unmarshal(b.call("GET", path(1), nil), &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Items) != 49 || page.Items[48].Key != "w1_0" || page.Items[7].Key != "w1_1" {
		t.Errorf("%+v", page)
	}
	for i, w := range page.Items {
		if w.Order != i {
			t.Errorf("webhook %s has order %d at %d", w.Key, w.Order, i)
		}
	}
}

// BenchmarkManagement works on an installation of 1 000 connections and 200
// policies of 50 webhooks. Run it with
//
//	go test -run '^$' -bench Management -benchtime 100x ./internal/rest
func BenchmarkManagement(bench *testing.B) {
	b := setup(bench)
	b.fill(1000, 200, 50)
	lists := [2][]byte{b.list(77, 50, 1000, true), b.list(77, 50, 1000, false)}
	places := [2][]byte{[]byte(`{"order":49}`), []byte(`{"order":0}`)}
	b.call("PUT", path(77), lists[0])
	for _, c := range []struct {
		name, method, path string
		bodies             [2][]byte
	}{
		{"list page of connections", "GET", "/connection?page=7", [2][]byte{}},
		{"list of 50 webhooks", "GET", path(77), [2][]byte{}},
		{"PUT of 50", "PUT", path(77), [2][]byte{lists[1], lists[0]}},
		{"PATCH of order", "PATCH", path(77) + "/w77_0", places},
	} {
		bench.Run(c.name, func(run *testing.B) {
			run.ReportAllocs()
			data, control, calls := b.asked.data.Load(), b.asked.control.Load(), 0
			for run.Loop() {
				b.call(c.method, c.path, c.bodies[calls%2])
				calls++
			}
			run.ReportMetric(float64(b.asked.data.Load()-data)/float64(calls), "statements/op")
			run.ReportMetric(float64(b.asked.control.Load()-control)/float64(calls), "begin+commit/op")
		})
	}
}
