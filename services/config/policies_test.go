package config_test

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/work"
)

func TestDefaultPolicies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := b.call("GET", "/dsr/policy", nil).want(t, http.StatusOK)
	if diff := cmp.Diff([]any{"default_consent_policy", "default_erasure_policy", "default_access_policy"}, names(list, "key")); diff != "" {
		t.Error(diff)
	}
	b.call("GET", "/dsr/policy/default_access_policy", nil).wantJSON(t, http.StatusOK, `{"name":"Default Access Policy","key":"default_access_policy",
		"rules":[{"name":"Default Access Rule","key":"default_access_policy_rule","action_type":"access","storage_destination":null,"masking_strategy":null}],
		"drp_action":"access","execution_timeframe":45,"conditions":null}`)
	b.call("GET", "/dsr/policy/default_erasure_policy", nil).wantJSON(t, http.StatusOK, `{"name":"Default Erasure Policy","key":"default_erasure_policy",
		"rules":[{"name":"Default Erasure Rule","key":"default_erasure_policy_rule","action_type":"erasure","storage_destination":null,"masking_strategy":{"strategy":"hmac"}}],
		"drp_action":"deletion","execution_timeframe":45,"conditions":null}`)
	b.call("GET", "/dsr/policy/default_consent_policy", nil).wantJSON(t, http.StatusOK, `{"name":"Default Consent Policy","key":"default_consent_policy",
		"rules":[{"name":"Default Consent Rule","key":"default_consent_rule","action_type":"consent","storage_destination":null,"masking_strategy":null}],
		"drp_action":null,"execution_timeframe":45,"conditions":null}`)
	for _, key := range []string{"default_access_policy", "default_erasure_policy", "default_consent_policy"} {
		if entry, err := b.policy(key); err != nil || len(entry.Policy.Rules) != 1 || entry.Version == 0 {
			t.Errorf("%s: %+v, %v", key, entry, err)
		}
	}
	targets := b.call("GET", "/dsr/policy/default_access_policy/rule/default_access_policy_rule/target?size=100", nil).want(t, http.StatusOK)
	categories := names(targets, "data_category")
	if len(categories) < 20 {
		t.Errorf("the default targets: %v", categories)
	}
	for _, category := range categories {
		if c := category.(string); !regexp.MustCompile(`^user\.[a-z_]+$`).MatchString(c) || c == "user.financial" || c == "user.payment" || c == "user.authorization" {
			t.Errorf("a default target is %s", c)
		}
	}
}

func TestPolicyUpsert(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.call("PATCH", "/dsr/policy", `[
		{"name":"Plain"},
		{"name":"Access","key":"acc","action_type":"access","execution_timeframe":7,"extra":1},
		{"name":"Erase","action_type":"erasure"},
		{"name":"Own","rules":[{"name":"Own Rule","action_type":"erasure","masking_strategy":{"strategy":"hash","configuration":{"salt":"s3cret"}},
			"targets":[{"data_category":"user.contact"}]}]}]`).want(t, http.StatusOK)
	if !strings.HasPrefix(made.body, `{"succeeded":[{"name":"Plain","key":"plain","rules":[],"drp_action":null,"execution_timeframe":null,"conditions":null},`+
		`{"name":"Access","key":"acc","rules":[{"name":"Access Rule","key":"acc_rule","action_type":"access","storage_destination":null,"masking_strategy":null}],`) {
		t.Error(made.body)
	}
	if diff := cmp.Diff([]any{}, made.field("failed")); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(made.body, "s3cret") {
		t.Error("the configuration of a masking strategy is shown")
	}
	b.call("GET", "/dsr/policy/erase", nil).wantJSON(t, http.StatusOK, `{"name":"Erase","key":"erase","rules":[{"name":"Erase Rule","key":"erase_rule",
		"action_type":"erasure","storage_destination":null,"masking_strategy":{"strategy":"hmac"}}],"drp_action":null,"execution_timeframe":null,"conditions":null}`)
	entry, err := b.policy("own")
	if err != nil || len(entry.Policy.Rules) != 1 || *entry.Policy.Rules[0].MaskingStrategy != "hash" || !strings.HasPrefix(entry.Policy.Rules[0].ID, "rul_") {
		t.Errorf("the entry: %+v, %v", entry, err)
	}

	// An update overwrites, ignores rules, and clears what is absent.
	b.call("PATCH", "/dsr/policy", `[{"name":"Access 2","key":"acc","action_type":"erasure"}]`).want(t, http.StatusOK)
	b.call("GET", "/dsr/policy/acc", nil).wantJSON(t, http.StatusOK, `{"name":"Access 2","key":"acc","rules":[{"name":"Access Rule","key":"acc_rule",
		"action_type":"access","storage_destination":null,"masking_strategy":null}],"drp_action":null,"execution_timeframe":null,"conditions":null}`)
}

