package lane

import (
	"context"
	"errors"
	"time"
)

// verdict is what becomes of a message once its handler has returned.
type verdict struct {
	kind  verdictKind
	delay time.Duration // of again
}

type verdictKind int

const (
	ack   verdictKind = iota // done with, goes
	term                     // unusable, goes
	again                    // stays and is delivered again
)

// The pauses before another delivery double from the first to the longest.
const (
	firstPause   = time.Second
	longestPause = 2 * time.Minute
)

// verdictOn decides by the handler's error. Whatever is not known to be the
// end of a message keeps it. A handler that was interrupted makes room at once
// for another replica.
func verdictOn(err error, delivered uint64) verdict {
	switch {
	case err == nil:
		return verdict{kind: ack}
	case errors.Is(err, ErrUnreadable):
		return verdict{kind: term}
	case errors.Is(err, context.Canceled):
		return verdict{kind: again}
	}
	pause := firstPause
	for n := uint64(1); n < delivered && pause < longestPause; n++ {
		pause *= 2
	}
	return verdict{kind: again, delay: min(pause, longestPause)}
}
