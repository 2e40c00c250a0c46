package process

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestGroupEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	g := NewGroup(t.Context(), slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	g.Go("waits", func(ctx context.Context) error {
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return ctx.Err()
	})
	g.Go("ends", func(context.Context) error { return nil })
	g.Go("fails", func(context.Context) error { return broken })
	err := g.Wait()
	if !errors.Is(err, broken) || err.Error() != "fails: broken" {
		t.Errorf("Wait: %v", err)
	}
	if cause := <-ended; !errors.Is(cause, broken) {
		t.Errorf("cause %v", cause)
	}
	if g.Context().Err() == nil {
		t.Error("the context still lives")
	}
}

func TestGroupEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	g := NewGroup(ctx, slog.New(slog.DiscardHandler))
	g.Go("waits", func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	cancel()
	if err := g.Wait(); err != nil {
		t.Errorf("Wait: %v, want nil", err)
	}
}

func TestGroupTurnsAPanicIntoAnError(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		value any
		want  string
	}{
		"of the runtime":    {nil, "panic: runtime error: index out of range [1] with length 0"},
		"of a programmer":   {"never happens", "panic: never happens"},
		"that carries data": {struct{ Email string }{"jane@example.com"}, "panic: struct { Email string }"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			g := NewGroup(t.Context(), slog.New(slog.NewTextHandler(&out, nil)))
			g.Go("fragile", func(context.Context) error {
				if test.value != nil {
					panic(test.value)
				}
				var empty []int
				one := 1
				return errors.New(string(rune(empty[one])))
			})
			err := g.Wait()
			if !errors.Is(err, ErrPanic) || err.Error() != "fragile: "+test.want {
				t.Errorf("Wait: %v, want %s", err, test.want)
			}
			if !strings.Contains(out.String(), "group_test.go") || strings.Contains(out.String(), "jane") {
				t.Errorf("log %s", out.String())
			}
		})
	}
}
