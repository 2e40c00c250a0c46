package transition

import (
	"time"

	"github.com/parley-dsr/parley/internal/record"
)

// Life is how long a record stays in the bucket after its last change: for ever
// (0), or, once its request has ended, until nothing can ask for it any more.
func (l *Loop) Life(rec *record.Record) time.Duration { return l.ttl(rec) }
