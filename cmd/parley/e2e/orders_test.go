package e2e

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/parley-dsr/parley/cmd/parley/internal/story"
)

// TestStartOrders starts the four processes in each of the 24 orders and plays
// the story. On SIGTERM each then ends by itself, without an error.
func TestStartOrders(t *testing.T) {
	t.Parallel()
	for order := range permutations(serviceNames) {
		t.Run(strings.Join(order, "-"), func(t *testing.T) {
			t.Parallel()
			h := setup(t, nil)
			h.startAll(order...)
			h.play(&story.Story{Cast: story.Published()})
			for _, name := range order {
				c := h.services[name]
				c.signal(syscall.SIGTERM)
				if c.err != nil {
					t.Errorf("%s ended with %v\n%s", name, c.err, c.log.tail())
				}
			}
		})
	}
}

// permutations yields every order of the names.
func permutations(names []string) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		var walk func(done, left []string) bool
		walk = func(done, left []string) bool {
			if len(left) == 0 {
				return yield(slices.Clone(done))
			}
			for i, name := range left {
				if !walk(append(slices.Clone(done), name), slices.Delete(slices.Clone(left), i, i+1)) {
					return false
				}
			}
			return true
		}
		walk(nil, names)
	}
}
