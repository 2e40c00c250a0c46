package orchestrator_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/rotation"
	"github.com/parley-dsr/parley/internal/token"
	"github.com/parley-dsr/parley/services/orchestrator"
	"github.com/parley-dsr/parley/services/orchestrator/internal/dispatchertest"
)

// deps are those of a command beside the running service.
func (s *service) deps() process.Deps {
	return process.Deps{
		NATS: s.nc, Logger: slog.New(slog.NewTextHandler(s.t.Output(), nil)), Registry: prometheus.NewRegistry(),
		Clock: time.Now, Version: "test",
	}
}

// restart runs the service with other keys.
func (s *service) restart(keys string) {
	s.t.Helper()
	s.stop()
	settings := s.settings
	settings.EncryptionKeys = keys
	ring, err := keyring.Parse(keys)
	must(s.t, err)
	s.ring = ring
	s.token, err = token.IssueAccess(ring, token.Access{
		ClientID: root, Scopes: edge.AllScopes(), IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	})
	must(s.t, err)
	s.start(settings)
	s.ready()
}

// keyUse gives, by place, how many values a key has sealed.
func (s *service) keyUse(kid string, sealedUntil time.Time) map[string]rotation.Count {
	s.t.Helper()
	places, err := orchestrator.KeyUse(s.t.Context(), s.settings, s.deps(), map[string]time.Time{kid: sealedUntil})
	must(s.t, err)
	use := map[string]rotation.Count{}
	for _, p := range places {
		if c := p.Keys[kid]; c.Values > 0 {
			use[p.Name] = c
		}
	}
	return use
}

func TestKeysRotateWhileRequestsWait(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.manual(true)
	s.policy([]record.Webhook{hook("first", record.TwoWay)}, nil)
	oldKeys := s.settings.EncryptionKeys
	old := s.ring.KIDs()[0]
	pending, canceled, calling := s.submit(), s.submit(), s.submit()
	s.expect(200, "PATCH", "/api/v1/privacy-request/administrate/cancel", object{"request_ids": []string{canceled}, "reason": "asked twice"}, nil)
	s.expect(200, "PATCH", "/api/v1/privacy-request/administrate/approve", object{"request_ids": []string{calling}}, nil)

	fresh, err := keyring.Generate()
	must(t, err)
	rotated := time.Now()
	s.restart(fresh + "," + oldKeys)
	use := s.keyUse(old, rotated)
	for place, n := range map[string]int{
		"requests": 4, "requests in the read model": 4, "identities in the vault": 3,
		"requests found by identity": 3, "reply tokens that may still be used": 1, "commands that wait": 0,
	} {
		if use[place].Values != n {
			t.Errorf("%s: %d, want %d", place, use[place].Values, n)
		}
	}
	if c := use["identities in the vault"]; c.Lasting != 0 || c.Until.Before(time.Now()) {
		t.Errorf("the vault: %+v", c)
	}

	done, err := orchestrator.Reseal(t.Context(), s.settings, s.deps())
	must(t, err)
	if done[0].Done != 3 || done[0].Left != 0 || done[1].Done != 3 || done[1].Left != 0 {
		t.Errorf("resealed %+v", done)
	}
	s.eventually("the read model to follow", func() bool {
		use = s.keyUse(old, rotated)
		return use["requests in the read model"].Values == 0
	})
	delete(use, "reply tokens that may still be used")
	if len(use) != 0 {
		t.Errorf("the old key is still needed for %v", use)
	}

	s.restart(fresh)
	var page struct{ Items []object }
	s.expect(200, "POST", "/api/v1/privacy-request/search", object{"identities": object{"email": "a@example.com"}}, &page)
	if len(page.Items) != 3 {
		t.Errorf("found %d by identity", len(page.Items))
	}
	reason := s.get(canceled)["results"].(object)["Request canceled"].([]any)[0].(object)["message"]
	if found := s.get(pending); found["external_id"] != "ext-1" || reason != "asked twice" {
		t.Errorf("%v, %v", found, reason)
	}
	s.expect(200, "PATCH", "/api/v1/privacy-request/administrate/approve", object{"request_ids": []string{pending}}, nil)
	dispatchertest.Play(t, s.js, dispatchertest.Succeed)
	s.awaitStatus(pending, "complete")
	s.awaitStatus(calling, "complete")
}
