// Package alerts holds the alert rules of Parley.
package alerts

import (
	"os"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// TestRulesCanBeRead: the file has the shape of Prometheus rules. That the
// metrics in them exist is a test of cmd/parley, which runs the services.
func TestRulesCanBeRead(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("parley.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string `json:"name"`
			Rules []struct {
				Alert       string            `json:"alert"`
				Expr        string            `json:"expr"`
				For         string            `json:"for"`
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if seen[rule.Alert] || rule.Alert == "" {
				t.Errorf("%q is there twice, or nameless", rule.Alert)
			}
			seen[rule.Alert] = true
			if rule.Expr == "" {
				t.Errorf("%s asks for nothing", rule.Alert)
			}
			if _, err := time.ParseDuration(rule.For); rule.For != "" && err != nil {
				t.Errorf("%s: for %v", rule.Alert, err)
			}
			if s := rule.Labels["severity"]; s != "page" && s != "ticket" {
				t.Errorf("%s has the severity %q", rule.Alert, s)
			}
			if rule.Annotations["summary"] == "" {
				t.Errorf("%s says nothing", rule.Alert)
			}
		}
	}
	if len(seen) == 0 {
		t.Error("no rules")
	}
}
