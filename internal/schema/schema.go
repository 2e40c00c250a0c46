// Package schema has what the services with a database have in common: what their
// migrations are, from the files that are in the binary, and what they ask of a
// connection.
package schema

import (
	"io/fs"
	"strconv"
	"strings"
)

// KeepConfirmed is the statement with which a connection begins. What the database
// has confirmed is acknowledged elsewhere, and must outlast a crash of it, also
// where its owner has set that it need not. A stricter setting is left alone.
const KeepConfirmed = `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`

// Latest is the number of the newest migration in a folder: that with which the
// name of a file begins. It is 0 where there is none.
func Latest(files fs.FS, folder string) int64 {
	entries, _ := fs.ReadDir(files, folder) // it is in the binary
	latest := int64(0)
	for _, f := range entries {
		number, _, _ := strings.Cut(f.Name(), "_")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			latest = max(latest, n)
		}
	}
	return latest
}
