package rest

import (
	"context"
	"errors"
	"sync"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/vault"
	"github.com/parley-dsr/parley/services/orchestrator/internal/api"
	"github.com/parley-dsr/parley/services/orchestrator/internal/criteria"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"
	"github.com/parley-dsr/parley/services/orchestrator/internal/readmodel/db"
	"github.com/parley-dsr/parley/services/orchestrator/internal/view"
)

const (
	vaultAtOnce    = 16
	perGroupAtMost = 1000
)

// ListRequests is the list by query (contract §6.4).
func (s *Server) ListRequests(ctx context.Context, r api.ListRequestsRequestObject) (api.ListRequestsResponseObject, error) {
	p := r.Params
	search := criteria.Search{
		RequestID: p.RequestID, AnyIdentity: p.Identity, Fuzzy: p.FuzzySearchStr, ExternalID: p.ExternalID, Location: p.Location,
		CreatedBefore: p.CreatedLt, CreatedAfter: p.CreatedGt, StartedBefore: p.StartedLt, StartedAfter: p.StartedGt,
		CompletedBefore: p.CompletedLt, CompletedAfter: p.CompletedGt, ErroredBefore: p.ErroredLt, ErroredAfter: p.ErroredGt,
		Deleted: p.IncludeDeletedRequests, Verbose: p.Verbose, WithIdentities: p.IncludeIdentities,
		WithCustomFields: p.IncludeCustomPrivacyRequestFields, SortField: p.SortField, SortDirection: p.SortDirection,
	}
	if p.Status != nil {
		search.Status = *p.Status
	}
	if p.ActionType != nil {
		search.ActionType = criteria.OneOrMany{*p.ActionType}
	}
	page, err := s.search(ctx, search, edge.PagingOf(p.Page, p.Size))
	return api.ListRequests200JSONResponse(page), err
}

// SearchRequests is the list by body.
func (s *Server) SearchRequests(ctx context.Context, r api.SearchRequestsRequestObject) (api.SearchRequestsResponseObject, error) {
	var search criteria.Search
	if r.Body != nil {
		search = *r.Body
	}
	page, err := s.search(ctx, search, edge.PagingOf(r.Params.Page, r.Params.Size))
	return api.SearchRequests200JSONResponse(page), err
}

func (s *Server) search(ctx context.Context, search criteria.Search, p edge.Paging) (api.RequestPage, error) {
	now := s.Clock().UTC()
	filter, err := search.Filter(now, s.Ring.Hashes)
	if err != nil {
		return api.RequestPage{}, edge.BadRequest("%s", err)
	}
	order := search.Order()
	records, total, err := s.ReadModel.Search(ctx, filter, order, p.Page, p.Size)
	if errors.Is(err, readmodel.ErrSortField) {
		return api.RequestPage{}, edge.UnprocessableText("%s is not on PrivacyRequest", order.Field)
	}
	if err != nil {
		return api.RequestPage{}, s.notRead(err)
	}
	items := make([]view.Item, len(records))
	for i, rec := range records {
		items[i] = view.Item{Request: view.Listed(view.Of(rec, s.unseal(rec.Submission.SealedExternalID), now), rec)}
	}
	if err := s.addPersonal(ctx, items, search); err != nil {
		return api.RequestPage{}, err
	}
	if search.Verbose != nil && *search.Verbose {
		if err := s.addResults(ctx, items, records); err != nil {
			return api.RequestPage{}, err
		}
	}
	return api.RequestPage(edge.NewPage(items, total, p.Page, p.Size)), nil
}

