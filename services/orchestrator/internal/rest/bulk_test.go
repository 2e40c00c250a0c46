package rest

import (
	"errors"
	"net/http"
	"testing"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/services/orchestrator/internal/view"
)

// A client that is told to try again must be able to look first: the requests
// that may have been created are named.
func TestA503NamesWhatMayHaveBeenCreated(t *testing.T) {
	t.Parallel()
	maybe := func(id string) outcome {
		out := failed(textNotConfirmed, named(id))
		out.unavailable, out.maybe = true, id
		return out
	}
	broken := failed(textNotAdded, nil)
	broken.unavailable = true
	for name, c := range map[string]struct {
		outcomes []outcome
		want     string
	}{
		"all may be":   {[]outcome{maybe("pri_1"), maybe("pri_2")}, textNotConfirmed + ": pri_1, pri_2"},
		"none may be":  {[]outcome{broken, broken}, textNotAdded},
		"one may be":   {[]outcome{broken, maybe("pri_2")}, textNotConfirmed + ": pri_2"},
		"one is there": {[]outcome{{request: &view.Request{ID: "pri_1"}}, maybe("pri_2")}, ""},
	} {
		bulk, err := gather(c.outcomes)
		var answer *edge.Error
		switch {
		case c.want == "" && (err != nil || len(bulk.Failed) != 1):
			t.Errorf("%s: %v, %+v", name, err, bulk.Failed)
		case c.want != "" && (!errors.As(err, &answer) || answer.Status != http.StatusServiceUnavailable || answer.Detail != c.want):
			t.Errorf("%s: %v", name, err)
		}
	}
}
