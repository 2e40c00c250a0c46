package rest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
)

// A stream breaks off in the middle of an event; the rest comes with the next
// one, and then there is no more.
func TestFollowGoesOn(t *testing.T) {
	t.Parallel()
	answers := 0
	origin := parley(t, func(w http.ResponseWriter, r *http.Request) {
		answers++
		switch last := r.Header.Get("Last-Event-ID"); {
		case r.Header.Get("Authorization") != "Bearer mine":
			w.WriteHeader(http.StatusForbidden)
		case last == "":
			_, _ = fmt.Fprint(w, "retry: 1000\n\nid: 1\nevent: a\ndata: {}\n\n: heartbeat\n\nid: 2\nevent: b\nda")
		case last == "1" && answers == 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		case last == "1":
			_, _ = fmt.Fprint(w, "id:2\nevent: b\ndata: {\"x\":\ndata: 1}\n\n")
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	c, err := Open(t.Context(), Settings{URL: origin, AccessToken: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = c.Follow(t.Context(), "/events", func(e Event) error {
		got = append(got, e.ID+" "+e.Type+" "+string(e.Data))
		return nil
	})
	if want := []string{"1 a {}", "2 b {\"x\":\n1}"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFollowEnds(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	origin := parley(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/unknown" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = fmt.Fprint(w, "id: 1\ndata: {}\n\n")
	})
	c, err := Open(t.Context(), Settings{URL: origin, AccessToken: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Follow(t.Context(), "/events", func(Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the reader has enough: %v", err)
	}
	var refused *StatusError
	if err := c.Follow(t.Context(), "/unknown", nil); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Errorf("unknown: %v", err)
	}
}
