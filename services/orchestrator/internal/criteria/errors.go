package criteria

// Refusal is the text with which a search is refused that contradicts itself.
// Clients know it, so it stands in the answer as it is (status 400).
type Refusal string

// Error gives the text.
func (r Refusal) Error() string { return string(r) }

// ErrBothEnds is the refusal of a search for both completed and failed
// requests.
const ErrBothEnds Refusal = "Cannot specify both succeeded and failed query params."
