package rest

// window is the part of a list that a page shows.
type window struct{ page, size int }

func windowOf(page, size *int) window {
	w := window{page: 1, size: 50}
	if page != nil {
		w.page = *page
	}
	if size != nil {
		w.size = *size
	}
	return w
}

// limit and skip are what the database needs. A page beyond all numbers is
// empty, as any page past the end.
func (w window) limit() int32 { return int32(w.size) } //nolint:gosec // at most 100

func (w window) skip() int32 {
	const most = 1<<31 - 1
	if w.page > most/w.size {
		return most
	}
	return int32((w.page - 1) * w.size) //nolint:gosec // checked above
}

// cut takes the window out of a list that was read as a whole.
func cut[T any](list []T, w window) []T {
	from := min(int(w.skip()), len(list))
	return list[from:min(from+w.size, len(list))]
}
