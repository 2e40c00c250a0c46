package rest

import (
	"context"
	"errors"
	"strings"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
	"github.com/parley-dsr/parley/services/config/internal/webhooks"
)

const classTarget = "RuleTarget"

// UpsertTargets creates or updates targets of a rule, each by itself
// (contract §3.2).
func (a *API) UpsertTargets(ctx context.Context, request api.UpsertTargetsRequestObject) (api.UpsertTargetsResponseObject, error) {
	items := *request.Body
	var bulk api.TargetBulk
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		policy, rule, err := findRuleOf(ctx, tx.Queries, request.PolicyKey, request.RuleKey)
		if err != nil {
			return err
		}
		if err := checkCategories(items); err != nil {
			return err
		}
		bulk = api.TargetBulk{Succeeded: []api.Target{}, Failed: []api.PolicyFailure{}}
		for _, item := range items {
			var row db.Target
			err := tx.Item(ctx, func(tx *store.Tx) error {
				row, err = placeTarget(ctx, tx, policy, rule, item)
				return err
			})
			if text, alone := failureText(err); alone {
				bulk.Failed = append(bulk.Failed, api.PolicyFailure{Message: text, Data: asJSON(item)})
				continue
			}
			if err != nil {
				return err
			}
			bulk.Succeeded = append(bulk.Succeeded, showTarget(row))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.UpsertTargets200JSONResponse(bulk), nil
}

func findRuleOf(ctx context.Context, q *db.Queries, policyKey, ruleKey string) (db.Policy, db.Rule, error) {
	policy, err := findPolicy(ctx, q, policyKey)
	if err != nil {
		return policy, db.Rule{}, err
	}
	rule, err := findRule(ctx, q, policy, ruleKey)
	return policy, rule, err
}

func checkCategories(items []api.TargetItem) error {
	var unknown []string
	for _, item := range items {
		if !validCategory(item.DataCategory) && !contains(unknown, item.DataCategory) {
			unknown = append(unknown, item.DataCategory)
		}
	}
	if len(unknown) > 0 {
		return edge.UnprocessableText("Invalid data categories: %s", pythonList(unknown))
	}
	return nil
}

// placeTarget stores an item: over the target of its key, or as a new one.
func placeTarget(ctx context.Context, tx *store.Tx, policy db.Policy, rule db.Rule, item api.TargetItem) (db.Target, error) {
	if err := checkCategories([]api.TargetItem{item}); err != nil {
		var refusal *edge.Error
		errors.As(err, &refusal)
		return db.Target{}, failf("%v", refusal.Detail)
	}
	name := value(item.Name)
	if name == "" {
		name = rule.ID + "-" + item.DataCategory
	}
	key := value(item.Key)
	if key == "" {
		made, err := webhooks.KeyFromName(name)
		if err != nil {
			return db.Target{}, failure(badKey())
		}
		key = made
	}
	row, err := tx.Target(ctx, key)
	known := err == nil
	switch {
	case err != nil && !isMissing(err):
		return row, err
	case known && row.RuleID != rule.ID:
		return row, failf("RuleTarget with identifier %s belongs to another rule.", key)
	case known && value(item.Key) == "":
		return row, failf("DataCategory %s is already specified on Rule with ID %s", item.DataCategory, rule.ID)
	case !known:
		row = db.Target{ID: newID("rul"), RuleID: rule.ID, Key: key, CreatedAt: tx.Now}
	}
	row.Name, row.DataCategory, row.UpdatedAt = name, item.DataCategory, tx.Now
	if err := freeTarget(ctx, tx, policy, rule, row); err != nil {
		return row, err
	}
	tx.Touch(store.PolicyRef(policy.Key))
	return row, storeTarget(ctx, tx, row, known)
}

// freeTarget refuses what contradicts the other targets: the same category on
// one rule, and in erasure rules a category beside one that contains it.
func freeTarget(ctx context.Context, tx *store.Tx, policy db.Policy, rule db.Rule, row db.Target) error {
	taken, err := tx.TargetNameTaken(ctx, row.Name, row.ID)
	if err != nil {
		return err
	}
	if taken {
		return failure(nameTaken(classTarget, row.Name))
	}
	rules, err := tx.RulesOfPolicies(ctx, []string{policy.ID})
	if err != nil {
		return err
	}
	erasures := []string{}
	for _, r := range rules {
		if r.ActionType == record.ActionErasure {
			erasures = append(erasures, r.ID)
		}
	}
	others, err := tx.TargetsOfRules(ctx, append(erasures, rule.ID))
	if err != nil {
		return err
	}
	for _, other := range others {
		switch {
		case other.ID == row.ID:
		case other.RuleID == rule.ID && other.DataCategory == row.DataCategory:
			return failf("DataCategory %s is already specified on Rule with ID %s", row.DataCategory, rule.ID)
		case rule.ActionType == record.ActionErasure && overlap(other.DataCategory, row.DataCategory):
			return failf("Policy rules are invalid, action conflict in erasure rules detected for categories %s and %s",
				other.DataCategory, row.DataCategory)
		}
	}
	return nil
}

// overlap says whether one category is, or contains, the other.
func overlap(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".")
}

