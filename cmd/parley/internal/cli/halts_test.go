package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// halting stands in for a Parley that has so many halts.
func halting(t *testing.T, number int) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/oauth/token", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"access_token":"opaque"}`))
	})
	since := time.Now().UTC().Truncate(time.Second)
	mux.HandleFunc("GET /api/v1/halted", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer opaque" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"detail":"Not Authorized for this action"}`))
			return
		}
		page, _ := strconv.Atoi(r.FormValue("page"))
		size, _ := strconv.Atoi(r.FormValue("size"))
		items := []halt{}
		for n := (page - 1) * size; n < min(page*size, number); n++ {
			one := halt{RequestID: fmt.Sprintf("pri_%d", n), CallID: fmt.Sprintf("call_%d", n), WebhookID: "pol_1", Since: since, Until: since.Add(60 * time.Hour)}
			if n > 0 {
				one.WebhookKey = "legal_hold"
			}
			items = append(items, one)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"items": items, "total": number, "page": page, "size": size, "pages": (number + size - 1) / size})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestHalts(t *testing.T) {
	t.Parallel()
	environ := map[string]string{"PARLEY_URL": halting(t, 250), "PARLEY_CLIENT_ID": "id", "PARLEY_CLIENT_SECRET": "secret"}
	run := func(environ map[string]string, args ...string) (string, error) {
		var out strings.Builder
		err := Run(t.Context(), append([]string{"halts"}, args...), environ, &out)
		return out.String(), err
	}
	table, err := run(environ, "--limit", "2")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(table), "\n")
	if len(lines) != 4 || strings.Join(strings.Fields(lines[0]), " ") != "REQUEST WEBHOOK SINCE UNTIL LEFT" ||
		!strings.HasPrefix(lines[1], "pri_0") || !strings.Contains(lines[1], " pol_1 ") || !strings.Contains(lines[2], " legal_hold ") ||
		lines[3] != "… and 248 more; --limit shows them." {
		t.Errorf("%s", table)
	}
	printed, err := run(environ, "--json", "--limit", "1000")
	if err != nil {
		t.Fatal(err)
	}
	var got halted
	if err := json.Unmarshal([]byte(printed), &got); err != nil || got.Total != 250 || len(got.Halts) != 250 || got.Halts[249].RequestID != "pri_249" {
		t.Errorf("%d of %d halts, %v", len(got.Halts), got.Total, err)
	}
	if none, err := run(environ, "--url", halting(t, 0)); err != nil || none != "Nothing is halted.\n" {
		t.Errorf("nothing halted: %q, %v", none, err)
	}
	for want, environ := range map[string]map[string]string{
		"PARLEY_CLIENT_ID is not set":        {"PARLEY_URL": environ["PARLEY_URL"]},
		"GET /api/v1/halted answered 403: N": {"PARLEY_URL": environ["PARLEY_URL"], "PARLEY_ACCESS_TOKEN": "other"},
		"Parley does not answer at":          {"PARLEY_URL": "http://127.0.0.1:1", "PARLEY_ACCESS_TOKEN": "other"},
	} {
		if _, err := run(environ); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v", environ, err)
		}
	}
	if _, err := run(environ, "--limit", "0"); err == nil {
		t.Error("no error for no halts")
	}
}

// Without settings the root client of parley serve on this machine asks, and
// never somebody else than that parley serve.
func TestHaltsOfThisMachine(t *testing.T) {
	t.Parallel()
	origin, dir := halting(t, 1), t.TempDir()
	kept := []byte(`{"root_client_id":"root","root_client_secret":"kept"}`)
	if err := os.WriteFile(filepath.Join(dir, "credentials.json"), kept, 0o600); err != nil {
		t.Fatal(err)
	}
	environ := map[string]string{"PARLEY_DATA_DIR": dir, "PARLEY_HTTP_ADDR": strings.TrimPrefix(origin, "http://")}
	var out strings.Builder
	if err := Run(t.Context(), []string{"halts"}, environ, &out); err != nil || !strings.Contains(out.String(), "pri_0") {
		t.Errorf("%s, %v", out.String(), err)
	}
	if err := Run(t.Context(), []string{"halts", "--url", origin}, environ, &out); err == nil {
		t.Error("the root secret of this machine was sent to another address")
	}
}
