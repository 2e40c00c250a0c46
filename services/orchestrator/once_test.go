package orchestrator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/embedded/testbed"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/pkg/events"
)

const otherBody = `{"detail":"This Idempotency-Key was used before with another body. A new submission needs a new key."}`

// submitAs sends a submission under a key, with an access token or, for "",
// without. An answer that never came has the status 0.
func (s *service) submitAs(ctx context.Context, bearer, key string, body any) (int, string) {
	s.t.Helper()
	data, err := json.Marshal(body)
	must(s.t, err)
	path := root6
	if bearer != "" {
		path += "/authenticated"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, bytes.NewReader(data))
	must(s.t, err)
	r.Header.Set("Idempotency-Key", key)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := s.client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, strings.TrimSpace(string(text))
}

// people are items, each with its person.
func people(n int, policy string) []object {
	items := make([]object, n)
	for i := range items {
		items[i] = object{"policy_key": policy, "identity": object{"email": fmt.Sprintf("p%d@example.com", i)}}
	}
	return items
}

func idsOf(t *testing.T, text string) []string {
	t.Helper()
	var created bulk
	must(t, json.Unmarshal([]byte(text), &created))
	ids := []string{}
	for _, one := range created.Succeeded {
		ids = append(ids, one["id"].(string))
	}
	return ids
}

// records are the ids of all that was created.
func (s *service) records() map[string]*record.Record {
	s.t.Helper()
	bucket, err := topology.AwaitBucket(s.t.Context(), s.js, topology.BucketRequests, nil)
	must(s.t, err)
	found := map[string]*record.Record{}
	for entry, err := range bucket.Entries(s.t.Context(), ">") {
		must(s.t, err)
		found[entry.Key], err = record.Decode(entry.Value)
		must(s.t, err)
	}
	return found
}

// created counts the facts that say so, by request.
func (s *service) created() map[string]int {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), events.StreamEvents)
	must(s.t, err)
	filter, err := events.Filter(events.RequestCreated)
	must(s.t, err)
	info, err := stream.Info(s.t.Context(), jetstream.WithSubjectFilter(filter))
	must(s.t, err)
	facts := map[string]int{}
	for subject, n := range info.State.Subjects {
		facts[subject[strings.LastIndex(subject, ".")+1:]] = int(n) //nolint:gosec // a few
	}
	return facts
}

func (s *service) apiClient(id string) (bearer string) {
	s.t.Helper()
	scopes := []string{"privacy-request:create"}
	_, err := s.catalog.Put(s.t.Context(), catalog.ClientKey(id), catalog.Client{Entry: catalog.Entry{Version: 1}, ID: id, Scopes: scopes})
	must(s.t, err)
	bearer, err = token.IssueAccess(s.ring, token.Access{ClientID: id, Scopes: scopes, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)})
	must(s.t, err)
	return bearer
}

