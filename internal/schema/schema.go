// Package schema says what the migrations of a database are, from the files that
// are in the binary.
package schema

import (
	"io/fs"
	"strconv"
	"strings"
)

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
