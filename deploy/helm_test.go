package deploy_test

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const chartDir = "helm/parley"

var serviceNames = []string{"config", "orchestrator", "dispatcher", "callback"}

func TestChartIsClean(t *testing.T) {
	t.Parallel()
	for _, m := range lint.All(chartDir, nil, "parley", true).Messages {
		if m.Severity >= support.WarningSev {
			t.Errorf("%s: %v", m.Path, m.Err)
		}
	}
}

// manifests are the objects of the chart, by kind and name.
type manifests struct {
	deployments map[string]appsv1.Deployment
	services    map[string]corev1.Service
	budgets     map[string]policyv1.PodDisruptionBudget
	policies    map[string]networkingv1.NetworkPolicy
	ingresses   map[string]networkingv1.Ingress
	configs     map[string]corev1.ConfigMap
}

// render renders the chart with values over its own, as helm install does.
func render(t *testing.T, values map[string]any) (manifests, error) {
	t.Helper()
	m := manifests{
		map[string]appsv1.Deployment{}, map[string]corev1.Service{}, map[string]policyv1.PodDisruptionBudget{},
		map[string]networkingv1.NetworkPolicy{}, map[string]networkingv1.Ingress{}, map[string]corev1.ConfigMap{},
	}
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	release := chartutil.ReleaseOptions{Name: "p", Namespace: "privacy", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, values, release, nil)
	if err != nil {
		return m, err
	}
	files, err := engine.Engine{Strict: true}.Render(c, all)
	if err != nil {
		return m, err
	}
	for name, text := range files {
		if strings.HasSuffix(name, ".yaml") {
			m.read(t, name, text)
		}
	}
	return m, nil
}

func (m manifests) read(t *testing.T, name, text string) {
	t.Helper()
	for _, document := range strings.Split(text, "\n---\n") {
		var kind struct{ Kind string }
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, document)
		}
		switch kind.Kind {
		case "":
		case "Deployment":
			keep(t, m.deployments, document)
		case "Service":
			keep(t, m.services, document)
		case "PodDisruptionBudget":
			keep(t, m.budgets, document)
		case "NetworkPolicy":
			keep(t, m.policies, document)
		case "Ingress":
			keep(t, m.ingresses, document)
		case "ConfigMap":
			keep(t, m.configs, document)
		default:
			t.Errorf("%s: what is a %s?", name, kind.Kind)
		}
	}
}

// keep reads an object; a field that the API does not have is an error.
func keep[T any, P interface {
	*T
	GetName() string
}](t *testing.T, into map[string]T, document string) {
	t.Helper()
	var object T
	if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	name := P(&object).GetName()
	if _, twice := into[name]; twice {
		t.Errorf("%s is there twice", name)
	}
	into[name] = object
}

func TestChart(t *testing.T) {
	t.Parallel()
	m, err := render(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"p-callback", "p-config", "p-dispatcher", "p-edge", "p-orchestrator"}
	for what, got := range map[string][]string{
		"deployments": slices.Sorted(maps.Keys(m.deployments)), "services": slices.Sorted(maps.Keys(m.services)),
		"budgets": slices.Sorted(maps.Keys(m.budgets)), "policies": slices.Sorted(maps.Keys(m.policies)),
	} {
		if !slices.Equal(got, names) {
			t.Errorf("%s: %v", what, got)
		}
	}
	for name, d := range m.deployments {
		pod := d.Spec.Template.Spec
		checkPod(t, name, pod)
		if part := strings.TrimPrefix(name, "p-"); part != "edge" {
			checkService(t, part, pod.Containers[0])
		}
		for what, selector := range map[string]map[string]string{
			"deployment": d.Spec.Selector.MatchLabels, "service": m.services[name].Spec.Selector,
			"budget": m.budgets[name].Spec.Selector.MatchLabels, "policy": m.policies[name].Spec.PodSelector.MatchLabels,
		} {
			for key, value := range selector {
				if d.Spec.Template.Labels[key] != value || len(selector) == 0 {
					t.Errorf("%s: the %s selects %v", name, what, selector)
				}
			}
		}
		if b := m.budgets[name].Spec.MaxUnavailable; b == nil || b.IntValue() != 1 {
			t.Errorf("%s: budget %v", name, b)
		}
	}
}

