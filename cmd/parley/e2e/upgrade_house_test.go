//go:build upgrade

package e2e

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dsr/parley/internal/edge"
)

// mixed is a house in which a service may run in two versions. NATS has the
// users and permissions of this version, as docs/operations.md says, and the
// proxy's callers take turns between the processes of an edge.
type mixed struct {
	*guarded
	*crowd
	common map[string]string // settings of every service
	way    *http.Transport

	mu      sync.Mutex
	running map[string][]*child
	turns   int
}

// openMixed starts a house whose services are all of one version.
func openMixed(t *testing.T, v version) *mixed {
	t.Helper()
	m := &mixed{running: map[string][]*child{}, way: &http.Transport{}, common: map[string]string{
		"PARLEY_LOG_LEVEL": "warn",
		// Calls are held, and put off, for as long as a step takes.
		"PARLEY_DELIVERY_TIMEOUT": "5m", "PARLEY_DELIVERY_MAX_ATTEMPTS": "1000",
	}}
	t.Cleanup(m.way.CloseIdleConnections)
	m.guarded = setupGuarded(t, shippedNATS, shippedUsers, m.common)
	m.transport = m
	maps.Copy(m.common, m.guarded.settings())
	for _, name := range serviceNames {
		m.join(name, v)
	}
	m.crowd = gatherCrowd(m)
	return m
}

// RoundTrip leads to one of the processes of the edge that owns the path.
func (m *mixed) RoundTrip(r *http.Request) (*http.Response, error) {
	name := edge.ServiceFor(r.URL.Path)
	m.mu.Lock()
	m.turns++
	processes := m.running[name]
	turn := m.turns
	m.mu.Unlock()
	if len(processes) == 0 {
		return nil, fmt.Errorf("no %s runs", name)
	}
	r = r.Clone(r.Context())
	r.URL.Host = processes[turn%len(processes)].addr
	return m.way.RoundTrip(r)
}

// join starts a service in a version, beside what runs of it.
func (m *mixed) join(name string, v version) *child {
	m.t.Helper()
	c := m.service(name, m.common)
	c.path, c.name = v.binary(name), name+" ("+v.name+")"
	c.start()
	c.awaitUp()
	c.awaitReady()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running[name] = append(m.running[name], c)
	return c
}

// leave takes a process from the proxy and ends it, as an operator does.
// Meanwhile is done once the process was told to end.
func (m *mixed) leave(name string, c *child, meanwhile func()) {
	m.t.Helper()
	m.mu.Lock()
	var stay []*child
	for _, other := range m.running[name] {
		if other != c {
			stay = append(stay, other)
		}
	}
	m.running[name] = stay
	m.mu.Unlock()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		m.t.Fatalf("signal %s: %v", c.name, err)
	}
	meanwhile()
	if err := c.wait(); err != nil {
		m.t.Errorf("%s ended with %v\n%s", c.name, err, c.log.tail())
	}
}

// first is the process of a service that has run for longest.
func (m *mixed) first(name string) *child {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running[name][0]
}

// replace puts another version in the place of what runs of a service. Calls in
// flight are answered when their dispatcher ends.
func (m *mixed) replace(name string, v version) {
	m.t.Helper()
	old := m.first(name)
	m.join(name, v)
	m.leave(name, old, m.letEnd(name))
}

// letEnd is what has to happen for a process of a service to end.
func (m *mixed) letEnd(name string) func() {
	if name == "dispatcher" {
		return m.openGate
	}
	return func() {}
}

// deeds counts what a process of each service has done.
var deeds = map[string]string{
	"config":       "parley_http_request_duration_seconds_count",
	"orchestrator": "parley_orchestrator_inputs_total",
	"dispatcher":   "parley_dispatcher_attempts_total",
	"callback":     "parley_callback_replies_total",
}

// work lets requests come until each process of a service has had a part in
// them.
func (m *mixed) work(name string) {
	m.t.Helper()
	m.mu.Lock()
	processes := m.running[name]
	m.mu.Unlock()
	before := make([]float64, len(processes))
	for i, c := range processes {
		before[i] = c.metric(deeds[name])
	}
	eventually(m.t, func() (bool, string) {
		m.round()
		for i, c := range processes {
			if c.metric(deeds[name]) == before[i] {
				return false, c.name + " does nothing"
			}
		}
		return true, ""
	})
}

// metric is the sum of a metric over its labels.
func (c *child) metric(name string) (sum float64) {
	c.t.Helper()
	status, body := get(c.addr, "/metrics")
	if status != http.StatusOK {
		c.t.Fatalf("the metrics of %s: %d %s", c.name, status, body)
	}
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		labelled, value, _ := strings.Cut(lines.Text(), " ")
		if got, _, _ := strings.Cut(labelled, "{"); got != name {
			continue
		}
		if _, end, ok := strings.Cut(lines.Text(), "} "); ok { // labels may have spaces
			value = end
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			c.t.Fatalf("metric %s: %v", name, err)
		}
		sum += n
	}
	return sum
}

// schema is the version of the schema of a database.
func (m *mixed) schema(database string) (have int) {
	m.t.Helper()
	conn, err := pgx.Connect(m.t.Context(), m.database[database])
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = conn.Close(m.t.Context()) }()
	const query = "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied"
	if err := conn.QueryRow(m.t.Context(), query).Scan(&have); err != nil {
		m.t.Fatal(err)
	}
	return have
}