// addPersonal adds what was provided about the persons, from the vault. What
// has expired is shown as unknown.
func (s *Server) addPersonal(ctx context.Context, items []view.Item, search criteria.Search) error {
	identities := search.WithIdentities != nil && *search.WithIdentities
	fields := search.WithCustomFields != nil && *search.WithCustomFields
	if !identities && !fields {
		return nil
	}
	errs := make([]error, len(items))
	slots := make(chan struct{}, vaultAtOnce)
	var wg sync.WaitGroup
	for i := range items {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			person, err := s.Vault.Provided(ctx, items[i].ID)
			if err != nil && !errors.Is(err, vault.ErrExpired) {
				errs[i] = err
				return
			}
			if identities {
				items[i].Identity = person.Identity.Labeled()
			}
			if fields && len(person.CustomFields) > 0 {
				items[i].CustomFields = person.CustomFields
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		s.Logger.Warn("identities cannot be read", "error", err)
		return edge.Unavailable(retryAfter, "Identities cannot be read now.")
	}
	return nil
}

// addResults adds the logs, grouped as contract §6.4 says.
func (s *Server) addResults(ctx context.Context, items []view.Item, records []*record.Record) error {
	ids := make([]string, len(items))
	for i := range items {
		ids[i] = items[i].ID
	}
	logs, err := s.ReadModel.Log(ctx, ids)
	if err != nil {
		return s.notRead(err)
	}
	for i, rec := range records {
		groups := map[string][]view.Result{}
		for _, e := range logs[rec.ID] {
			if len(groups[e.DatasetName]) < perGroupAtMost {
				groups[e.DatasetName] = append(groups[e.DatasetName], s.result(e, rec))
			}
		}
		items[i].Results, items[i].Tasks = &groups, &map[string]string{}
	}
	return nil
}

// result completes an entry with what only the record knows.
func (s *Server) result(e readmodel.LogEntry, rec *record.Record) view.Result {
	out := view.Result{
		Message: e.Message, ActionType: e.ActionType, Status: e.Status, UpdatedAt: view.Time(&e.At), UserID: e.UserID,
	}
	switch {
	case !e.Audit:
		out.ActionType = actionOf(e, rec)
	case e.Status == readmodel.AuditDenied:
		out.Message = s.unseal(rec.SealedDenyReason)
	case e.Status == readmodel.AuditCanceled:
		out.Message = s.unseal(rec.SealedCancelReason)
	}
	return out
}

// actionOf is the entry's own action, or that of the policy's first rule.
func actionOf(e readmodel.LogEntry, rec *record.Record) *string {
	if e.ActionType != nil {
		return e.ActionType
	}
	return orNil(rec.Policy.Action())
}

// GetLog is one page of the execution log (contract §6.5).
func (s *Server) GetLog(ctx context.Context, r api.GetLogRequestObject) (api.GetLogResponseObject, error) {
	rec, err := s.find(ctx, r.PrivacyRequestID)
	if err != nil {
		return nil, err
	}
	p := edge.PagingOf(r.Params.Page, r.Params.Size)
	entries, total, err := s.ReadModel.ExecutionLog(ctx, rec.ID, p.Page, p.Size)
	if err != nil {
		return nil, s.notRead(err)
	}
	items := make([]view.LogItem, 0, len(entries))
	for _, e := range entries {
		items = append(items, view.LogItem{
			Status: e.Status, Message: e.Message, ActionType: actionOf(e, rec),
			UpdatedAt: view.Time(&e.At), DatasetName: e.DatasetName,
		})
	}
	return api.GetLog200JSONResponse(edge.NewPage(items, total, p.Page, p.Size)), nil
}

// ListTasks says that a request has no graph tasks (contract §6.7).
func (s *Server) ListTasks(ctx context.Context, r api.ListTasksRequestObject) (api.ListTasksResponseObject, error) {
	if _, err := s.find(ctx, r.PrivacyRequestID); err != nil {
		return nil, err
	}
	return api.ListTasks200JSONResponse{}, nil
}

// GetDeliveries shows the calls of a request with their attempts.
func (s *Server) GetDeliveries(ctx context.Context, r api.GetDeliveriesRequestObject) (api.GetDeliveriesResponseObject, error) {
	rec, err := s.find(ctx, r.PrivacyRequestID)
	if err != nil {
		return nil, err
	}
	facts, err := s.ReadModel.CallFacts(ctx, rec.ID)
	if err != nil {
		return nil, s.notRead(err)
	}
	return api.GetDeliveries200JSONResponse(view.Linked(view.Deliveries(callFacts(facts)), rec.Undelivered)), nil
}

func callFacts(rows []db.CallFactsRow) []view.CallFact {
	facts := make([]view.CallFact, 0, len(rows))
	for _, r := range rows {
		fact := view.CallFact{
			Delivery: view.Delivery{
				CallID: r.CallID, WebhookKey: r.WebhookKey, WebhookName: r.WebhookName, Phase: r.Phase,
				Direction: r.Direction, ConnectionKey: r.ConnectionKey, Run: int(r.Run), DerivedFields: r.DerivedFields,
			},
			Verb: r.Verb, At: r.At, Next: r.NextAttemptAt,
		}
		if r.Attempt > 0 {
			fact.Attempt = view.Attempt{Attempt: int(r.Attempt), DurationMS: r.DurationMs, Error: r.Error}
			if r.Outcome != nil {
				fact.Attempt.Outcome = *r.Outcome
			}
			if r.HttpStatus != nil {
				status := int(*r.HttpStatus)
				fact.Attempt.HTTPStatus = &status
			}
		}
		facts = append(facts, fact)
	}
	return facts
}

// find gives the record of a request, also of one that was deleted softly.
func (s *Server) find(ctx context.Context, id string) (*record.Record, error) {
	rec, err := s.ReadModel.Record(ctx, id)
	if errors.Is(err, readmodel.ErrNotFound) {
		return nil, notFound(id)
	}
	if err != nil {
		return nil, s.notRead(err)
	}
	return rec, nil
}
