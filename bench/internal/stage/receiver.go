package stage

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
)

// Paths of the receiver; what follows one of them is free and counted apart.
const (
	PathOK    = "/ok/"    // answers at once
	PathHang  = "/hang/"  // never answers
	PathLater = "/later/" // asks for patience the first time, then answers
	pathCount = "/count"
	pathReset = "/reset"
)

// Count is what the receiver has got.
type Count struct {
	// Requests are all, Calls the different webhook-ids among them, Most how
	// often the most frequent one came.
	Requests int            `json:"requests"`
	Calls    int            `json:"calls"`
	Most     int            `json:"most"`
	ByPath   map[string]int `json:"by_path"`
}

// Repeats are the requests beyond one a call.
func (c Count) Repeats() int { return c.Requests - c.Calls }

// receiver takes calls and counts them.
type receiver struct {
	mu    sync.Mutex
	times map[string]int // by webhook-id
	total Count
}

func newReceiver() *receiver {
	return &receiver{times: map[string]int{}, total: Count{ByPath: map[string]int{}}}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	_, _ = io.Copy(io.Discard, request.Body)
	switch path := request.URL.Path; {
	case path == pathCount:
		_ = json.NewEncoder(w).Encode(r.count())
	case path == pathReset:
		r.reset()
	case strings.HasPrefix(path, PathHang):
		r.note(request)
		<-request.Context().Done()
	case strings.HasPrefix(path, PathLater) && r.note(request) == 1:
		w.Header().Set("Retry-After", strings.TrimPrefix(path, PathLater))
		w.WriteHeader(http.StatusTooManyRequests)
	case strings.HasPrefix(path, PathLater):
		_, _ = io.WriteString(w, `{"halt": false}`)
	default:
		r.note(request)
		_, _ = io.WriteString(w, `{"halt": false}`)
	}
}

// note counts a request, and returns how often its call came.
func (r *receiver) note(request *http.Request) int {
	id := request.Header.Get("Webhook-Id")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times[id]++
	n := r.times[id]
	r.total.Requests++
	r.total.Most = max(r.total.Most, n)
	r.total.ByPath[request.URL.Path]++
	return n
}

func (r *receiver) count() Count {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.total
	c.Calls, c.ByPath = len(r.times), maps.Clone(c.ByPath)
	return c
}

func (r *receiver) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.times)
	r.total = Count{ByPath: map[string]int{}}
}
