package edge

import "math"

// Page is the envelope of a list (contract §0.4).
type Page[T any] struct {
	Items []T `json:"items"`
	Total int `json:"total"`
	Page  int `json:"page"`
	Size  int `json:"size"`
	Pages int `json:"pages"`
}

// NewPage makes a page. Items may be nil; a page past the end is an empty one.
func NewPage[T any](items []T, total, page, size int) Page[T] {
	if items == nil {
		items = []T{}
	}
	pages := 0
	if size > 0 {
		pages = (total + size - 1) / size
	}
	return Page[T]{Items: items, Total: total, Page: page, Size: size, Pages: pages}
}

// Paging is which part of a list was asked for.
type Paging struct{ Page, Size int }

// PagingOf reads the query parameters page and size, which the edge has
// validated, with their defaults.
func PagingOf(page, size *int) Paging {
	p := Paging{Page: 1, Size: 50}
	if page != nil {
		p.Page = *page
	}
	if size != nil {
		p.Size = *size
	}
	return p
}

// Offset is the number of items before the page, MaxInt where there are more
// than that: a page that far is past the end of every list.
func (p Paging) Offset() int {
	if p.Size > 0 && p.Page-1 > math.MaxInt/p.Size {
		return math.MaxInt
	}
	return (p.Page - 1) * p.Size
}
