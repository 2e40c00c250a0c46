package process

import "time"

// Within ends something, and waits for it no longer than the limit: what hangs
// then ends with the process.
func Within(limit time.Duration, end func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end()
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}
