package stage

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-dsr/parley/bench/internal/child"
)

// Processor is the time for which the parts of a benchmark kept processors
// busy. Other work on the machine makes what is measured by the clock slower,
// but not this.
type Processor struct{ Own, NATS, Receiver time.Duration }

// Processor tells the times since the parts began.
func (s *Stage) Processor() Processor {
	return Processor{Own: child.Used(os.Getpid()).Processor, NATS: child.Used(s.nats.PID()).Processor, Receiver: child.Used(s.receiver.PID()).Processor}
}

// Since is what has been used since an earlier look.
func (p Processor) Since(earlier Processor) Processor {
	return Processor{Own: p.Own - earlier.Own, NATS: p.NATS - earlier.NATS, Receiver: p.Receiver - earlier.Receiver}
}

// Profiled does something while profiles of all parts are taken, if there is a
// folder for them.
func (s *Stage) Profiled(folder string, do func() error) (err error) {
	if folder == "" {
		return do()
	}
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // results are for all
		return err
	}
	end, err := child.Profile(filepath.Join(folder, "dispatcher"))
	if err != nil {
		return err
	}
	for name, part := range map[string]*child.Child{"nats": s.nats, "receiver": s.receiver} {
		if err := part.Profile(filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	err = do()
	return errors.Join(err, end(), s.nats.Profile(""), s.receiver.Profile(""))
}
