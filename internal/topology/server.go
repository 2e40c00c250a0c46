package topology

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// The oldest server that has what Parley is built on: scheduled messages,
// times to live and their markers.
const (
	serverMajor = 2
	serverMinor = 12
)

// CheckServer returns ErrServer if the server that nc is connected to is older
// than 2.12. While nc is not connected there is nothing to check.
func CheckServer(nc *nats.Conn) error { return checkVersion(nc.ConnectedServerVersion()) }

func checkVersion(version string) error {
	if version == "" {
		return nil
	}
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, errMajor := strconv.Atoi(major)
	b, errMinor := strconv.Atoi(minor)
	if errMajor != nil || errMinor != nil {
		return fmt.Errorf("%w: version %q is not known", ErrServer, version)
	}
	if a < serverMajor || a == serverMajor && b < serverMinor {
		return fmt.Errorf("%w: it is %s, Parley needs %d.%d or newer", ErrServer, version, serverMajor, serverMinor)
	}
	return nil
}