func TestPolicyFailures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.call("PATCH", "/dsr/policy", `[{"name":"Mine","key":"mine"}]`).want(t, http.StatusOK)
	for name, c := range map[string]struct{ item, message string }{
		"key of a name":   {`{"name":"mine"}`, "Key mine already exists in Policy. Keys will be snake-cased names if not provided. If you are seeing this error without providing a key, please provide a key or a different name."},
		"name":            {`{"name":"Mine","key":"other"}`, "Name Mine already exists in Policy."},
		"drp action":      {`{"name":"New","drp_action":"access"}`, "DRP action access is already used by another Policy."},
		"unsupported drp": {`{"name":"New","drp_action":"sale:opt_out"}`, "sale:opt_out action is not supported at this time."},
		"update":          {`{"name":"New","action_type":"update"}`, "Unsupported action_type 'update'. Must be one of: access, consent, erasure"},
		"no masking":      {`{"name":"New","rules":[{"name":"R","action_type":"erasure"}]}`, "Erasure Rules must have masking strategies."},
		"two consents":    {`{"name":"New","rules":[{"name":"R","action_type":"consent"},{"name":"S","action_type":"consent"}]}`, "Policies can only have one consent rule attached.  Existing rule r found."},
		"another's rule":  {`{"name":"New","rules":[{"name":"R","key":"default_consent_rule","action_type":"consent"}]}`, "Rule with identifier default_consent_rule belongs to another policy."},
		"category":        {`{"name":"New","rules":[{"name":"R","action_type":"access","targets":[{"data_category":"nope"}]}]}`, "Invalid data categories: ['nope']"},
	} {
		reply := b.call("PATCH", "/dsr/policy", "["+c.item+"]").want(t, http.StatusOK)
		failed, _ := reply.field("failed").([]any)
		if len(failed) != 1 || failed[0].(map[string]any)["message"] != c.message {
			t.Errorf("%s: %s", name, reply.body)
		}
	}
	b.call("GET", "/dsr/policy/new", nil).wantDetail(t, http.StatusNotFound, "No Policy found for key new.")
	b.call("PATCH", "/dsr/policy", `[{"name":"New","action_type":"access","rules":[{"name":"R","action_type":"access"}]}]`).
		wantProblem(t, "value_error", `["body",0]`, "Value error, Provide either 'action_type' or 'rules', not both.")
	b.call("PATCH", "/dsr/policy", `[{"key":"x"}]`).wantProblem(t, "missing", `["body",0,"name"]`, "Field required")
	b.call("PATCH", "/dsr/policy", "["+strings.TrimSuffix(strings.Repeat(`{"name":"n"},`, 51), ",")+"]").
		wantProblem(t, "too_long", `["body"]`, "List should have at most 50 items after validation, not 51")
	b.call("PATCH", "/dsr/policy", `[{"name":"***"}]`).want(t, http.StatusUnprocessableEntity)
}

func TestDeletePolicy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hook("c")
	const unknown = "No orchestrator says whether privacy requests refer to the policy. Nothing was changed."
	if away := b.call("DELETE", "/dsr/policy/default_erasure_policy", nil).wantDetail(t, http.StatusServiceUnavailable, unknown); away.header.Get("Retry-After") == "" {
		t.Error("the answer does not say when to come back")
	}
	orchestrator(t, b.nc, map[string]work.PolicyUse{
		"default_erasure_policy": {Known: true, Referenced: true}, "default_consent_policy": {Known: false},
	})
	b.call("DELETE", "/dsr/policy/default_erasure_policy", nil).wantDetail(t, http.StatusConflict,
		"Cannot delete policy default_erasure_policy: it is referenced by one or more privacy requests.")
	b.call("DELETE", "/dsr/policy/default_consent_policy", nil).wantDetail(t, http.StatusServiceUnavailable, unknown)
	for _, kept := range []string{"default_erasure_policy", "default_consent_policy"} {
		b.call("GET", "/dsr/policy/"+kept, nil).want(t, http.StatusOK)
	}
	b.call("DELETE", "/dsr/policy/nope", nil).wantDetail(t, http.StatusNotFound, "No Policy found for key nope.")
	b.call("PUT", "/dsr/policy/default_access_policy/webhook/pre_execution", []any{item("c", "one_way", "Hook", "")}).want(t, http.StatusOK)
	b.call("DELETE", "/dsr/policy/default_access_policy", nil).wantDetail(t, http.StatusConflict,
		"Cannot delete policy default_access_policy: it is referenced by webhooks hook.")
	b.call("PUT", "/dsr/policy/default_access_policy/webhook/pre_execution", `[]`).wantJSON(t, http.StatusOK, `[]`)
	if gone := b.call("DELETE", "/dsr/policy/default_access_policy", nil).want(t, http.StatusNoContent); gone.body != "" {
		t.Error(gone)
	}
	if _, err := b.policy("default_access_policy"); !errors.Is(err, catalog.ErrNotFound) {
		t.Error("the entry of a deleted policy is there", err)
	}
	b.call("PATCH", "/dsr/policy/default_consent_policy/rule", `[{"name":"x","key":"default_access_policy_rule","action_type":"access"}]`).want(t, http.StatusOK)
}

