package rest

import (
	"context"
	"encoding/json"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
	"github.com/parley-dsr/parley/services/config/internal/webhooks"
)

const classPolicy = "Policy"

// UpsertPolicies creates or updates policies, each by itself (contract §3.2).
func (a *API) UpsertPolicies(ctx context.Context, request api.UpsertPoliciesRequestObject) (api.UpsertPoliciesResponseObject, error) {
	items := *request.Body
	if err := checkPolicies(items); err != nil {
		return nil, err
	}
	var bulk api.PolicyBulk
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		bulk = api.PolicyBulk{Succeeded: []api.Policy{}, Failed: []api.PolicyFailure{}}
		for _, item := range items {
			shown, err := a.upsertPolicy(ctx, tx, item)
			if text, alone := failureText(err); alone {
				bulk.Failed = append(bulk.Failed, api.PolicyFailure{Message: text, Data: failedPolicy(item)})
				continue
			}
			if err != nil {
				return err
			}
			bulk.Succeeded = append(bulk.Succeeded, shown)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.UpsertPolicies200JSONResponse(bulk), nil
}

func checkPolicies(items []api.PolicyItem) error {
	var problems []identity.Problem
	for i, item := range items {
		if item.ActionType != nil && item.Rules != nil && len(*item.Rules) > 0 {
			problems = append(problems, invalid("Provide either 'action_type' or 'rules', not both.", i))
		}
		if _, err := keyOf(item.Key, item.Name); err != nil {
			problems = append(problems, invalid(badKey(), i, "name"))
		}
	}
	if len(problems) > 0 {
		return edge.Unprocessable(problems)
	}
	return nil
}

// keyOf is the key that was given, or the one made of the name.
func keyOf(key *string, name string) (string, error) {
	if value(key) != "" {
		return *key, nil
	}
	return webhooks.KeyFromName(name)
}

// failedPolicy shows an item without what its rules may hold.
func failedPolicy(item api.PolicyItem) json.RawMessage {
	return asJSON(struct {
		Name               string  `json:"name"`
		Key                *string `json:"key"`
		ActionType         *string `json:"action_type"`
		DRPAction          *string `json:"drp_action"`
		ExecutionTimeframe *int    `json:"execution_timeframe"`
	}{item.Name, item.Key, item.ActionType, item.DrpAction, item.ExecutionTimeframe})
}

func (a *API) upsertPolicy(ctx context.Context, tx *store.Tx, item api.PolicyItem) (api.Policy, error) {
	var shown api.Policy
	err := tx.Item(ctx, func(tx *store.Tx) error {
		row, err := a.placePolicy(ctx, tx, item)
		if err != nil {
			return err
		}
		tx.Touch(store.PolicyRef(row.Key))
		list, err := showPolicies(ctx, tx.Queries, []db.Policy{row})
		if err != nil {
			return err
		}
		shown = list[0]
		return nil
	})
	return shown, err
}

func (a *API) placePolicy(ctx context.Context, tx *store.Tx, item api.PolicyItem) (db.Policy, error) {
	key, err := keyOf(item.Key, item.Name)
	if err != nil {
		return db.Policy{}, err
	}
	row, err := tx.Policy(ctx, key)
	known := err == nil
	if err != nil && !isMissing(err) {
		return row, err
	}
	if known && value(item.Key) == "" {
		return row, failure(keyTaken(classPolicy, key))
	}
	if !known {
		row = db.Policy{ID: newID("pol"), Key: key, CreatedAt: tx.Now}
	}
	row.Name, row.DrpAction, row.UpdatedAt = item.Name, item.DrpAction, tx.Now
	if row.ExecutionTimeframe, err = daysOf(item.ExecutionTimeframe); err != nil {
		return row, err
	}
	if err := freePolicy(ctx, tx, row); err != nil {
		return row, err
	}
	if known {
		return row, updatePolicy(ctx, tx, row)
	}
	return row, a.createPolicy(ctx, tx, row, item)
}

func daysOf(days *int) (*int32, error) {
	if days == nil {
		return nil, nil
	}
	n := int32(*days) //nolint:gosec // compared below
	if int(n) != *days {
		return nil, failf("An execution timeframe of %d days is not supported.", *days)
	}
	return &n, nil
}

// freePolicy refuses a name or a drp_action that another policy has.
func freePolicy(ctx context.Context, tx *store.Tx, row db.Policy) error {
	taken, err := tx.PolicyNameTaken(ctx, row.Name, row.ID)
	if err != nil {
		return err
	}
	if taken {
		return failure(nameTaken(classPolicy, row.Name))
	}
	if row.DrpAction == nil {
		return nil
	}
	if action := *row.DrpAction; action != "access" && action != "deletion" {
		return failf("%s action is not supported at this time.", action)
	}
	taken, err = tx.DRPActionTaken(ctx, *row.DrpAction, row.ID)
	if err == nil && taken {
		return failf("DRP action %s is already used by another Policy.", *row.DrpAction)
	}
	return err
}

func updatePolicy(ctx context.Context, tx *store.Tx, row db.Policy) error {
	if err := tx.UpdatePolicy(ctx, db.UpdatePolicyParams{
		ID: row.ID, Name: row.Name, DrpAction: row.DrpAction, ExecutionTimeframe: row.ExecutionTimeframe, Now: tx.Now,
	}); err != nil {
		return err
	}
	tx.Audit("update", store.NounPolicy, row.Key)
	return nil
}

// createPolicy stores a new policy with the rules that the item asks for.
func (a *API) createPolicy(ctx context.Context, tx *store.Tx, row db.Policy, item api.PolicyItem) error {
	if err := tx.InsertPolicy(ctx, db.InsertPolicyParams{
		ID: row.ID, Key: row.Key, Name: row.Name, DrpAction: row.DrpAction,
		ExecutionTimeframe: row.ExecutionTimeframe, ClientID: row.ClientID, Now: tx.Now,
	}); err != nil {
		return err
	}
	for _, rule := range rulesOf(row, item) {
		if err := a.addInlineRule(ctx, tx, row, rule); err != nil {
			return err
		}
	}
	tx.Audit("create", store.NounPolicy, row.Key)
	return nil
}

// rulesOf lists the rules that a new policy begins with: those of the item, or
// the one that its action_type stands for.
func rulesOf(row db.Policy, item api.PolicyItem) []api.InlineRule {
	if item.ActionType == nil {
		if item.Rules == nil {
			return nil
		}
		return *item.Rules
	}
	key := row.Key + "_rule"
	return []api.InlineRule{defaultRule(row.Name+" Rule", key, *item.ActionType)}
}

// defaultRule is the rule of an action without further wishes.
func defaultRule(name, key, action string) api.InlineRule {
	rule := api.InlineRule{Name: name, Key: &key, ActionType: action}
	if action == record.ActionErasure {
		rule.MaskingStrategy = &api.MaskingStrategyItem{Strategy: "hmac"}
	}
	if action == record.ActionErasure || action == record.ActionAccess {
		targets := []api.TargetItem{}
		for _, category := range defaultCategories() {
			targets = append(targets, api.TargetItem{DataCategory: category})
		}
		rule.Targets = &targets
	}
	return rule
}

// ListPolicies lists policies, newest first.
func (a *API) ListPolicies(ctx context.Context, request api.ListPoliciesRequestObject) (api.ListPoliciesResponseObject, error) {
	paging := edge.PagingOf(request.Params.Page, request.Params.Size)
	var items []api.Policy
	var total int64
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		rows, err := q.Policies(ctx, skip(paging), limit(paging))
		if err != nil {
			return err
		}
		if items, err = showPolicies(ctx, q, rows); err != nil {
			return err
		}
		total, err = q.CountPolicies(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return api.ListPolicies200JSONResponse(edge.NewPage(items, int(total), paging.Page, paging.Size)), nil
}

// GetPolicy shows one policy.
func (a *API) GetPolicy(ctx context.Context, request api.GetPolicyRequestObject) (api.GetPolicyResponseObject, error) {
	var shown []api.Policy
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		row, err := findPolicy(ctx, q, request.PolicyKey)
		if err != nil {
			return err
		}
		shown, err = showPolicies(ctx, q, []db.Policy{row})
		return err
	})
	if err != nil {
		return nil, err
	}
	return api.GetPolicy200JSONResponse(shown[0]), nil
}

