package readmodel

import "github.com/parley-dsr/parley/internal/schema"

// LatestMigration is the number of the newest migration of this version.
func LatestMigration() int64 { return schema.Latest(migrations, "migrations") }
