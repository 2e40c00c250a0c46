package rest

import (
	_ "embed"
	"slices"
	"strings"
)

// categories are the data categories of the taxonomy that compatible systems
// share, one a line; indentation stands for the parent.
//
//go:embed categories.txt
var categories string

// validCategory says whether the taxonomy has a category.
func validCategory(category string) bool { return slices.Contains(allCategories(), category) }

func allCategories() []string {
	var all, path []string
	for line := range strings.Lines(categories) {
		name := strings.TrimSpace(line)
		depth := len(line) - len(strings.TrimLeft(line, "\t"))
		path = append(path[:depth], name)
		all = append(all, strings.Join(path, "."))
	}
	return all
}

// defaultCategories are what the rule of a new access or erasure policy covers:
// the user's data by their second level, but for what must not leave or vanish
// without a decision.
func defaultCategories() []string {
	return slices.DeleteFunc(allCategories(), func(category string) bool {
		switch category {
		case "user.financial", "user.payment", "user.authorization":
			return true
		}
		return strings.Count(category, ".") != 1 || !strings.HasPrefix(category, "user.")
	})
}
