//go:build unix && !linux

package embedded

import "syscall"

// attr keeps the keyboard's interrupt from the child. These systems cannot
// signal a child when its parent is killed.
func (a account) attr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: a.credential()}
}

func searchCapability() uintptr { return 0 }

func workingIn(string) (pid int, known bool) { return 0, false }
