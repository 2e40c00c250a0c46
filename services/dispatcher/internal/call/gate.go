package call

import (
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/work"
)

// awaited says whether the request waits for the end of the call.
func awaited(call work.Call) bool {
	return call.Phase == record.PreApproval || call.Webhook.Direction == record.TwoWay
}

// wanted says whether the call should still be made. One that the request
// waits for is wanted while it does; any other outlives the wait, and is
// unwanted only once the request was canceled, denied or deleted. request is
// nil where there is no record any more.
func wanted(request *record.Record, call work.Call) bool {
	switch {
	case request == nil:
		return !awaited(call)
	case request.DeletedAt != nil:
		return false
	case call.Phase == record.PreApproval:
		return awaitsReply(request, call.CallID)
	case call.Webhook.Direction == record.TwoWay:
		wait := request.Wait
		return wait != nil && wait.Kind == record.WaitCall && wait.CallID == call.CallID
	}
	return request.Status != record.Canceled && request.Status != record.Denied
}

func awaitsReply(request *record.Record, callID string) bool {
	if request.Status != record.AwaitingPreApproval {
		return false
	}
	for _, replier := range request.Repliers {
		if replier.CallID == callID {
			return replier.Reply == "" && !replier.Gone
		}
	}
	return false
}
