package rest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parley-dsr/parley/internal/process"
)

// parley stands in for Parley: it gives a token and one answer.
func parley(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/oauth/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("client_id") != "id" || r.FormValue("client_secret") != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"detail":"Invalid credentials"}`))
			return
		}
		_, _ = w.Write([]byte(`{"access_token":"opaque","token_type":"bearer"}`))
	})
	mux.HandleFunc("/", answer)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestClientSaysWhoItIs(t *testing.T) {
	t.Parallel()
	origin := parley(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"who":"` + r.Header.Get("Authorization") + `"}`))
	})
	for name, tt := range map[string]struct {
		settings Settings
		want     string
	}{
		"credentials":  {Settings{URL: origin + "/", ClientID: "id", ClientSecret: "s3cret"}, "Bearer opaque"},
		"access token": {Settings{URL: origin, AccessToken: "mine"}, "Bearer mine"},
	} {
		c, err := Open(t.Context(), tt.settings)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got struct{ Who string }
		if err := c.Do(t.Context(), http.MethodGet, "/api/v1/anything", nil, &got); err != nil || got.Who != tt.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed")
	}))
	t.Cleanup(elsewhere.Close)
	origin := parley(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/html":
			_, _ = w.Write([]byte("<html>"))
		case "/moved":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case "/list":
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"detail":[{"type":"missing"}]}`))
		case "/fields":
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"detail":[{"type":"enum","loc":["body","status",0],"msg":"Input should be 'a'"},{"loc":["body"],"msg":"wrong"}]}`))
		default:
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"detail":"Not Authorized for this action"}`))
		}
	})
	c, err := Open(t.Context(), Settings{URL: origin, AccessToken: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/no?size=1": "GET /no answered 403: Not Authorized for this action",
		"/list":      `GET /list answered 422: {"detail":[{"type":"missing"}]}`,
		"/fields":    "GET /fields answered 422: status.0: Input should be 'a'; wrong",
		"/moved":     "GET /moved answered 307: ",
		"/html":      ErrNotParley.Error(),
	} {
		var out any
		if err := c.Do(t.Context(), http.MethodGet, path, nil, &out); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err = Open(t.Context(), Settings{URL: origin, ClientID: "id", ClientSecret: "wr0ng"})
	var status *StatusError
	if !errors.As(err, &status) || status.Status != http.StatusUnauthorized || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("wrong secret: %v", err)
	}
	_, err = Open(t.Context(), Settings{URL: "http://127.0.0.1:1", ClientID: "id", ClientSecret: "s3cret"})
	if !errors.Is(err, ErrNoAnswer) || !strings.HasPrefix(err.Error(), "Parley does not answer at http://127.0.0.1:1: dial") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		environ map[string]string
		want    string // the beginning of the error, "" for none
	}{
		"credentials":     {map[string]string{"PARLEY_CLIENT_ID": "a", "PARLEY_CLIENT_SECRET": "b"}, ""},
		"access token":    {map[string]string{"PARLEY_ACCESS_TOKEN": "a"}, ""},
		"nobody":          {nil, "PARLEY_CLIENT_ID is not set"},
		"no secret":       {map[string]string{"PARLEY_CLIENT_ID": "a"}, "PARLEY_CLIENT_SECRET is not set"},
		"no scheme":       {map[string]string{"PARLEY_ACCESS_TOKEN": "a", "PARLEY_URL": "parley.example.com"}, "PARLEY_URL takes"},
		"password in URL": {map[string]string{"PARLEY_ACCESS_TOKEN": "a", "PARLEY_URL": "http://a:pa55@b"}, "PARLEY_URL takes"},
	} {
		s, err := process.Load[Settings](tt.environ)
		switch {
		case tt.want == "" && (err != nil || s.URL != "http://127.0.0.1:8080" && tt.environ["PARLEY_URL"] == ""):
			t.Errorf("%s: %+v, %v", name, s, err)
		case tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "pa55")):
			t.Errorf("%s: %v", name, err)
		}
	}
}
