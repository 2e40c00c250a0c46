package story

import (
	"context"
	"time"
)

// until calls look again and again, with a pause, until it says so or ctx ends.
func until(ctx context.Context, look func() (bool, error)) error {
	pause := time.NewTicker(25 * time.Millisecond)
	defer pause.Stop()
	for {
		ok, err := look()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
}
