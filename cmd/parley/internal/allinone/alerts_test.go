package allinone_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/prometheus/client_golang/prometheus"
)

// alertsExist: every rule can be parsed, every metric that it names is registered
// by a service, and has the labels by which the rule asks for it. The document
// for operators says what to do about each alert.
func alertsExist(t *testing.T, w *watched) {
	t.Helper()
	known := w.metrics()
	rules := shipped(t, "deploy", "alerts", "parley.rules.yaml")
	named := 0
	for _, text := range expressionsOf(rules) {
		for _, asked := range selectorsOf(t, text) {
			named++
			labels, ok := known[asked.metric]
			if !ok {
				t.Errorf("no service has a metric %s", asked.metric)
			}
			for _, label := range asked.labels {
				if ok && label != "le" && !slices.Contains(labels, label) {
					t.Errorf("%s has no label %s", asked.metric, label)
				}
			}
		}
	}
	if named < 20 {
		t.Errorf("the rules name %d metrics: they are not read", named)
	}
	guide := shipped(t, "docs", "operations.md")
	alerts := regexp.MustCompile(`(?m)^      - alert: (\w+)$`).FindAllStringSubmatch(rules, -1)
	if len(alerts) < 15 {
		t.Errorf("the rules have %d alerts: they are not read", len(alerts))
	}
	for _, a := range alerts {
		if !strings.Contains(guide, "\n### "+a[1]+"\n") {
			t.Errorf("docs/operations.md does not say what to do about %s", a[1])
		}
	}
}

// expressionsOf are those of the rules, which stand in one line or, after a bar,
// in several.
func expressionsOf(rules string) []string {
	var expressions []string
	for _, m := range regexp.MustCompile(`(?m)^        expr: (?:\|\n((?:          .*\n)+)|(.*)\n)`).FindAllStringSubmatch(rules, -1) {
		expressions = append(expressions, m[1]+m[2])
	}
	return expressions
}

// selector is what an expression asks for, and the labels by which it selects or
// groups that.
type selector struct {
	metric string
	labels []string
}

// selectorsOf parses an expression. The parser knows PromQL, and a little more.
func selectorsOf(t *testing.T, text string) []selector {
	t.Helper()
	tree, err := metricsql.Parse(text)
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return nil
	}
	var found []selector
	metricsql.VisitAll(tree, func(e metricsql.Expr) {
		m, ok := e.(*metricsql.MetricExpr)
		if !ok {
			return
		}
		for _, filters := range m.LabelFilterss {
			var s selector
			for _, f := range filters {
				if f.Label == "__name__" {
					s.metric = f.Value
				} else {
					s.labels = append(s.labels, f.Label)
				}
			}
			found = append(found, s)
		}
	})
	metricsql.VisitAll(tree, func(e metricsql.Expr) {
		if group, ok := e.(*metricsql.AggrFuncExpr); ok {
			for i := range found {
				found[i].labels = append(found[i].labels, group.Modifier.Args...)
			}
		}
	})
	return found
}

// metrics are the labels of all that the four services have registered, by
// name; histograms also under the names of their series.
func (w *watched) metrics() map[string][]string {
	known := map[string][]string{}
	about := regexp.MustCompile(`fqName: "([^"]+)".*constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}`)
	for _, r := range w.registries {
		described := make(chan *prometheus.Desc)
		go func() {
			r.Describe(described)
			close(described)
		}()
		for d := range described {
			m := about.FindStringSubmatch(d.String())
			if m == nil {
				continue
			}
			labels := strings.Split(m[3], ",")
			for _, constant := range strings.Split(m[2], ",") {
				name, _, _ := strings.Cut(constant, "=")
				labels = append(labels, name)
			}
			for _, suffix := range []string{"", "_bucket", "_count", "_sum"} {
				known[m[1]+suffix] = labels
			}
		}
	}
	return known
}

// shipped is a file of the repository.
func shipped(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", "..", "..", ".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
