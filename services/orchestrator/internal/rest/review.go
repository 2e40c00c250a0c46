package rest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/stored"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/api"
	"github.com/parley-dsr/parley/services/orchestrator/internal/criteria"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
	"github.com/parley-dsr/parley/services/orchestrator/internal/view"
)

const (
	selectAtMost = 10000
	bulkAtOnce   = 50
)

// action is a bulk action: the command that it sends for each request, and its
// texts (contract §6.6).
type action struct {
	command string
	// deleted is the failure of a request that was deleted softly.
	deleted func(id string) string
	// status is the failure of a request in a status that does not allow it.
	status func(id string, s record.Status) string
	// broken is the failure of a request that could not be changed now.
	broken string
	// bare says that failures name the request and do not show it.
	bare bool
	// begun is the status that the answer shows of a request that was set
	// going, "" for the present one.
	begun record.Status
}

func approve() action {
	return action{
		command: work.Approve, deleted: deletedText, broken: "Privacy request could not be updated", begun: record.Approved,
		status: func(string, record.Status) string { return "Cannot transition status" },
	}
}

func deny() action {
	a := approve()
	a.command, a.begun = work.Deny, ""
	return a
}

func cancel() action {
	return action{
		command: work.Cancel, deleted: deletedText, broken: "Privacy request could not be canceled",
		status: func(_ string, s record.Status) string {
			return fmt.Sprintf("Cannot cancel privacy request in %s status", s)
		},
	}
}

func retryAll() action {
	return action{
		command: work.Retry, broken: "Privacy request could not be restarted", bare: true, begun: record.InProcessing,
		deleted: func(string) string { return "Cannot restart a deleted privacy request" },
		status:  retryText,
	}
}

func softDelete() action {
	return action{
		command: work.SoftDelete, broken: "Privacy request could not be deleted", bare: true,
		deleted: func(id string) string { return fmt.Sprintf("Privacy request '%s' has already been deleted.", id) },
		status:  func(string, record.Status) string { return "Cannot transition status" },
	}
}

func deletedText(string) string { return "Cannot transition status for a deleted request" }

func unknownText(id string) string { return fmt.Sprintf("No privacy request found with id '%s'", id) }

// ApproveRequests approves.
func (s *Server) ApproveRequests(ctx context.Context, r api.ApproveRequestsRequestObject) (api.ApproveRequestsResponseObject, error) {
	bulk, err := s.each(ctx, *r.Body, approve())
	return api.ApproveRequests200JSONResponse(bulk), err
}

// DenyRequests denies.
func (s *Server) DenyRequests(ctx context.Context, r api.DenyRequestsRequestObject) (api.DenyRequestsResponseObject, error) {
	bulk, err := s.each(ctx, *r.Body, deny())
	return api.DenyRequests200JSONResponse(bulk), err
}

// CancelRequests cancels.
func (s *Server) CancelRequests(ctx context.Context, r api.CancelRequestsRequestObject) (api.CancelRequestsResponseObject, error) {
	bulk, err := s.each(ctx, *r.Body, cancel())
	return api.CancelRequests200JSONResponse(bulk), err
}

// RetryRequests sets failed requests going again.
func (s *Server) RetryRequests(ctx context.Context, r api.RetryRequestsRequestObject) (api.RetryRequestsResponseObject, error) {
	bulk, err := s.each(ctx, *r.Body, retryAll())
	return api.RetryRequests200JSONResponse(bulk), err
}

// SoftDeleteRequests hides requests; what succeeded is named, not shown.
func (s *Server) SoftDeleteRequests(ctx context.Context, r api.SoftDeleteRequestsRequestObject) (api.SoftDeleteRequestsResponseObject, error) {
	bulk, err := s.each(ctx, *r.Body, softDelete())
	ids := make([]string, 0, len(bulk.Succeeded))
	for _, request := range bulk.Succeeded {
		ids = append(ids, request.ID)
	}
	return api.SoftDeleteRequests200JSONResponse{Succeeded: ids, Failed: bulk.Failed}, err
}

