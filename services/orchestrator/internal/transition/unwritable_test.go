package transition_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

// TestAnInputThatNoRecordHoldsIsRefused: a command that just fits into a
// message leads to a record that does not. Were it tried for ever, a thousand
// of these would hold up all commands.
func TestAnInputThatNoRecordHoldsIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.policy(nil, nil)
	b.run()
	email, large := "a@example.com", strings.Repeat("x", 1<<20-700)
	must(t, b.vault.Put(t.Context(), "pri_large", vault.Person{Identity: identity.Identity{Email: &email}}, time.Hour))
	answer := b.command(work.Command{
		ID: rand.Text(), Name: work.Submit, RequestID: "pri_large", At: time.Now(),
		Submission: &record.Submission{PolicyKey: "p1", RequestedAt: time.Now(), PropertyID: &large},
	})
	if answer.Accepted || answer.Code != work.RejectedUnavailable {
		t.Fatalf("accepted %v, code %q", answer.Accepted, answer.Code)
	}
	b.submit("pri_1") // behind it
	stream, err := b.js.Stream(t.Context(), events.StreamWork)
	must(t, err)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		info, err := stream.Info(t.Context())
		must(t, err)
		if info.State.Msgs == 0 {
			return
		}
		select {
		case <-ticker.C:
		case <-t.Context().Done():
			t.Fatal("the command is still there")
		}
	}
}
