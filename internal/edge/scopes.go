package edge

import "slices"

// The roles that a client may have.
const (
	RoleOwner       = "owner"
	RoleContributor = "contributor"
	RoleApprover    = "approver"
	RoleViewer      = "viewer"
)

// AllScopes returns every scope there is, in alphabetical order. Some of them
// guard what Parley does not have; clients hold them all the same, and the
// roles are defined by them.
func AllScopes() []string {
	scopes := append(usedScopes(), ownerScopes()...)
	slices.Sort(scopes)
	return scopes
}

// RoleScopes returns the scopes that each role implies (contract §1.3).
func RoleScopes() map[string][]string {
	all := AllScopes()
	contributor := slices.DeleteFunc(slices.Clone(all), func(s string) bool {
		return slices.Contains(ownerScopes(), s)
	})
	return map[string][]string{
		RoleOwner:       all,
		RoleContributor: contributor,
		RoleApprover: {
			"privacy-request:create", "privacy-request:delete", "privacy-request:read", "privacy-request:resume",
			"privacy-request:review", "privacy-request:upload_data", "privacy-request:view_data",
		},
		RoleViewer: {"client:read", "connection:read", "policy:read", "rule:read", "scope:read", "webhook:read"},
	}
}

// usedScopes are those that every role but the restricted ones may have.
func usedScopes() []string {
	return []string{
		"client:create", "client:delete", "client:read", "client:update",
		"config:read", "config:update",
		"connection:create_or_update", "connection:delete", "connection:read",
		"policy:create_or_update", "policy:delete", "policy:read",
		"privacy-request-access-results:read",
		"privacy-request:create", "privacy-request:delete", "privacy-request:read", "privacy-request:resume",
		"privacy-request:review", "privacy-request:upload_data", "privacy-request:view_data",
		"rule:create_or_update", "rule:delete", "rule:read",
		"scope:read",
		"webhook:create_or_update", "webhook:delete", "webhook:read",
	}
}

// ownerScopes are the nine that a contributor lacks.
func ownerScopes() []string {
	return []string{
		"connector_template:register",
		"heap_dump:exec",
		"messaging:create_or_update", "messaging:delete",
		"privacy-request-email-integrations:send",
		"privacy-request-notifications:create_or_update",
		"storage:create_or_update", "storage:delete",
		"user-permission:assign_owners",
	}
}
