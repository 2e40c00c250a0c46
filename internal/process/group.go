package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
)

// Group runs the goroutines of a service. The first error, or panic, ends the
// others by canceling their context; Wait returns it with the goroutine's name.
type Group struct {
	ctx    context.Context //nolint:containedctx // handed to every goroutine of the group
	cancel context.CancelCauseFunc
	logger *slog.Logger
	wg     sync.WaitGroup

	once sync.Once
	err  error
}

// NewGroup returns a group whose goroutines end with ctx.
func NewGroup(ctx context.Context, logger *slog.Logger) *Group {
	ctx, cancel := context.WithCancelCause(ctx)
	return &Group{ctx: ctx, cancel: cancel, logger: logger}
}

// Context is the one that the goroutines get; it ends at the first error.
func (g *Group) Context() context.Context { return g.ctx }

// Go starts run. Returning nil ends this goroutine only. Returning the error of
// the context after it has ended is a normal end.
func (g *Group) Go(name string, run func(ctx context.Context) error) {
	g.wg.Go(func() {
		err := g.guard(name, run)
		if err == nil || (g.ctx.Err() != nil && errors.Is(err, context.Canceled)) {
			return
		}
		g.fail(fmt.Errorf("%s: %w", name, err))
	})
}

// Wait returns when all goroutines have ended: nil if they ended with the
// context, else the first error.
func (g *Group) Wait() error {
	g.wg.Wait()
	g.cancel(nil)
	return g.err
}

func (g *Group) fail(err error) {
	g.once.Do(func() {
		g.err = err
		g.cancel(err)
	})
}

// guard turns a panic into an error and logs its stack.
func (g *Group) guard(name string, run func(ctx context.Context) error) (err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			text := panicText(recovered)
			g.logger.Error("panic", "goroutine", name, "panic", text, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %s", ErrPanic, text)
		}
	}()
	return run(g.ctx)
}

// panicText shows what the runtime or a programmer wrote. Any other value may
// carry data that does not belong in a log; its type is enough.
func panicText(recovered any) string {
	switch v := recovered.(type) {
	case runtime.Error:
		return v.Error()
	case string:
		return v
	default:
		return fmt.Sprintf("%T", v)
	}
}
