//go:build !unix

package embedded

// dirLock does nothing where the kernel has no flock.
type dirLock struct{}

func lockDir(string) (*dirLock, error) { return nil, nil }

func (*dirLock) release() {}

func isAddressInUse(error) bool { return true }
