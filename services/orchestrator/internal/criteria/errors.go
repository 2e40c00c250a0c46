package criteria

import "errors"

var (
	// ErrBothEnds is the refusal of a search for both completed and failed
	// requests; its text is part of the contract.
	ErrBothEnds = errors.New("Cannot specify both succeeded and failed query params.") //nolint:staticcheck,revive // see above
	errRange    = errors.New("Value specified")                                        //nolint:staticcheck,revive // begin of a text of the contract
)