func findPolicy(ctx context.Context, q *db.Queries, key string) (db.Policy, error) {
	row, err := q.Policy(ctx, key)
	if isMissing(err) {
		return row, noPolicy(key)
	}
	return row, err
}

func noPolicy(key string) error { return edge.NotFound("No Policy found for key %s.", key) }

// showPolicies shows policies with their rules, oldest rule first: it is the
// first that says what a request does.
func showPolicies(ctx context.Context, q *db.Queries, rows []db.Policy) ([]api.Policy, error) {
	ids := make([]string, 0, len(rows))
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	rules, err := q.RulesOfPolicies(ctx, ids)
	if err != nil {
		return nil, err
	}
	byPolicy := map[string][]api.Rule{}
	for _, rule := range rules {
		byPolicy[rule.PolicyID] = append(byPolicy[rule.PolicyID], showRule(rule))
	}
	shown := make([]api.Policy, 0, len(rows))
	for _, row := range rows {
		policy := api.Policy{Name: row.Name, Key: row.Key, Rules: byPolicy[row.ID], DrpAction: row.DrpAction}
		if policy.Rules == nil {
			policy.Rules = []api.Rule{}
		}
		if row.ExecutionTimeframe != nil {
			days := int(*row.ExecutionTimeframe)
			policy.ExecutionTimeframe = &days
		}
		shown = append(shown, policy)
	}
	return shown, nil
}

// DeletePolicy deletes a policy with its rules. Webhooks and privacy requests
// hold it. The orchestrator is asked before the change, so that the lock of all
// changes never waits for it.
func (a *API) DeletePolicy(ctx context.Context, request api.DeletePolicyRequestObject) (api.DeletePolicyResponseObject, error) {
	if err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		_, err := unusedPolicy(ctx, q, request.PolicyKey)
		return err
	}); err != nil {
		return nil, err
	}
	if err := a.policyNotReferenced(ctx, request.PolicyKey); err != nil {
		return nil, err
	}
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		row, err := unusedPolicy(ctx, tx.Queries, request.PolicyKey)
		if err != nil {
			return err
		}
		tx.Touch(store.PolicyRef(row.Key))
		if err := tx.DeletePolicy(ctx, row.ID); err != nil {
			return err
		}
		tx.Audit("delete", store.NounPolicy, row.Key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.DeletePolicy204Response{}, nil
}

// unusedPolicy finds a policy that no webhook holds.
func unusedPolicy(ctx context.Context, q *db.Queries, key string) (db.Policy, error) {
	row, err := findPolicy(ctx, q, key)
	if err != nil {
		return row, err
	}
	return row, policyNotInUse(ctx, q, row)
}
