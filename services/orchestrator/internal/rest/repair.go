package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/stored"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
	"github.com/parley-dsr/parley/services/orchestrator/internal/api"
	"github.com/parley-dsr/parley/services/orchestrator/internal/door"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
	"github.com/parley-dsr/parley/services/orchestrator/internal/view"
)

func retryText(id string, s record.Status) string {
	return fmt.Sprintf("Cannot restart privacy request from failure: privacy request '%s' status = %s.", id, s)
}

func identityGoneText(id string) string {
	return fmt.Sprintf("The identity of privacy request '%s' has expired. Please submit a new request.", id)
}

func notFound(id string) *edge.Error {
	return edge.NotFound("No privacy request found with id '%s'.", id)
}

func deleted(id string) *edge.Error {
	return edge.UnprocessableText("Privacy request with id %s has been deleted.", id)
}

// RetryRequest goes on at the step and webhook that failed (contract §6.7).
func (s *Server) RetryRequest(ctx context.Context, r api.RetryRequestRequestObject) (api.RetryRequestResponseObject, error) {
	request, err := s.change(ctx, work.Retry, r.PrivacyRequestID, func(id string, status record.Status) error {
		return edge.BadRequest("%s", retryText(id, status))
	})
	return api.RetryRequest200JSONResponse(view.Begun(request, record.InProcessing)), err
}

// RequeueRequest orders the step at work once more.
func (s *Server) RequeueRequest(ctx context.Context, r api.RequeueRequestRequestObject) (api.RequeueRequestResponseObject, error) {
	request, err := s.change(ctx, work.Requeue, r.PrivacyRequestID, func(id string, status record.Status) error {
		return edge.BadRequest("Cannot re-queue privacy request %s with status %s", id, status)
	})
	return api.RequeueRequest200JSONResponse(view.Begun(request, record.InProcessing)), err
}

// ResubmitRequest begins the next run with what was submitted.
func (s *Server) ResubmitRequest(ctx context.Context, r api.ResubmitRequestRequestObject) (api.ResubmitRequestResponseObject, error) {
	request, err := s.change(ctx, work.Resubmit, r.PrivacyRequestID, func(_ string, status record.Status) error {
		return edge.UnprocessableText("Cannot resubmit a %s privacy request", status)
	})
	if errors.Is(err, errUnknown) {
		err = edge.NotFound("Privacy request not found")
	}
	return api.ResubmitRequest200JSONResponse(request), err
}

// ResumeRequest lets a paused request go on without its receiver (beyond §5).
func (s *Server) ResumeRequest(ctx context.Context, r api.ResumeRequestRequestObject) (api.ResumeRequestResponseObject, error) {
	request, err := s.change(ctx, work.Resume, r.PrivacyRequestID, func(id string, status record.Status) error {
		return edge.BadRequest("Invalid resume request: privacy request '%s' status = %s.", id, status)
	})
	return api.ResumeRequest200JSONResponse(request), err
}

// ResendCall makes an undelivered one_way call once more, as a new call.
func (s *Server) ResendCall(ctx context.Context, r api.ResendCallRequestObject) (api.ResendCallResponseObject, error) {
	call, err := record.ParseCallID(r.CallID)
	if err != nil || call.RequestID != r.PrivacyRequestID {
		return nil, edge.NotFound("No call found with id '%s'.", r.CallID)
	}
	c := s.command(ctx, work.Resend, r.PrivacyRequestID)
	c.CallID = r.CallID
	answer, err := s.order(ctx, c, func(id string, status record.Status) error {
		return edge.BadRequest("Cannot resend: privacy request '%s' status = %s.", id, status)
	})
	return api.ResendCall200JSONResponse{CallID: answer.CallID, ResendOf: r.CallID}, err
}

// SoftDeleteRequest hides a request.
func (s *Server) SoftDeleteRequest(ctx context.Context, r api.SoftDeleteRequestRequestObject) (api.SoftDeleteRequestResponseObject, error) {
	_, err := s.change(ctx, work.SoftDelete, r.PrivacyRequestID, func(_ string, _ record.Status) error {
		return edge.BadRequest("Cannot transition status")
	})
	return hidden{}, err
}

