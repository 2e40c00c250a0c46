package process

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

func TestFrontSaysThatAnAddressIsTaken(t *testing.T) {
	t.Parallel()
	logger := slog.New(slog.DiscardHandler)
	taken, err := Socket(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	addr := taken.Addr().String()
	err = Listen(addr, logger).Serve(t.Context(), "config", http.NotFoundHandler())
	if want := "cannot listen on " + addr + ": the address is already in use; PARLEY_HTTP_ADDR sets another one"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if err := Listen("", logger).Serve(t.Context(), "config", http.NotFoundHandler()); err == nil || !strings.HasPrefix(err.Error(), "PARLEY_HTTP_ADDR is not set") {
		t.Errorf("error %v", err)
	}
	if err := Listen("nowhere.invalid:80", logger).Serve(t.Context(), "config", http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "PARLEY_HTTP_ADDR") {
		t.Errorf("error %v", err)
	}
}

// A request that was taken before the stop is answered after it.
func TestFrontAnswersWhatIsInFlight(t *testing.T) {
	t.Parallel()
	socket, err := Socket(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	arrived, goOn := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-goOn
		if r.Context().Err() != nil {
			t.Error("the request was canceled by the stop")
		}
		_, _ = io.WriteString(w, "answered")
	})
	served := make(chan error, 1)
	go func() { served <- On(socket, slog.New(slog.DiscardHandler)).Serve(ctx, "config", handler) }()

	answers := make(chan string, 1)
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+socket.Addr().String(), nil)
		if err != nil {
			t.Error(err)
			return
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			answers <- err.Error()
			return
		}
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		answers <- string(body)
	}()
	<-arrived
	stop()
	close(goOn)
	if got := <-answers; got != "answered" {
		t.Errorf("answer %q", got)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestFrontReportsASocketThatBreaks(t *testing.T) {
	t.Parallel()
	socket, err := Socket(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = socket.Close()
	if err := On(socket, slog.New(slog.DiscardHandler)).Serve(t.Context(), "config", http.NotFoundHandler()); err == nil {
		t.Error("no error")
	}
}
