package config

import "github.com/parley-dsr/parley/services/config/internal/store"

// LatestMigration is the number of the newest migration that the database of
// this version has.
func LatestMigration() int64 { return store.LatestMigration() }
