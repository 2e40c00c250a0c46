package readmodel

import "context"

// PolicyReferenced says whether any request, ended and deleted ones included,
// was submitted under a policy.
func (s *Store) PolicyReferenced(ctx context.Context, policyKey string) (bool, error) {
	var referenced bool
	err := s.ask(ctx, func(ctx context.Context) (err error) {
		referenced, err = s.queries.PolicyReferenced(ctx, policyKey)
		return err
	})
	return referenced, err
}