// checkPod checks what every pod has: no rights that it does not need, and
// what it needs of the machine.
func checkPod(t *testing.T, name string, pod corev1.PodSpec) {
	t.Helper()
	s := pod.SecurityContext
	if s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.SeccompProfile == nil {
		t.Errorf("%s: security of the pod: %v", name, s)
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Errorf("%s has a token of the cluster", name)
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
			s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
			s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") {
			t.Errorf("%s: security of the container: %v", name, s)
		}
		if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s: resources %v", name, c.Resources)
		}
		if c.LivenessProbe == nil || c.ReadinessProbe == nil {
			t.Errorf("%s has no probes", name)
		}
	}
}

// checkService checks that a container has the settings of its service, and
// that the secrets among them are references.
func checkService(t *testing.T, part string, c corev1.Container) {
	t.Helper()
	if c.LivenessProbe.HTTPGet.Path != "/health" || c.ReadinessProbe.HTTPGet.Path != "/ready" {
		t.Errorf("%s: probes %v %v", part, c.LivenessProbe.HTTPGet, c.ReadinessProbe.HTTPGet)
	}
	environment := map[string]string{}
	for _, v := range c.Env {
		if _, twice := environment[v.Name]; twice {
			t.Errorf("%s has %s twice", part, v.Name)
		}
		environment[v.Name] = v.Value
		secret, isSecret := secrets(part)[v.Name]
		if reference := v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil; reference != isSecret {
			t.Errorf("%s: %s is a reference to a secret: %t", part, v.Name, reference)
		}
		if isSecret {
			environment[v.Name] = secret
		}
	}
	checkSettings(t, part, environment)
}

