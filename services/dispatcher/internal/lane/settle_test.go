package lane

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestVerdictOn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		err       error
		delivered uint64
		want      verdict
	}{
		{"done", nil, 1, verdict{kind: ack}},
		{"unreadable", fmt.Errorf("call: %w", ErrUnreadable), 1, verdict{kind: term}},
		{"interrupted", fmt.Errorf("call: %w", context.Canceled), 3, verdict{kind: again}},
		{"NATS does not answer", context.DeadlineExceeded, 1, verdict{kind: again, delay: time.Second}},
		{"anything else", errors.New("?"), 1, verdict{kind: again, delay: time.Second}},
		{"the fourth time", errors.New("?"), 4, verdict{kind: again, delay: 8 * time.Second}},
		{"the hundredth time", errors.New("?"), 100, verdict{kind: again, delay: 2 * time.Minute}},
		{"unknown count", errors.New("?"), 0, verdict{kind: again, delay: time.Second}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := verdictOn(test.err, test.delivered); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