func TestRules(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.call("PATCH", "/dsr/policy", `[{"name":"P"},{"name":"Q"}]`).want(t, http.StatusOK)
	const rules = "/dsr/policy/p/rule"
	b.call("PATCH", rules, `[{"name":"A","action_type":"access","storage_destination_key":"bucket"},
		{"name":"E","action_type":"erasure","masking_strategy":{"strategy":"nullify","configuration":{}}}]`).wantJSON(t, http.StatusOK, `{"succeeded":[
		{"name":"A","key":"a","action_type":"access","storage_destination":{"name":null,"type":null,"details":null,"key":"bucket","format":null,"is_default":false},"masking_strategy":null},
		{"name":"E","key":"e","action_type":"erasure","storage_destination":null,"masking_strategy":{"strategy":"nullify"}}],"failed":[]}`)
	if diff := cmp.Diff([]any{"e", "a"}, names(b.call("GET", rules, nil), "key")); diff != "" {
		t.Error(diff)
	}
	b.call("GET", rules+"/e", nil).wantJSON(t, http.StatusOK, `{"name":"E","key":"e","action_type":"erasure","targets":[],"storage_destination":null,"masking_strategy":{"strategy":"nullify"}}`)
	if entry, err := b.policy("p"); err != nil || entry.Policy.Action() != "access" || *entry.Policy.Rules[0].StorageDestinationID != "bucket" {
		t.Error(entry, err)
	}

	for name, c := range map[string]struct{ item, message string }{
		"update":         {`{"name":"U","action_type":"update"}`, "update Rules are not supported at this time."},
		"no masking":     {`{"name":"U","action_type":"erasure"}`, "Erasure Rules must have masking strategies."},
		"another policy": {`{"name":"U","key":"default_consent_rule","action_type":"consent"}`, "Rule with identifier default_consent_rule belongs to another policy."},
		"name":           {`{"name":"A","key":"b","action_type":"access"}`, "Name A already exists in Rule."},
		"key of a name":  {`{"name":"a","action_type":"access"}`, "Key a already exists in Rule. Keys will be snake-cased names if not provided. If you are seeing this error without providing a key, please provide a key or a different name."},
	} {
		reply := b.call("PATCH", rules, "["+c.item+"]").want(t, http.StatusOK)
		failed, _ := reply.field("failed").([]any)
		if len(failed) != 1 || failed[0].(map[string]any)["message"] != c.message {
			t.Errorf("%s: %s", name, reply.body)
		}
	}
	b.call("PATCH", rules, `[{"name":"A"}]`).wantProblem(t, "missing", `["body",0,"action_type"]`, "Field required")
	b.call("PATCH", "/dsr/policy/nope/rule", `[]`).wantDetail(t, http.StatusNotFound, "No Policy found for key nope.")
	b.call("GET", "/dsr/policy/nope/rule", nil).wantDetail(t, http.StatusNotFound, "No Policy found for key nope.")
	b.call("GET", "/dsr/policy/nope/rule/a", nil).wantDetail(t, http.StatusNotFound, "No Policy found for key nope.")
	b.call("GET", "/dsr/policy/q/rule/a", nil).wantDetail(t, http.StatusNotFound, "No Rule found for key a attached to policy q")
	b.call("DELETE", "/dsr/policy/q/rule/a", nil).wantDetail(t, http.StatusNotFound, "No Rule found for key a on Policy q.")
	b.call("DELETE", "/dsr/policy/nope/rule/a", nil).wantDetail(t, http.StatusNotFound, "No Policy found for key nope.")
	b.call("DELETE", rules+"/a", nil).want(t, http.StatusNoContent)
	if entry, err := b.policy("p"); err != nil || entry.Policy.Action() != "erasure" {
		t.Error(entry, err)
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.call("PATCH", "/dsr/policy", `[{"name":"P","rules":[{"name":"E","action_type":"erasure","masking_strategy":{"strategy":"hmac"}},{"name":"A","action_type":"access"}]}]`).want(t, http.StatusOK)
	const targets = "/dsr/policy/p/rule/e/target"
	b.call("PATCH", targets, `[{"name":"Mail","data_category":"user.contact.email"}]`).wantJSON(t, http.StatusOK,
		`{"succeeded":[{"name":"Mail","key":"mail","data_category":"user.contact.email"}],"failed":[]}`)
	unnamed := b.call("PATCH", targets, `[{"data_category":"user.name"}]`).want(t, http.StatusOK)
	if !regexp.MustCompile(`"name":"rul_[0-9a-f-]{36}-user\.name"`).MatchString(unnamed.body) {
		t.Error(unnamed.body)
	}
	for name, c := range map[string]struct{ path, item, pattern string }{
		"same category": {targets, `{"name":"Other","data_category":"user.contact.email"}`, `^DataCategory user\.contact\.email is already specified on Rule with ID rul_[0-9a-f-]{36}$`},
		"same, unnamed": {targets, `{"data_category":"user.name"}`, `^DataCategory user\.name is already specified on Rule with ID rul_[0-9a-f-]{36}$`},
		"parent":        {targets, `{"name":"Other","data_category":"user.contact"}`, `^Policy rules are invalid, action conflict in erasure rules detected for categories user\.contact\.email and user\.contact$`},
		"another rule":  {"/dsr/policy/p/rule/a/target", `{"key":"mail","data_category":"user.contact.email"}`, `^RuleTarget with identifier mail belongs to another rule\.$`},
		"name":          {"/dsr/policy/p/rule/a/target", `{"name":"Mail","key":"m2","data_category":"user.contact.email"}`, `^Name Mail already exists in RuleTarget\.$`},
	} {
		reply := b.call("PATCH", c.path, "["+c.item+"]").want(t, http.StatusOK)
		failed, _ := reply.field("failed").([]any)
		if len(failed) != 1 || !regexp.MustCompile(c.pattern).MatchString(failed[0].(map[string]any)["message"].(string)) {
			t.Errorf("%s: %s", name, reply.body)
		}
	}
	b.call("PATCH", targets, `[{"data_category":"x"},{"data_category":"user.contact"}]`).wantDetail(t, http.StatusUnprocessableEntity, "Invalid data categories: ['x']")
	b.call("GET", targets+"/mail", nil).wantJSON(t, http.StatusOK, `{"name":"Mail","key":"mail","data_category":"user.contact.email"}`)
	if total := b.call("GET", targets, nil).field("total"); total != 2.0 {
		t.Errorf("%v targets", total)
	}
	b.call("GET", targets+"/nope", nil).wantDetail(t, http.StatusNotFound, "No Rule Target found for key nope attached to rule e.")
	b.call("DELETE", "/dsr/policy/p/rule/a/target/mail", nil).wantDetail(t, http.StatusNotFound, "No RuleTarget found for key mail at Rule a on Policy p.")
	b.call("DELETE", targets+"/mail", nil).want(t, http.StatusNoContent)
	b.call("GET", "/dsr/policy/p/rule/nope/target", nil).wantDetail(t, http.StatusNotFound, "No Rule found for key nope attached to policy p")
}

func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for path, c := range map[string]struct{ method, item string }{
		"/dsr/policy/default_access_policy/rule":                                   {"PATCH", `{"name":"n","action_type":"access"}`},
		"/dsr/policy/default_access_policy/rule/default_access_policy_rule/target": {"PATCH", `{"data_category":"user.name"}`},
		"/dsr/webhook/pre_approval":                                                {"PUT", `{"name":"n","connection_config_key":"c"}`},
		"/dsr/policy/default_access_policy/webhook/post_execution":                 {"PUT", `{"name":"n","connection_config_key":"c","direction":"one_way"}`},
	} {
		b.call(c.method, path, "["+strings.TrimSuffix(strings.Repeat(c.item+",", 51), ",")+"]").
			wantProblem(t, "too_long", `["body"]`, "List should have at most 50 items after validation, not 51")
	}
}
