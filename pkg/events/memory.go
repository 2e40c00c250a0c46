package events

import (
	"encoding/json"
	"strings"
)

// remembered is how many entries a generation of a memory has.
const remembered = 1 << 14

// memory knows the last entries that were put into it, between one and two
// generations of them: what a subscriber knows of the past must not grow with
// the stream.
type memory[K comparable, V any] struct{ young, old map[K]V }

func (m *memory[K, V]) get(key K) (V, bool) {
	if v, ok := m.young[key]; ok {
		return v, true
	}
	v, ok := m.old[key]
	return v, ok
}

func (m *memory[K, V]) put(key K, value V) {
	if m.young == nil || len(m.young) >= remembered {
		m.old, m.young = m.young, make(map[K]V, 64)
	}
	m.young[key] = value
}

func (m *memory[K, V]) clear() { m.young, m.old = nil, nil }

// counted is the number of a fact about its request, and where it stood.
type counted struct{ sequence, stream uint64 }

// sequenceOf reads the number that the orchestrator gives its facts, or 0.
func sequenceOf(e Event) uint64 {
	if t := e.Type(); t != WebhookRequested && !strings.HasPrefix(t, typePrefix+"request.") {
		return 0
	}
	var data struct {
		Sequence uint64 `json:"sequence"`
	}
	if json.Unmarshal(e.Data(), &data) != nil {
		return 0
	}
	return data.Sequence
}
