//go:build faults

package rounds

import (
	"context"
	"errors"
	"time"

	"github.com/parley-dsr/parley/pkg/events"
)

// execute is an executor, which is told who the person is.
func (rd *round) execute(ctx context.Context) {
	err := events.Execute(ctx, rd.house.nc, events.ActionErasure, func(context.Context, *events.ExecutionTask) error {
		return nil
	}, events.WithConcurrency(8), events.WithTakeover(time.Second))
	if !errors.Is(err, context.Canceled) {
		rd.note("the executor ended: %v", err)
	}
}
