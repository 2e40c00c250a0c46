package child

import (
	"errors"
	"os"
	"runtime"
	"runtime/pprof"
)

// What a profile of blocking samples: one event for so many nanoseconds that
// were waited, and one of so many waits for a lock.
const (
	blockRate     = 10_000
	mutexFraction = 10
)

// Profile begins to profile this process. What it returns ends that, and writes
// where time of processors went to <prefix>.pprof, what was allocated since the
// process began to <prefix>.allocs.pprof, and what goroutines waited for to
// <prefix>.block.pprof and, of locks alone, <prefix>.mutex.pprof.
func Profile(prefix string) (end func() error, err error) {
	file, err := os.Create(prefix + ".pprof") //nolint:gosec // the path is of who measures
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	runtime.SetBlockProfileRate(blockRate)
	runtime.SetMutexProfileFraction(mutexFraction)
	return func() error {
		pprof.StopCPUProfile()
		runtime.SetBlockProfileRate(0)
		runtime.SetMutexProfileFraction(0)
		all := []error{file.Close()}
		for _, name := range []string{"allocs", "block", "mutex"} {
			all = append(all, write(name, prefix+"."+name+".pprof"))
		}
		return errors.Join(all...)
	}, nil
}

func write(name, path string) error {
	file, err := os.Create(path) //nolint:gosec // the path is of who measures
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(name).WriteTo(file, 0), file.Close())
}
