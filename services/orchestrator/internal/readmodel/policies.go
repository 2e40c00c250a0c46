package readmodel

import "context"

// PolicyReferenced says whether any request, ended and deleted ones included,
// was submitted under a policy.
func (s *Store) PolicyReferenced(ctx context.Context, policyKey string) (bool, error) {
	if err := s.usable(); err != nil {
		return false, err
	}
	referenced, err := s.queries.PolicyReferenced(ctx, policyKey)
	return referenced, unavailable(err)
}
