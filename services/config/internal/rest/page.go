package rest

import (
	"math"

	"github.com/parley-dsr/parley/internal/edge"
)

// limit and skip say to the database which part of a list a page shows. A page
// beyond all numbers is empty, as any page past the end.
func limit(p edge.Paging) int32 { return int32(p.Size) } //nolint:gosec // at most 100

func skip(p edge.Paging) int32 {
	if p.Page > math.MaxInt32/p.Size {
		return math.MaxInt32
	}
	return int32(p.Offset()) //nolint:gosec // checked above
}

// cut takes a page out of a list that was read as a whole.
func cut[T any](list []T, p edge.Paging) []T {
	from := min(int(skip(p)), len(list))
	return list[from:min(from+p.Size, len(list))]
}
