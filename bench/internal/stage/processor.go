package stage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"
)

// tick is the unit in which Linux tells the time of a processor.
const tick = 10 * time.Millisecond

// Processor is the time for which the parts of a benchmark kept processors
// busy. Other work on the machine makes what is measured by the clock slower,
// but not this.
type Processor struct{ Own, NATS, Receiver time.Duration }

// Processor tells the times since the parts began.
func (s *Stage) Processor() Processor {
	return Processor{Own: busy(os.Getpid()), NATS: busy(s.nats.cmd.Process.Pid), Receiver: busy(s.receiver.cmd.Process.Pid)}
}

// Since is what has been used since an earlier look.
func (p Processor) Since(earlier Processor) Processor {
	return Processor{Own: p.Own - earlier.Own, NATS: p.NATS - earlier.NATS, Receiver: p.Receiver - earlier.Receiver}
}

// busy is the processor time of a process; 0 where the system does not tell.
func busy(pid int) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name of the program, in parentheses, may have spaces.
	rest := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	const user, system = 11, 12
	if len(rest) <= system {
		return 0
	}
	var ticks [2]int64
	for i, field := range []int{user, system} {
		if _, err := fmt.Sscan(rest[field], &ticks[i]); err != nil {
			return 0
		}
	}
	return time.Duration(ticks[0]+ticks[1]) * tick
}

// Profiled does something while CPU profiles of all parts are taken, if there
// is a folder for them.
func (s *Stage) Profiled(folder string, do func() error) (err error) {
	if folder == "" {
		return do()
	}
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // results are for all
		return err
	}
	own, err := os.Create(filepath.Join(folder, "dispatcher.pprof")) //nolint:gosec // the path is of who measures
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(own); err != nil {
		return err
	}
	for part, child := range map[string]*Child{"nats": s.nats, "receiver": s.receiver} {
		if err := child.profile(filepath.Join(folder, part+".pprof")); err != nil {
			return err
		}
	}
	err = do()
	pprof.StopCPUProfile()
	return errors.Join(err, own.Close(), s.nats.profile(""), s.receiver.profile(""), writeAllocs(folder))
}

// writeAllocs writes what was allocated since the process began.
func writeAllocs(folder string) error {
	file, err := os.Create(filepath.Join(folder, "dispatcher.allocs.pprof")) //nolint:gosec // the path is of who measures
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}
