//go:build unix

package embedded

import (
	"syscall"
	"testing"
)

// A process that is being started has all files of the one that starts it for a
// moment. What was released is free in that moment too.
func TestReleasedBesideACopy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lock, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := syscall.Dup(int(lock.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(copied) }()
	lock.release()
	again, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.release()
}