func storeTarget(ctx context.Context, tx *store.Tx, row db.Target, known bool) error {
	if known {
		if err := tx.UpdateTarget(ctx, db.UpdateTargetParams{
			ID: row.ID, Name: row.Name, DataCategory: row.DataCategory, Now: tx.Now,
		}); err != nil {
			return err
		}
		tx.Audit("update", "target", row.Key)
		return nil
	}
	if err := tx.InsertTarget(ctx, db.InsertTargetParams{
		ID: row.ID, RuleID: row.RuleID, Key: row.Key, Name: row.Name, DataCategory: row.DataCategory, Now: tx.Now,
	}); err != nil {
		return err
	}
	tx.Audit("create", "target", row.Key)
	return nil
}

// ListTargets lists the targets of a rule, newest first.
func (a *API) ListTargets(ctx context.Context, request api.ListTargetsRequestObject) (api.ListTargetsResponseObject, error) {
	paging := edge.PagingOf(request.Params.Page, request.Params.Size)
	items := []api.Target{}
	var total int64
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		_, rule, err := findRuleOf(ctx, q, request.PolicyKey, request.RuleKey)
		if err != nil {
			return err
		}
		rows, err := q.TargetsPage(ctx, rule.ID, skip(paging), limit(paging))
		if err != nil {
			return err
		}
		for _, row := range rows {
			items = append(items, showTarget(row))
		}
		total, err = q.CountTargets(ctx, rule.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return api.ListTargets200JSONResponse(edge.NewPage(items, int(total), paging.Page, paging.Size)), nil
}

// GetTarget shows one target.
func (a *API) GetTarget(ctx context.Context, request api.GetTargetRequestObject) (api.GetTargetResponseObject, error) {
	var row db.Target
	err := a.read(ctx, func(ctx context.Context, q *db.Queries) error {
		_, rule, err := findRuleOf(ctx, q, request.PolicyKey, request.RuleKey)
		if err != nil {
			return err
		}
		row, err = q.Target(ctx, request.TargetKey)
		if isMissing(err) || err == nil && row.RuleID != rule.ID {
			return edge.NotFound("No Rule Target found for key %s attached to rule %s.", request.TargetKey, rule.Key)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return api.GetTarget200JSONResponse(showTarget(row)), nil
}

// DeleteTarget deletes one target.
func (a *API) DeleteTarget(ctx context.Context, request api.DeleteTargetRequestObject) (api.DeleteTargetResponseObject, error) {
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		policy, rule, err := findRuleOf(ctx, tx.Queries, request.PolicyKey, request.RuleKey)
		if err != nil {
			return err
		}
		row, err := tx.Target(ctx, request.TargetKey)
		if isMissing(err) || err == nil && row.RuleID != rule.ID {
			return edge.NotFound("No RuleTarget found for key %s at Rule %s on Policy %s.", request.TargetKey, rule.Key, policy.Key)
		}
		if err != nil {
			return err
		}
		tx.Touch(store.PolicyRef(policy.Key))
		if err := tx.DeleteTarget(ctx, row.ID); err != nil {
			return err
		}
		tx.Audit("delete", "target", row.Key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.DeleteTarget204Response{}, nil
}

func showTarget(row db.Target) api.Target {
	return api.Target{Name: row.Name, Key: row.Key, DataCategory: row.DataCategory}
}
