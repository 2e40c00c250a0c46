package allinone_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// alertsExist: every metric that a rule names is registered
// by a service, and has the labels by which the rule asks for it. The document
// for operators says what to do about each alert.
func alertsExist(t *testing.T, w *watched) {
	t.Helper()
	known := w.metrics()
	rules := shipped(t, "deploy", "alerts", "parley.rules.yaml")
	expressions := regexp.MustCompile(`(?m)^        (?:expr: (.*)|  (.*))$`).FindAllStringSubmatch(rules, -1)
	named := 0
	for _, e := range expressions {
		text := e[1] + e[2]
		if strings.HasPrefix(strings.TrimSpace(text), "summary:") {
			continue
		}
		by := labelsOf(text)
		for _, m := range regexp.MustCompile(`parley_[a-z0-9_]+`).FindAllString(text, -1) {
			named++
			labels, ok := known[m]
			if !ok {
				t.Errorf("no service has a metric %s", m)
			}
			for _, label := range by {
				if ok && label != "le" && !slices.Contains(labels, label) {
					t.Errorf("%s has no label %s", m, label)
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

// labelsOf are the labels by which an expression selects or groups.
func labelsOf(expression string) []string {
	var labels []string
	for _, m := range regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`).FindAllStringSubmatch(expression, -1) {
		labels = append(labels, m[1])
	}
	for _, m := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(expression, -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			labels = append(labels, strings.TrimSpace(label))
		}
	}
	return labels
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