// TestASubmissionThatComesAgain: under one key, one body creates its requests
// once, and is answered each time as the first time.
func TestASubmissionThatComesAgain(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	s.manual(true)
	one, other := s.apiClient("one"), s.apiClient("other")
	body := people(3, "access")
	status, first := s.submitAs(t.Context(), one, "k", body)
	if status != 200 || len(idsOf(t, first)) != 3 {
		t.Fatalf("first: %d %s", status, first)
	}
	s.expect(200, "PATCH", "/api/v1/privacy-request/administrate/approve", object{"request_ids": idsOf(t, first)[:1]}, nil)
	status, again := s.submitAs(t.Context(), one, "k", body)
	if status != 200 {
		t.Fatalf("again: %d %s", status, again)
	}
	if diff := cmp.Diff(idsOf(t, first), idsOf(t, again)); diff != "" || strings.Count(again, `"status":"pending"`) != 3 {
		t.Errorf("again: %s\n%s", diff, again)
	}
	for name, different := range map[string]any{
		"fewer": body[:1], "more": people(4, "access"), "another person": people(3, "access")[1:],
		"another policy": []object{{"policy_key": "erase", "identity": object{"email": "p0@example.com"}}, body[1], body[2]},
	} {
		if status, text := s.submitAs(t.Context(), one, "k", different); status != 422 || text != otherBody {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	for name, c := range map[string]struct{ bearer, key string }{
		"another key": {one, "k2"}, "another client": {other, "k"}, "nobody": {"", "k"},
	} {
		status, text := s.submitAs(t.Context(), c.bearer, c.key, body)
		if status != 200 || len(idsOf(t, text)) != 3 || strings.Contains(first, idsOf(t, text)[0]) {
			t.Errorf("%s: %d %s", name, status, text)
		}
		if status, again := s.submitAs(t.Context(), c.bearer, c.key, body); status != 200 || cmp.Diff(idsOf(t, text), idsOf(t, again)) != "" {
			t.Errorf("%s, again: %d %s, first %s", name, status, again, text)
		}
	}
	if status, text := s.submitAs(t.Context(), "", "k", people(1, "access")); status != 200 || strings.Contains(first, idsOf(t, text)[0]) {
		t.Errorf("nobody has the key of nobody else: %d %s", status, text)
	}
	if status, text := s.submitAs(t.Context(), one, strings.Repeat("k", 256), body); status != 422 || !strings.Contains(text, `"loc":["header","Idempotency-Key"]`) {
		t.Errorf("a long key: %d %s", status, text)
	}
	if all := s.records(); len(all) != 13 {
		t.Errorf("%d requests, want 13", len(all))
	}
}

// TestWhatWasRefusedIsLookedAtAnew: an item that was not taken under a key may
// be taken later, beside those that were.
func TestWhatWasRefusedIsLookedAtAnew(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	bearer := s.apiClient("one")
	body := append(people(1, "access"), object{"policy_key": "access", "identity": object{}})
	if status, text := s.submitAs(t.Context(), bearer, "k", body); status != 200 || len(idsOf(t, text)) != 0 {
		t.Fatalf("without the policy: %d %s", status, text)
	}
	s.policy(nil, nil)
	for range 2 {
		if status, text := s.submitAs(t.Context(), bearer, "k", body); status != 200 || len(idsOf(t, text)) != 1 || !strings.Contains(text, "at least one identity") {
			t.Fatalf("with it: %d %s", status, text)
		}
	}
	if n := len(s.records()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestTheSameSubmissionTwentyTimesAtOnce creates its requests once. Two bodies
// under one key meet in the first item: one of them is refused.
func TestTheSameSubmissionTwentyTimesAtOnce(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	bearer := s.apiClient("one")
	race := func(key string, bodies ...[]object) (taken map[string]int) {
		taken = map[string]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				status, text := s.submitAs(t.Context(), bearer, key, bodies[i%len(bodies)])
				mu.Lock()
				defer mu.Unlock()
				switch {
				case status == 200:
					taken[strings.Join(idsOf(t, text), " ")]++
				case status == 422 && text == otherBody && len(bodies) > 1:
				default:
					t.Errorf("%s: %d %s", key, status, text)
				}
			})
		}
		wg.Wait()
		return taken
	}
	if taken := race("same", people(3, "access")); len(taken) != 1 {
		t.Errorf("the same: %v", taken)
	}
	if taken := race("two", people(2, "access"), people(3, "access")); len(taken) != 1 {
		t.Errorf("two bodies: %v", taken)
	}
	all := s.records()
	for id, facts := range s.created() {
		if facts != 1 || all[id] == nil {
			t.Errorf("%s was created %d times", id, facts)
		}
	}
	if n := len(all); n != 5 && n != 6 {
		t.Errorf("%d requests, want 3, and 2 or 3", n)
	}
}

// TestASubmissionGoesOnWhereTheServiceWasKilled: the service is cut off at a
// point on the way of a submission, and its caller gets no answer. The caller
// sends it again, to the service that comes next.
func TestASubmissionGoesOnWhereTheServiceWasKilled(t *testing.T) {
	t.Parallel()
	for name, subject := range map[string]string{
		"identity": "$KV." + topology.BucketIdentities + ".>",
		"command":  events.CommandFilter,
		"record":   "$KV." + topology.BucketRequests + ".>",
		"fact":     "dsr.event.request.created.>",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testbed.NATSServer(t)
			nc, js := testbed.Connect(t, server.URL())
			s := setupOn(t, nc, js, nil)
			s.ready()
			s.policy(nil, nil)
			bearer, body := s.apiClient("one"), people(3, "access")
			watcher, watched := testbed.Connect(t, server.URL())
			reached := make(chan struct{})
			var once sync.Once
			_, err := watcher.Subscribe(subject, func(*nats.Msg) { once.Do(func() { close(reached) }) })
			must(t, errors.Join(err, watcher.Flush()))
			ctx, broken := context.WithCancel(t.Context())
			defer broken()
			answered := make(chan string, 1)
			go func() {
				_, text := s.submitAs(ctx, bearer, "k", body)
				answered <- text
			}()
			select {
			case <-reached:
			case text := <-answered:
				t.Fatalf("answered before: %s", text)
			}
			nc.Close()
			broken()
			<-answered
			s.stop()
			s.nc, s.js = watcher, watched
			s.start(s.settings)
			s.ready()
			var ids []string
			s.eventually("taken", func() bool {
				status, text := s.submitAs(t.Context(), bearer, "k", body)
				if status == 200 {
					ids = idsOf(t, text)
				}
				return len(ids) == 3
			})
			all, facts := s.records(), s.created()
			for _, id := range ids { // what was in hand at the service that is gone comes again later
				if all[id] == nil || facts[id] > 1 {
					t.Errorf("%s: %d facts, record %v", id, facts[id], all[id])
				}
			}
			if len(all) != 3 {
				t.Errorf("%d requests, want 3", len(all))
			}
		})
	}
}

