package rest

import (
	"strings"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/services/orchestrator/internal/api"
	"github.com/parley-dsr/parley/services/orchestrator/internal/view"
)

// outcome is what became of one item of a bulk action: a request, or a failure,
// which may have been for want of something, or an error that ends the whole.
type outcome struct {
	request     *view.Request
	failure     *api.Failure
	unavailable bool
	// maybe is the id of a request that may have been created all the same.
	maybe string
	err   error
}

// settled says whether anything became of it yet.
func (o outcome) settled() bool { return o.request != nil || o.failure != nil || o.err != nil }

func failed(message string, data any) outcome {
	return outcome{failure: &api.Failure{Message: message, Data: data}}
}

// unavailable is a failure for want of a neighbour. If it is that for every
// item, the answer to the whole is 503.
func (s *Server) unavailable(err error, message string, data any) outcome {
	s.Logger.Warn("a request could not be changed now", "error", err)
	out := failed(message, data)
	out.unavailable = true
	return out
}

// named is the data of a failure about a request that is not shown.
func named(id string) map[string]string { return map[string]string{"privacy_request_id": id} }

// gather puts the outcomes of a bulk action together, in their order.
func gather(outcomes []outcome) (api.RequestBulk, error) {
	bulk := api.RequestBulk{Succeeded: []api.PrivacyRequest{}, Failed: []api.Failure{}}
	missing := 0
	var maybe []string
	why := ""
	for _, o := range outcomes {
		switch {
		case o.err != nil:
			return bulk, o.err
		case o.request != nil:
			bulk.Succeeded = append(bulk.Succeeded, *o.request)
		default:
			bulk.Failed = append(bulk.Failed, *o.failure)
		}
		if o.unavailable {
			missing++
		}
		if o.maybe != "" {
			maybe, why = append(maybe, o.maybe), o.failure.Message
		}
	}
	switch {
	case missing == 0 || missing < len(outcomes):
		return bulk, nil
	case len(maybe) > 0: // a client has to look before it submits again
		return bulk, edge.Unavailable(retryAfter, "%s: %s", why, strings.Join(maybe, ", "))
	}
	return bulk, edge.Unavailable(retryAfter, "%s", bulk.Failed[0].Message)
}
