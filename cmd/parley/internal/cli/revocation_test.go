package cli_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

// status is what a GET with a token is answered with.
func (i *installation) status(path, token string) int {
	i.t.Helper()
	r, err := http.NewRequestWithContext(i.t.Context(), http.MethodGet, i.info.Origin+path, http.NoBody)
	if err != nil {
		i.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		i.t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// TestRevocationIsSeenByEveryService takes scopes away from a client, and then
// the client itself: from the answer on, no edge lets it in.
func TestRevocationIsSeenByEveryService(t *testing.T) {
	t.Parallel()
	parley := serve(t, map[string]string{
		"PARLEY_DATA_DIR": filepath.Join(t.TempDir(), "data"), "PARLEY_NATS_ADDR": testbed.FreeAddr(t), "PARLEY_NATS_SYNC": "1m",
	})
	root := parley.login()
	edges := []string{"/api/v1/dsr/policy", "/api/v1/privacy-request", "/api/v1/halted"} // config, orchestrator, callback
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	const scopes = `{"scopes":["policy:read","privacy-request:read","webhook:read"]}`
	made := parley.call(http.MethodPost, "/api/v1/oauth/client", root, "application/json", scopes)
	if err := json.Unmarshal([]byte(made), &client); err != nil {
		t.Fatal(err)
	}
	login := func() string {
		t.Helper()
		form := url.Values{"client_id": {client.ID}, "client_secret": {client.Secret}}
		var issued struct {
			AccessToken string `json:"access_token"`
		}
		answer := parley.call(http.MethodPost, "/api/v1/oauth/token", "", "application/x-www-form-urlencoded", form.Encode())
		if err := json.Unmarshal([]byte(answer), &issued); err != nil {
			t.Fatal(err)
		}
		return issued.AccessToken
	}
	all := func(token string, want int) {
		t.Helper()
		for _, path := range edges {
			if got := parley.status(path, token); got != want {
				t.Errorf("%s answered %d, want %d", path, got, want)
			}
		}
	}
	token := login()
	for _, path := range edges { // the callback service takes its time to ask for clients
		await(t, path+" to know the clients", func() bool { return parley.status(path, token) == http.StatusOK })
	}
	// The token lists a scope that the client has no more.
	parley.call(http.MethodPut, "/api/v1/oauth/client/"+client.ID+"/scope", root, "application/json", `["policy:read","privacy-request:read"]`)
	all(token, http.StatusForbidden)
	token = login()
	all(token, http.StatusOK)
	parley.call(http.MethodDelete, "/api/v1/oauth/client/"+client.ID, root, "", "")
	all(token, http.StatusForbidden)
}
