package topology

// For tests.
var (
	WholeSeconds = wholeSeconds
)