// Only the dispatcher reaches addresses outside; only who has a database
// reaches Postgres; NATS and names all of the services.
func TestChartNetwork(t *testing.T) {
	t.Parallel()
	m, err := render(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range m.policies {
		if !slices.Equal(p.Spec.PolicyTypes, []networkingv1.PolicyType{"Ingress", "Egress"}) {
			t.Errorf("%s: %v", name, p.Spec.PolicyTypes)
		}
		part := strings.TrimPrefix(name, "p-")
		ports := map[int]bool{}
		for _, rule := range p.Spec.Egress {
			if len(rule.To) == 0 || len(rule.Ports) == 0 {
				t.Errorf("%s may reach everything: %v", name, rule)
			}
			for _, port := range rule.Ports {
				ports[port.Port.IntValue()] = true
			}
			for _, peer := range rule.To {
				if peer.IPBlock != nil {
					checkOutside(t, part, *peer.IPBlock)
				}
			}
		}
		want := map[string]string{
			"config": "53 4222 5432", "orchestrator": "53 4222 5432", "dispatcher": "53 443 4222", "callback": "53 4222", "edge": "53 8080",
		}[part]
		if got := join(ports); got != want {
			t.Errorf("%s reaches the ports %s, want %s", name, got, want)
		}
		for _, rule := range p.Spec.Ingress {
			if len(rule.From) == 0 || len(rule.Ports) != 1 || rule.Ports[0].Port.IntValue() != 8080 {
				t.Errorf("%s may be reached: %v", name, rule)
			}
		}
	}
}

func checkOutside(t *testing.T, part string, block networkingv1.IPBlock) {
	t.Helper()
	if part != "dispatcher" {
		t.Errorf("%s may reach %s", part, block.CIDR)
	}
	for _, private := range []string{"10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "fd00::1", "fe80::1"} {
		addr := netip.MustParseAddr(private)
		if !netip.MustParsePrefix(block.CIDR).Contains(addr) {
			continue
		}
		if !slices.ContainsFunc(block.Except, func(e string) bool { return netip.MustParsePrefix(e).Contains(addr) }) {
			t.Errorf("%s may reach %s", part, private)
		}
	}
}

func join(ports map[int]bool) string {
	var b bytes.Buffer
	for i, p := range slices.Sorted(maps.Keys(ports)) {
		if i > 0 {
			b.WriteByte(' ')
		}
		_, _ = b.WriteString(strconv.Itoa(p))
	}
	return b.String()
}

func TestChartOptions(t *testing.T) {
	t.Parallel()
	m, err := render(t, map[string]any{
		"nameOverride": "dsr",
		"image":        map[string]any{"repository": "registry.example.com/parley-", "tag": "1.2.3", "pullSecrets": []any{"pull"}},
		"nats":         map[string]any{"caSecret": "", "replicas": 1},
		"env":          map[string]any{"PARLEY_LOG_LEVEL": "warn"},
		"services":     map[string]any{"dispatcher": map[string]any{"env": map[string]any{"PARLEY_LOG_LEVEL": "debug", "PARLEY_PUBLIC_URL": "https://parley.example.com"}}},
		"ingress":      map[string]any{"enabled": true, "host": "parley.example.com", "tlsSecret": "tls", "className": "any"},
		"networkPolicy": map[string]any{
			"dispatcher":  map[string]any{"ports": []any{443, 8443}, "peers": []any{map[string]any{"podSelector": map[string]any{}}}},
			"metricsFrom": []any{map[string]any{"namespaceSelector": map[string]any{}}},
		},
		"nodeSelector": map[string]any{"disk": "ssd"},
		"tolerations":  []any{map[string]any{"key": "privacy", "operator": "Exists"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	pod := m.deployments["dsr-dispatcher"].Spec.Template.Spec
	if len(pod.Containers) != 1 || pod.Containers[0].Image != "registry.example.com/parley-dispatcher:1.2.3" {
		t.Fatalf("pod %v", pod)
	}
	checkService(t, "dispatcher", pod.Containers[0])
	levels := map[string]string{}
	for name, d := range m.deployments {
		for _, v := range d.Spec.Template.Spec.Containers[0].Env {
			if v.Name == "PARLEY_LOG_LEVEL" {
				levels[name] = v.Value
			}
		}
	}
	if levels["dsr-dispatcher"] != "debug" || levels["dsr-config"] != "warn" {
		t.Errorf("log levels %v: a service's own does not win", levels)
	}
	if len(m.ingresses) != 1 {
		t.Errorf("ingresses %v", m.ingresses)
	}
	m, err = render(t, map[string]any{"edge": map[string]any{"enabled": false}, "networkPolicy": map[string]any{"enabled": false}})
	if err != nil || len(m.deployments) != 4 || len(m.policies) != 0 {
		t.Errorf("%v: %d deployments, %d policies", err, len(m.deployments), len(m.policies))
	}
}

func TestChartRefusesBadValues(t *testing.T) {
	t.Parallel()
	type object = map[string]any
	for name, values := range map[string]object{
		"no replicas":          {"services": object{"config": object{"replicas": 0}}},
		"replicas in words":    {"services": object{"config": object{"replicas": "two"}}},
		"another service":      {"services": object{"console": object{"replicas": 1}}},
		"a misspelled value":   {"service": object{}},
		"another execution":    {"execution": "sometimes"},
		"a secret in env":      {"env": object{"PARLEY_ENCRYPTION_KEYS": "k1:…"}},
		"a secret of one":      {"services": object{"config": object{"env": object{"PARLEY_DATABASE_URL": "postgres://"}}}},
		"no setting of ours":   {"env": object{"PATH": "/bin"}},
		"a number as setting":  {"env": object{"PARLEY_LANE_CONCURRENCY": 16}},
		"a password in a URL":  {"nats": object{"url": "tls://user:password@nats:4222"}},
		"another protocol":     {"nats": object{"url": "https://nats:4222"}},
		"two copies":           {"nats": object{"replicas": 2}},
		"no network":           {"trustedProxies": []any{"everybody"}},
		"no port":              {"postgres": object{"port": 0}},
		"no ports outside":     {"networkPolicy": object{"dispatcher": object{"ports": []any{}}}},
		"everybody as peer":    {"nats": object{"peers": []any{object{}}}},
		"no root client":       {"rootClientID": ""},
		"no secret":            {"secrets": object{"shared": ""}},
		"ingress without host": {"ingress": object{"enabled": true}},
		"bad policy of images": {"image": object{"pullPolicy": "Sometimes"}},
		"resources in words":   {"services": object{"callback": object{"resources": "small"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := render(t, values); err == nil {
				t.Error("accepted")
			} else if !strings.Contains(err.Error(), "schema") {
				t.Errorf("refused for another reason: %v", err)
			}
		})
	}
}
