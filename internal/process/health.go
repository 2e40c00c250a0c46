package process

import (
	"sync"
)

// Health is what a service still waits for. It is ready when nothing is
// missing; without gates it is ready from the start.
type Health struct {
	mu    sync.Mutex
	gates []*Gate
}

// NewHealth returns a Health without gates.
func NewHealth() *Health { return &Health{} }

// Gate adds something that the service needs. It is missing until Ready.
func (h *Health) Gate(name string) *Gate {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := &Gate{health: h, name: name, reason: "starting"}
	h.gates = append(h.gates, g)
	return g
}

// Missing lists what is not ready, as "name: reason", in the order in which the
// gates were made.
func (h *Health) Missing() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	missing := []string{}
	for _, g := range h.gates {
		if g.reason != "" {
			missing = append(missing, g.name+": "+g.reason)
		}
	}
	return missing
}

// Gate is one thing that a service needs. A nil gate does nothing.
type Gate struct {
	health *Health
	name   string
	reason string // empty: ready
}

// Waiting says why the thing is missing, also after it has been there.
func (g *Gate) Waiting(reason string) {
	if reason == "" {
		reason = "waiting"
	}
	g.set(reason)
}

// Ready says that the thing is there.
func (g *Gate) Ready() { g.set("") }

func (g *Gate) set(reason string) {
	if g == nil {
		return
	}
	g.health.mu.Lock()
	defer g.health.mu.Unlock()
	g.reason = reason
}
