package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// answerAtMost is how much of an answer is read.
const answerAtMost = 16 << 20

// services asks each one, and then compares what they say of themselves.
func (e *examination) services(ctx context.Context) {
	if len(e.patient.Services) == 0 {
		e.skipped("services", "no addresses are known", "Name them: --service config=http://127.0.0.1:8081, and so on.")
		return
	}
	versions, keys := map[string][]string{}, map[string][]string{}
	for _, s := range e.patient.Services {
		if !e.ready(ctx, s) {
			continue
		}
		families, err := e.metrics(ctx, s)
		if err != nil {
			e.wrong(s.Name+" metrics", err.Error(), "Let this command reach /metrics of the service.")
			continue
		}
		for _, who := range speakers(s, families) {
			for _, m := range families["parley_build_info"].GetMetric() {
				if component(s, m) == who {
					add(versions, label(m, "version"), who)
				}
			}
			if ring := ringOf(s, who, families); ring != "" {
				add(keys, ring, who)
			}
		}
	}
	e.agree("versions", versions, "all services are of version %s",
		"Finish the upgrade, or go back: versions may run side by side, but not for good.")
	e.agree("keys", keys, "all services have the same keys (%s)",
		"Give all services the same PARLEY_ENCRYPTION_KEYS, in the same order, and restart them. While a key is being rotated they differ for a moment.")
}

// ready asks a service whether it has what it needs, and what time it is.
func (e *examination) ready(ctx context.Context, s Service) bool {
	before := e.patient.Clock()
	answer, err := e.get(ctx, s.URL+"/ready")
	if err != nil {
		e.wrong(s.Name, "does not answer at "+s.URL+": "+plain(err), "Start it, or name the address at which it is: --service "+s.Name+"=URL.")
		return false
	}
	after := e.patient.Clock()
	var said struct {
		Ready      bool     `json:"ready"`
		WaitingFor []string `json:"waiting_for"`
	}
	if json.Unmarshal(answer.body, &said) != nil {
		e.wrong(s.Name, fmt.Sprintf("what answers at %s is no service of Parley (status %d)", s.URL, answer.status), "Name the address of the service itself.")
		return false
	}
	if said.Ready {
		e.ok(s.Name, "is ready at "+s.URL)
	} else {
		e.wrong(s.Name, "waits for "+strings.Join(said.WaitingFor, "; "), "Start or repair what it waits for; the service goes on by itself.")
	}
	if date, err := http.ParseTime(answer.date); err == nil {
		e.skew(s.Name+" clock", date, before, after)
	}
	return true
}

func (e *examination) metrics(ctx context.Context, s Service) (map[string]*dto.MetricFamily, error) {
	answer, err := e.get(ctx, s.URL+"/metrics")
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %s", plain(err))
	}
	if answer.status != http.StatusOK {
		return nil, fmt.Errorf("are answered with status %d", answer.status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(answer.body))
	if err != nil {
		return nil, fmt.Errorf("cannot be understood: %w", err)
	}
	return families, nil
}

// answer is what a service has said.
type answer struct {
	status int
	date   string
	body   []byte
}

func (e *examination) get(ctx context.Context, url string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	got, err := e.patient.HTTP.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = got.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(got.Body, answerAtMost))
	return answer{status: got.StatusCode, date: got.Header.Get("Date"), body: body}, err
}

// agree says whether all have the same.
func (e *examination) agree(name string, who map[string][]string, same, do string) {
	switch len(who) {
	case 0:
		e.skipped(name, "no service says", "")
	case 1:
		for what := range who {
			e.ok(name, fmt.Sprintf(same, what))
		}
	default:
		var parts []string
		for what, names := range who {
			slices.Sort(names)
			parts = append(parts, strings.Join(slices.Compact(names), ", ")+": "+what)
		}
		slices.Sort(parts)
		e.wrong(name, "differ: "+strings.Join(parts, "; "), do)
	}
}

// speakers are the services that speak by these metrics: those of an all-in-one
// have the label component.
func speakers(s Service, families map[string]*dto.MetricFamily) []string {
	var names []string
	for _, m := range families["parley_build_info"].GetMetric() {
		names = append(names, component(s, m))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func component(s Service, m *dto.Metric) string {
	if c := label(m, "component"); c != "" {
		return c
	}
	return s.Name
}

// ringOf are the keys of a service, the sealing one first.
func ringOf(s Service, who string, families map[string]*dto.MetricFamily) string {
	var sealing, opening []string
	for _, m := range families["parley_key_info"].GetMetric() {
		if component(s, m) != who {
			continue
		}
		key := label(m, "kid") + " " + label(m, "fingerprint")
		if m.GetGauge().GetValue() == 1 {
			sealing = append(sealing, key)
		} else {
			opening = append(opening, key)
		}
	}
	slices.Sort(opening)
	return strings.Join(append(sealing, opening...), ", ")
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func add(to map[string][]string, key, who string) { to[key] = append(to[key], who) }
