package edge

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// params are the parameters of an operation, in the order of their problems.
type params struct {
	path   []param // in the order of the template
	query  []param
	header []param
}

type param struct {
	name     string
	required bool
	rule     *rule
}

// check checks path, query and headers. Values of the query that were
// understood leniently are put back in their plain form.
func (p params) check(r *http.Request, values []string) []Problem {
	var c checker
	for i, one := range p.path {
		c.loc = []any{"path"}
		c.below(one.name, values[i], one.rule)
	}
	p.checkQuery(&c, r)
	for _, one := range p.header {
		c.loc = []any{"header"}
		given := r.Header.Values(one.name)
		switch {
		case len(given) > 0 && given[len(given)-1] == "" && one.rule.kind == integer && !one.required:
			r.Header.Del(one.name) // some clients send an empty Last-Event-ID at first
		case len(given) > 0:
			c.below(one.name, given[len(given)-1], one.rule)
		case one.required:
			c.reportBelow(one.name, missing)
		}
	}
	return c.problems
}

func (p params) checkQuery(c *checker, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	c.changed = err != nil
	for _, one := range p.query {
		c.loc = []any{"query"}
		given, present := query[one.name]
		switch {
		case !present && one.required:
			c.reportBelow(one.name, missing)
		case !present:
		case one.rule.kind == array:
			list := make([]any, len(given))
			for i, s := range given {
				list[i] = s
			}
			clean, _ := c.below(one.name, list, one.rule)
			query[one.name] = asTexts(clean)
		default:
			last := given[len(given)-1]
			c.changed = c.changed || len(given) > 1
			clean, _ := c.below(one.name, last, one.rule)
			query[one.name] = asTexts(clean)
		}
	}
	if c.changed {
		r.URL.RawQuery = query.Encode()
	}
}

// asTexts writes checked values as a query has them.
func asTexts(value any) []string {
	switch v := value.(type) {
	case []any:
		var all []string
		for _, item := range v {
			all = append(all, asTexts(item)...)
		}
		return all
	case string:
		return []string{v}
	case json.Number:
		return []string{v.String()}
	case bool:
		return []string{strconv.FormatBool(v)}
	default:
		return nil
	}
}