// FinalizeRequests refuses each: no request of Parley waits to be finalized.
func (s *Server) FinalizeRequests(ctx context.Context, r api.FinalizeRequestsRequestObject) (api.FinalizeRequestsResponseObject, error) {
	_, ids, err := s.selected(ctx, *r.Body)
	if err != nil {
		return nil, err
	}
	outcomes := make([]outcome, 0, len(ids))
	for _, id := range ids {
		rec, err := s.ReadModel.Record(ctx, id)
		switch {
		case errors.Is(err, readmodel.ErrNotFound):
			outcomes = append(outcomes, failed(unknownText(id), named(id)))
		case err != nil:
			return nil, s.notRead(err)
		default:
			message := fmt.Sprintf("Cannot manually finalize privacy request: status is %s, not requires_manual_finalization", rec.Status)
			if rec.DeletedAt != nil {
				message = deletedText(id)
			}
			outcomes = append(outcomes, failed(message, view.Of(rec, s.unseal(rec.Submission.SealedExternalID), s.Clock())))
		}
	}
	bulk, err := gather(outcomes)
	return api.FinalizeRequests200JSONResponse(bulk), err
}

// each sends the command of a bulk action for every selected request, many at
// the same time.
func (s *Server) each(ctx context.Context, body api.Selection, a action) (api.RequestBulk, error) {
	selection, ids, err := s.selected(ctx, body)
	if err != nil {
		return api.RequestBulk{}, err
	}
	reason, err := s.seal(selection.Reason)
	if err != nil {
		return api.RequestBulk{}, fmt.Errorf("rest: seal the reason: %w", err)
	}
	outcomes := make([]outcome, len(ids))
	slots := make(chan struct{}, bulkAtOnce)
	var wg sync.WaitGroup
	for i, id := range ids {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			outcomes[i] = s.apply(ctx, id, reason, a)
		})
	}
	wg.Wait()
	return gather(outcomes)
}

// selected reads the selection and finds the requests.
func (s *Server) selected(ctx context.Context, body api.Selection) (criteria.Selection, []string, error) {
	selection, problems := criteria.ReadSelection(body)
	if len(problems) > 0 {
		return selection, nil, edge.Unprocessable(problems)
	}
	if selection.Filters == nil {
		return selection, once(selection.RequestIDs), nil
	}
	filter, err := selection.Filters.Filter(s.Clock().UTC(), s.Ring.Hashes)
	if err != nil {
		return selection, nil, edge.BadRequest("%s", err)
	}
	filter.ExcludeIDs = selection.ExcludeIDs
	ids, total, err := s.ReadModel.SelectIDs(ctx, filter, selectAtMost)
	if errors.Is(err, readmodel.ErrTooMany) {
		return selection, nil, edge.BadRequest(
			"Filter query returned %d results, which exceeds the maximum of %d. Please narrow your filters.", total, selectAtMost)
	}
	if err != nil {
		return selection, nil, s.notRead(err)
	}
	return selection, ids, nil
}

// once leaves out what was named before: a request is changed once.
func once(ids []string) []string {
	seen := make(map[string]bool, len(ids))
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
}

// apply changes one request.
func (s *Server) apply(ctx context.Context, id, sealedReason string, a action) outcome {
	if !events.ValidToken(id) {
		return failed(unknownText(id), named(id))
	}
	c := s.command(ctx, a.command, id)
	c.SealedReason = sealedReason
	answer, err := s.send(ctx, c)
	if err != nil {
		return s.unavailable(err, a.broken, named(id))
	}
	if answer.Code == work.RejectedUnknown {
		return failed(unknownText(id), named(id))
	}
	var request view.Request
	if err := stored.Decode(answer.Request, &request); err != nil {
		return outcome{err: fmt.Errorf("rest: read the answer: %w", err)}
	}
	if answer.Accepted {
		if a.begun != "" {
			request = view.Begun(request, a.begun)
		}
		return outcome{request: &request}
	}
	var data any = request
	if a.bare {
		data = named(id)
	}
	switch answer.Code {
	case work.RejectedDeleted:
		return failed(a.deleted(id), data)
	case work.RejectedStatus:
		return failed(a.status(id, answer.Status), data)
	case work.RejectedIdentity:
		return failed(identityGoneText(id), data)
	}
	return failed(a.broken, data)
}
