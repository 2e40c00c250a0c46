package testbed

import "testing"

// Settling is a testing.M that waits, once the tests have run, until nothing of
// them is left: a search for lost goroutines by itself gives those that are
// ending half a second, which a busy machine may need more of.
type Settling struct {
	M *testing.M
	// Left says what is left, and takes a while for it.
	Left func() error
}

// Run runs the tests.
func (s Settling) Run() int {
	code := s.M.Run()
	const looks = 60
	for look := 0; code == 0 && look < looks && s.Left() != nil; look++ {
	}
	return code
}
