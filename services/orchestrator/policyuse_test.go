package orchestrator_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

func TestPoliciesThatRequestsReferTo(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	s.ready()
	s.manual(true)
	s.policy(nil, nil)
	ask := func(key string) (answer work.PolicyUse) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		msg, err := s.nc.RequestWithContext(ctx, events.PolicyUseSubject(key), nil)
		must(t, err)
		must(t, json.Unmarshal(msg.Data, &answer))
		return answer
	}
	if before := ask("access"); !before.Known || before.Referenced {
		t.Errorf("before any request: %+v", before)
	}
	id := s.submit()
	if after := ask("access"); !after.Known || !after.Referenced {
		t.Errorf("after a request: %+v", after)
	}
	s.expect(200, "PATCH", "/api/v1/privacy-request/administrate/cancel", object{"request_ids": []string{id}}, nil)
	if ended := ask("access"); !ended.Referenced {
		t.Errorf("after its end: %+v", ended)
	}
	if other := ask("other"); !other.Known || other.Referenced {
		t.Errorf("another policy: %+v", other)
	}
}
