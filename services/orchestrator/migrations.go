package orchestrator

import "github.com/parley-dsr/parley/services/orchestrator/internal/readmodel"

// LatestMigration is the number of the newest migration that the database of
// this version has.
func LatestMigration() int64 { return readmodel.LatestMigration() }
