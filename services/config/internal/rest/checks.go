package rest

import "github.com/parley-dsr/parley/internal/identity"

// Checks are the rules over bodies that a schema cannot say. They belong to the
// validation of the request: the edge reports them together with everything
// else that does not fit.
func Checks() map[string]func(body any) []identity.Problem {
	return map[string]func(body any) []identity.Problem{
		"putPreWebhooks":         namesConnections,
		"putPostWebhooks":        namesConnections,
		"putPreApprovalWebhooks": namesConnections,
	}
}

// namesConnections wants every item of a list to name a connection: by
// connection_config_key, or by the connection as GET shows it.
func namesConnections(body any) []identity.Problem {
	place := []any{"body"}
	if page, ok := body.(map[string]any); ok {
		body, place = page["items"], append(place, "items")
	}
	items, _ := body.([]any)
	var problems []identity.Problem
	for i, item := range items {
		members, _ := item.(map[string]any)
		shown, _ := members["connection_config"].(map[string]any)
		if members["connection_config_key"] == nil && shown["key"] == nil {
			problems = append(problems, identity.Problem{
				Type: "missing", Loc: append(append([]any{}, place...), i, "connection_config_key"), Msg: "Field required",
			})
		}
	}
	return problems
}
