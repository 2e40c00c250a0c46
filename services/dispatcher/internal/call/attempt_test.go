package call

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/dispatcher/internal/authorization"
	"github.com/parley-dsr/parley/services/dispatcher/internal/egress"
)

// refusing takes the second token only, and notes until when everything may
// take.
type refusing struct{ until []time.Time }

func (r *refusing) note(ctx context.Context) {
	until, _ := ctx.Deadline()
	r.until = append(r.until, until)
}

func (r *refusing) Token(ctx context.Context, _ string, _ catalog.OAuth, refused string) (string, error) {
	r.note(ctx)
	return refused + "t", nil
}

func (r *refusing) Post(ctx context.Context, request egress.Request) (egress.Answer, error) {
	r.note(ctx)
	if request.Header.Get("Authorization") == "Bearer tt" {
		return egress.Answer{Status: http.StatusOK}, nil
	}
	return egress.Answer{Status: http.StatusUnauthorized}, nil
}

// An issuer and a receiver that are slow together have the time of one call.
func TestOneDeadlineOverEverything(t *testing.T) {
	t.Parallel()
	slow := &refusing{}
	c := &Caller{Config: Config{
		Headers: authorization.Headers{Tokens: slow}, Receivers: slow, Timeout: time.Hour, Clock: time.Now,
	}}
	made, err := c.attempt(t.Context(), work.Call{Attempt: 1}, prepared{oauth: &catalog.OAuth{}})
	if err != nil || made.outcome != events.OutcomeOK {
		t.Fatalf("outcome %q, %v", made.outcome, err)
	}
	if len(slow.until) != 4 {
		t.Fatalf("%d steps, want two tokens and two calls", len(slow.until))
	}
	for _, until := range slow.until {
		if until.IsZero() || until != slow.until[0] {
			t.Errorf("one step ends at %v, another at %v", until, slow.until[0])
		}
	}
}
