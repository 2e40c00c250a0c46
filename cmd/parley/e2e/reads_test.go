//go:build faults

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/parley-dsr/parley/internal/record"
)

// TestReadYourWrites creates a thousand requests, approves or cancels them, and
// reads each after each step, without any pause and through another replica
// than the one that was told. Every read shows what was answered before. A
// client that is told to try again, as may be on a busy machine, does.
func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	s := openScene(t, nil, nil, "orchestrator")
	const requests, clients = 1000, 8
	work := make(chan int)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := range work {
				if err := s.writeAndRead(t.Context(), i); err != nil {
					t.Errorf("request %d: %v", i, err)
				}
			}
		})
	}
	for i := range requests {
		if t.Failed() {
			break // the rest would say the same
		}
		work <- i
	}
	close(work)
	wg.Wait()
	t.Logf("of %d answers, for these the read model was waited for behind the loop: %s; told to try again: %d",
		2*requests, s.metric("parley_orchestrator_late_applies_total"), s.tryAgain.Load())
}

func (s *scene) writeAndRead(ctx context.Context, i int) error {
	b, _, err := s.insisted(ctx, func() reply { return s.submission(ctx, fmt.Sprintf("reader-%d@example.com", i)) })
	if err != nil || len(b.Succeeded) != 1 {
		return fmt.Errorf("submit: %w %+v", err, b.Failed)
	}
	id := b.Succeeded[0].ID
	one, err := s.read(ctx, id)
	if err != nil || one.Status != record.Pending {
		return fmt.Errorf("%s was created and is shown as %q: %w", id, one.Status, err)
	}
	action := []string{"approve", "cancel"}[i%2]
	b, tries, err := s.insisted(ctx, func() reply { return s.review(ctx, action, id) })
	if err != nil || len(b.Succeeded) != 1 && tries == 1 { // what was to be tried again may be done already
		return fmt.Errorf("%s %s: %w %+v", action, id, err, b.Failed)
	}
	one, err = s.read(ctx, id)
	approved := one.ReviewedAt != nil && one.Status != record.Pending && one.Status != record.Canceled
	if err != nil || (action == "approve" && !approved) || (action == "cancel" && one.Status != record.Canceled) {
		return fmt.Errorf("%s: the %s was answered with 200 and the list shows %q: %w", id, action, one.Status, err)
	}
	return nil
}

// metric gives the value of a metric without labels, of each replica of the
// orchestrator.
func (s *scene) metric(name string) string {
	var values []string
	for _, c := range s.replicas["orchestrator"] {
		_, text := get(c.addr, "/metrics")
		for line := range strings.Lines(text) {
			if value, ok := strings.CutPrefix(line, name+" "); ok {
				values = append(values, strings.TrimSpace(value))
			}
		}
	}
	return strings.Join(values, " + ")
}