// TestAKeyOutlivesARotation: what was named with a key of the keyring that is
// not the first any more is found.
func TestAKeyOutlivesARotation(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	bearer, body := s.apiClient("one"), people(2, "access")
	_, first := s.submitAs(t.Context(), bearer, "k", body)
	s.stop()
	fresh, err := keyring.Generate()
	must(t, err)
	s.settings.EncryptionKeys = fresh + "," + s.settings.EncryptionKeys
	s.start(s.settings)
	s.ready()
	if status, again := s.submitAs(t.Context(), bearer, "k", body); status != 200 || cmp.Diff(idsOf(t, first), idsOf(t, again)) != "" {
		t.Errorf("again: %d %s, first %s", status, again, first)
	}
	if status, text := s.submitAs(t.Context(), bearer, "k", body[:1]); status != 422 || text != otherBody {
		t.Errorf("another body: %d %s", status, text)
	}
}

// TestAnotherPersonIsNotLaidOver: an attempt that ended before its command has
// left its identity. Nobody else's takes its place.
func TestAnotherPersonIsNotLaidOver(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.policy(nil, nil)
	bearer, body := s.apiClient("one"), people(1, "access")
	_, text := s.submitAs(t.Context(), bearer, "k", body)
	id := idsOf(t, text)[0]
	requests, err := topology.AwaitBucket(t.Context(), s.js, topology.BucketRequests, nil)
	must(t, err)
	identities, err := topology.AwaitBucket(t.Context(), s.js, topology.BucketIdentities, nil)
	must(t, err)
	must(t, requests.Remove(t.Context(), id)) // as if the command had never been sent
	other := []object{{"policy_key": "access", "identity": object{"email": "other@example.com"}}}
	if status, text := s.submitAs(t.Context(), bearer, "k", other); status != 422 || text != otherBody {
		t.Errorf("another person: %d %s", status, text)
	}
	person, err := vault.Open(identities, s.ring).Provided(t.Context(), id)
	must(t, err)
	if email := person.Identity.Email; email == nil || *email != "p0@example.com" {
		t.Error("the identity has changed")
	}
	if status, again := s.submitAs(t.Context(), bearer, "k", body); status != 200 || cmp.Diff([]string{id}, idsOf(t, again)) != "" {
		t.Errorf("again: %d %s", status, again)
	}
}