// hidden is the answer to a soft delete: 200 null.
type hidden struct{}

// VisitSoftDeleteRequestResponse writes it.
func (hidden) VisitSoftDeleteRequestResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, err := w.Write([]byte("null\n"))
	return err
}

// FinalizeRequest refuses: no request of Parley waits to be finalized.
func (s *Server) FinalizeRequest(ctx context.Context, r api.FinalizeRequestRequestObject) (api.FinalizeRequestResponseObject, error) {
	rec, err := s.ReadModel.Record(ctx, r.PrivacyRequestID)
	switch {
	case errors.Is(err, readmodel.ErrNotFound):
		return nil, notFound(r.PrivacyRequestID)
	case err != nil:
		return nil, s.notRead(err)
	case rec.DeletedAt != nil:
		return nil, deleted(rec.ID)
	}
	return nil, edge.BadRequest("Cannot manually finalize privacy request '%s': status is %s, not requires_manual_finalization.",
		rec.ID, rec.Status)
}

// errUnknown marks the 404 of a request that does not exist.
var errUnknown = errors.New("rest: unknown request")

// change sends the command of an action on a single request and turns a refusal
// into its error; wrongStatus makes that of a status which does not allow it.
func (s *Server) change(ctx context.Context, name, id string, wrongStatus func(string, record.Status) error) (view.Request, error) {
	answer, err := s.order(ctx, s.command(ctx, name, id), wrongStatus)
	if err != nil {
		return view.Request{}, err
	}
	var request view.Request
	if err := stored.Decode(answer.Request, &request); err != nil {
		return view.Request{}, fmt.Errorf("rest: read the answer: %w", err)
	}
	return request, nil
}

// order sends a command about a single request; a refusal is the error that the
// caller gets.
func (s *Server) order(ctx context.Context, c work.Command, wrongStatus func(string, record.Status) error) (work.Answer, error) {
	id := c.RequestID
	unknown := fmt.Errorf("%w: %w", errUnknown, notFound(id))
	if !events.ValidToken(id) {
		return work.Answer{}, unknown
	}
	answer, err := s.send(ctx, c)
	if err != nil {
		return answer, s.notNow(err)
	}
	if answer.Accepted {
		return answer, nil
	}
	switch answer.Code {
	case work.RejectedUnknown:
		return answer, unknown
	case work.RejectedDeleted:
		return answer, deleted(id)
	case work.RejectedIdentity:
		return answer, edge.UnprocessableText("%s", identityGoneText(id))
	case work.RejectedUnavailable:
		return answer, edge.Unavailable(retryAfter, "The request cannot be changed now.")
	case work.RejectedCall:
		return answer, edge.BadRequest("Cannot resend: privacy request '%s' has no undelivered one_way call '%s'.", id, c.CallID)
	case work.RejectedResent:
		return answer, edge.BadRequest("Cannot resend: the call '%s' has been sent again already.", c.CallID)
	}
	return answer, wrongStatus(id, answer.Status)
}

// notNow is the 503 of a command that was not answered.
func (s *Server) notNow(err error) error {
	s.Logger.Warn("a command was not answered", "error", err)
	switch {
	case errors.Is(err, door.ErrNoAnswer):
		return edge.Unavailable(retryAfter, "The change is stored and will be made, but that could not be confirmed in time.")
	case errors.Is(err, door.ErrUnconfirmed):
		return edge.Unavailable(retryAfter, "The change may have been stored, but that could not be confirmed in time.")
	}
	return edge.Unavailable(retryAfter, "The request cannot be changed now.")
}

// notRead is the answer while the read model cannot be read.
func (s *Server) notRead(err error) error {
	if errors.Is(err, readmodel.ErrUnavailable) {
		s.Logger.Warn("requests cannot be read", "error", err)
		return edge.Unavailable(retryAfter, "Requests cannot be read now.")
	}
	return err
}
