package store

import (
	"strconv"
	"strings"
)

// LatestMigration is the number of the newest migration of this version.
func LatestMigration() int64 {
	files, _ := migrations.ReadDir("migrations") // it is in the binary
	latest := int64(0)
	for _, f := range files {
		number, _, _ := strings.Cut(f.Name(), "_")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			latest = max(latest, n)
		}
	}
	return latest
}
