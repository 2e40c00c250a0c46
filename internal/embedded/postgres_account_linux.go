package embedded

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Capabilities that let a process enter folders in spite of their permissions;
// the first one only that (and reading), the second is what containers have.
const (
	capDACOverride   = 1
	capDACReadSearch = 2
)

// attr makes the child end when we end: an interrupt, which for Postgres is a
// fast and clean shutdown.
func (a account) attr() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT, Credential: a.credential()}
	if a.cap != 0 {
		attr.AmbientCaps = []uintptr{a.cap}
	}
	return attr
}

// searchCapability is one that we have and can pass on, or 0.
func searchCapability() uintptr {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	return pickCapability(string(status))
}

func pickCapability(status string) uintptr {
	for line := range strings.Lines(status) {
		hex, found := strings.CutPrefix(line, "CapPrm:")
		if !found {
			continue
		}
		have, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		if err != nil {
			return 0
		}
		for _, c := range []uintptr{capDACReadSearch, capDACOverride} {
			if have&(1<<c) != 0 {
				return c
			}
		}
	}
	return 0
}

// workingIn returns a process whose working directory is the data folder, as
// that of every process of a cluster is, or 0. It is not known where processes
// cannot be listed.
func workingIn(data string) (pid int, known bool) {
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil || len(links) == 0 {
		return 0, false
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == data {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			if err == nil {
				return pid, true
			}
		}
	}
	return 0, true
}
