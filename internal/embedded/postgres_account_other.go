//go:build !unix

package embedded

import "syscall"

// account is not needed where Postgres is not started.
type account struct{}

func accountFor(string) (account, error) { return account{}, ErrNoPostgres }

func (account) own(string) error { return nil }

func (account) reach(string) error { return nil }

func (account) attr() *syscall.SysProcAttr { return nil }

func workingIn(string) (pid int, known bool) { return 0, false }
