//go:build upgrade

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

// finish lets everything go on that still waits for somebody.
func (c *crowd) finish() {
	c.m.t.Helper()
	c.openGate()
	eventually(c.m.t, func() (bool, string) {
		c.mu.Lock()
		halted := len(c.halted)
		c.mu.Unlock()
		c.resume(halted)
		var pending []string
		left := 0
		for id, status := range c.list(url.Values{}) {
			if status == "pending" {
				pending = append(pending, id)
			}
			if status != "complete" {
				left++
			}
			if status == "error" {
				c.m.t.Fatalf("%s ended in error", id)
			}
		}
		if len(pending) > 0 {
			err := c.admin.Do(c.m.t.Context(), http.MethodPatch, "/api/v1/privacy-request/administrate/approve", map[string]any{"request_ids": pending}, nil)
			if err != nil && !rest.Passes(err) {
				c.m.t.Fatal(err)
			}
		}
		return left == 0, fmt.Sprintf("%d requests are not complete", left)
	})
}

// check looks at what was called, and at what is left.
func (c *crowd) check() {
	c.m.t.Helper()
	js, err := jetstream.New(c.m.as(c.m.t, topology.UserOperator, io.Discard))
	if err != nil {
		c.m.t.Fatal(err)
	}
	eventually(c.m.t, func() (bool, string) {
		work, err := js.Stream(c.m.t.Context(), events.StreamWork)
		if err != nil {
			return false, err.Error()
		}
		info, err := work.Info(c.m.t.Context(), jetstream.WithSubjectFilter(">"))
		if err != nil {
			return false, err.Error()
		}
		return info.State.Msgs == 0, fmt.Sprintf("work is left: %v", info.State.Subjects)
	})
	eventually(c.m.t, func() (bool, string) {
		var halts struct {
			Total int `json:"total"`
		}
		err := c.admin.Do(c.m.t.Context(), http.MethodGet, "/api/v1/halted", nil, &halts)
		return err == nil && halts.Total == 0, fmt.Sprintf("%d halts are left, %v", halts.Total, err)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, problem := range append(c.problems, c.m.violations()...) {
		c.m.t.Error(problem)
	}
	if len(c.answered) < c.serial {
		c.m.t.Errorf("%d requests were submitted, %d called for", c.serial, len(c.answered))
	}
	for id, calls := range c.answered {
		var paths []string
		for call, times := range calls {
			path, _, _ := strings.Cut(call, " ")
			paths = append(paths, path)
			if times != 1 {
				c.m.t.Errorf("%s was called %d times for %s", call, times, id)
			}
		}
		if slices.Sort(paths); !slices.Equal(paths, crowdPaths) {
			c.m.t.Errorf("called for %s: %v, want %v", id, calls, crowdPaths)
		}
	}
}
