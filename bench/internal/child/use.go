package child

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit in which Linux tells the time of a processor.
const tick = 10 * time.Millisecond

// Use is what a process has used. Other work on the machine makes what is
// measured by the clock slower, but not this.
type Use struct {
	Processor time.Duration
	// Memory is what of it is in memory, in bytes, and shared by no other
	// process; Resident is with what is shared.
	Memory, Resident int64
}

// Used tells what a process has used; nothing where the system does not tell.
func Used(pid int) Use {
	u, _ := used(pid)
	return u
}

// UsedByFamily is Used of a process and of its children, those that have ended
// too.
func UsedByFamily(pid int) Use {
	all, ended := used(pid)
	all.Processor += ended
	for _, one := range children(pid) {
		u, ended := used(one)
		all.Processor += u.Processor + ended
		all.Memory += u.Memory
		all.Resident += u.Resident
	}
	return all
}

func used(pid int) (u Use, ended time.Duration) {
	fields := stat(pid)
	const user, system, endedUser, endedSystem = 11, 12, 13, 14
	if len(fields) <= endedSystem {
		return u, 0
	}
	ticks := func(field int) time.Duration {
		n, _ := strconv.ParseInt(fields[field], 10, 64)
		return time.Duration(n) * tick
	}
	u.Processor, ended = ticks(user)+ticks(system), ticks(endedUser)+ticks(endedSystem)
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return u, ended
	}
	var size, resident, shared int64
	if _, err := fmt.Sscan(string(data), &size, &resident, &shared); err == nil {
		page := int64(os.Getpagesize())
		u.Memory, u.Resident = (resident-shared)*page, resident*page
	}
	return u, ended
}

// stat gives what Linux tells of a process, from its state on.
func stat(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	// The name of the program, in parentheses, may have spaces.
	return strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
}

func children(of int) (pids []int) {
	const parent = 1
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if fields := stat(pid); err == nil && len(fields) > parent && fields[parent] == strconv.Itoa(of) {
			pids = append(pids, pid)
		}
	}
	return pids
}
