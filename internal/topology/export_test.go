package topology

// For tests.
var (
	CheckVersion = checkVersion
	WholeSeconds = wholeSeconds
)
