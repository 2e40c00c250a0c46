//go:build unix

package embedded

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is who Postgres runs as. It refuses to run as root, so root lends it
// to another user.
type account struct {
	name     string
	uid, gid uint32
	lent     bool    // we are root and Postgres is not
	cap      uintptr // capability that lets it reach its folder, 0 if it needs none
}

const nobody = 65534

// accountFor chooses the owner of an existing cluster, or ourselves; root
// chooses postgres, or nobody.
func accountFor(data string) (account, error) {
	self := account{name: "this user", uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())} //nolint:gosec // ids are not negative here
	info, err := os.Stat(data)
	if err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != self.uid {
			if self.uid != 0 {
				return account{}, fmt.Errorf("embedded: Postgres: %s belongs to another user (%d)", data, stat.Uid)
			}
			return account{name: userName(stat.Uid), uid: stat.Uid, gid: stat.Gid, lent: true}, nil
		}
	}
	if self.uid != 0 {
		return self, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
			gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
			if uidErr == nil && gidErr == nil && uid != 0 {
				return account{name: name, uid: uint32(uid), gid: uint32(gid), lent: true}, nil
			}
		}
	}
	return account{name: "nobody", uid: nobody, gid: nobody, lent: true}, nil
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}

// own gives a folder to the account.
func (a account) own(path string) error {
	if !a.lent {
		return nil
	}
	if err := os.Chown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("embedded: Postgres runs as %s, and %w", a.name, err)
	}
	return nil
}

// reach makes sure that the account can enter all folders above path: by their
// permissions, or else by a capability that we can pass on. A folder below
// root's home is like that.
func (a *account) reach(path string) error {
	if !a.lent {
		return nil
	}
	closed, ok := a.firstClosed(path)
	if ok {
		return nil
	}
	if a.cap = searchCapability(); a.cap == 0 {
		return fmt.Errorf("embedded: Postgres cannot run as root, and the user %s cannot enter %s: use a data directory that it can reach (PARLEY_DATA_DIR), or do not run as root", a.name, closed)
	}
	return nil
}

// firstClosed names a folder above path that the account cannot enter.
func (a account) firstClosed(path string) (string, bool) {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || !a.mayEnter(info) {
			return dir, false
		}
		if dir == filepath.Dir(dir) {
			return "", true
		}
	}
}

func (a account) mayEnter(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	switch {
	case stat.Uid == a.uid:
		return info.Mode()&0o100 != 0
	case stat.Gid == a.gid:
		return info.Mode()&0o010 != 0
	default:
		return info.Mode()&0o001 != 0
	}
}

func (a account) credential() *syscall.Credential {
	if !a.lent {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}
