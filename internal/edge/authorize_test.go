package edge_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/token"
)

func TestAuthorization(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.clients["scoped"] = catalog.Client{ID: "scoped", Scopes: []string{"webhook:read", "policy:read"}}
	b.clients["viewer"] = catalog.Client{ID: "viewer", Roles: []string{"viewer"}}
	b.clients["both"] = catalog.Client{ID: "both", Scopes: []string{"policy:read"}, Roles: []string{"viewer"}}
	b.clients["nothing"] = catalog.Client{ID: "nothing"}
	const needsRead = `{"detail":"Not Authorized for this action. Required scope(s): [webhook:read]"}`
	for name, c := range map[string]struct {
		authorization string
		status        int
		want          string
	}{
		"scope":                           {b.access("scoped", []string{"webhook:read"}, nil), 200, ""},
		"scheme in another case":          {strings.Replace(b.access("scoped", []string{"webhook:read"}, nil), "Bearer", "bEARER", 1), 200, ""},
		"role":                            {b.access("viewer", nil, []string{"viewer"}), 200, ""},
		"root by scope":                   {b.access(root, edge.AllScopes(), nil), 200, ""},
		"root by role":                    {b.access(root, nil, []string{"owner"}), 200, ""},
		"root with a scope of tomorrow":   {b.access(root, append(edge.AllScopes(), "new:read"), []string{"owner"}), 200, ""},
		"scope taken away":                {b.access("scoped", []string{"webhook:read", "webhook:delete"}, nil), 403, needsRead},
		"other scope":                     {b.access("scoped", []string{"policy:read"}, nil), 403, needsRead},
		"role taken away":                 {b.access("viewer", nil, []string{"viewer", "owner"}), 403, needsRead},
		"unknown role":                    {b.access("nothing", nil, nil), 403, needsRead},
		"role counts where scopes do not": {b.access("both", []string{"webhook:delete"}, []string{"viewer"}), 200, ""},
		"unknown client":                  {b.access("gone", []string{"webhook:read"}, nil), 403, notAuthorized},
		"reply token":                     {"Bearer " + b.reply(token.ScopeResume, now.Add(time.Hour)), 403, notAuthorized},
		"expired":                         {"Bearer " + expired(t, b), 403, notAuthorized},
		"sealed with a key that has gone": {setup(t).access(root, nil, []string{"owner"}), 403, notAuthorized},
		"sealed for another purpose":      {"Bearer " + foreign(t, b), 403, notAuthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setupSharing(t, b).send("GET", "/thing", "", "Authorization", c.authorization)
			if c.status == http.StatusOK {
				if w.Code != c.status {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				return
			}
			wantRefusal(t, w, c.status, c.want)
		})
	}
}

func expired(t *testing.T, b *bundle) string {
	t.Helper()
	s, err := token.IssueAccess(b.ring, token.Access{ClientID: root, Roles: []string{"owner"}, IssuedAt: now.Add(-time.Hour), ExpiresAt: now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func foreign(t *testing.T, b *bundle) string {
	t.Helper()
	s, err := b.ring.Seal(keyring.Vault, []byte(`{"client-id":"root","iat":"2026-05-01T08:00:00+00:00","exp":9999999999,"roles":["owner"]}`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPrincipal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.clients["scoped"] = catalog.Client{ID: "scoped", Scopes: []string{"policy:read", "rule:read"}}
	s := b.reached("GET", "/thing/special", "", "Authorization", b.access("scoped", []string{"rule:read", "policy:read"}, nil))
	if s.Principal.ClientID != "scoped" || s.Principal.Root || !slices.Equal(s.Principal.Scopes, []string{"policy:read", "rule:read"}) {
		t.Errorf("%+v", s.Principal)
	}
	if s.Bearer != "" {
		t.Error("an access token reached the handler")
	}
	s = b.reached("GET", "/thing/special", "", "Authorization", b.access(root, nil, []string{"owner"}))
	if !s.Principal.Root || len(s.Principal.Scopes) != len(edge.AllScopes()) {
		t.Errorf("%+v", s.Principal)
	}
}

// The root client works while clients cannot be looked up; others may retry.
func TestClientsOutOfReach(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.failing = true
	b.reached("GET", "/thing", "", "Authorization", b.access(root, nil, []string{"owner"}))
	w := b.send("GET", "/thing", "", "Authorization", b.access("scoped", []string{"webhook:read"}, nil))
	wantRefusal(t, w, 503, `{"detail":"API clients cannot be looked up at the moment."}`)
	if w.Header().Get("Retry-After") != "2" {
		t.Errorf("Retry-After: %s", w.Header().Get("Retry-After"))
	}
	if log := b.log.String(); !strings.Contains(log, "looked up") || strings.Contains(log, `\"scoped\"`) {
		t.Errorf("log: %s", log)
	}
}

// The token is handed on as it is: what it is worth is for the service to say,
// and where the service says nothing, nobody gets in.
func TestReplyTokens(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *edge.Config) {
		c.ReplyToken = func(_ *http.Request, _, bearer string) error {
			if bearer == "" {
				return edge.Forbidden("")
			}
			return nil
		}
	})
	const resume = "/privacy-request/pri_1/resume"
	for _, scheme := range []string{"Bearer", "bearer"} {
		if s := b.reached("POST", resume, "{}", "Authorization", scheme+" anything"); s.Bearer != "anything" {
			t.Errorf("%+v", s)
		}
	}
	wantRefusal(t, b.send("POST", resume, "{}", "Authorization", "Bearer "), 403, notAuthorized)
	for _, sent := range []string{"anything", "Basic anything", "Bearers anything", ""} {
		wantRefusal(t, b.send("POST", resume, "{}", "Authorization", sent), 401, unauthenticated)
	}
	if w := setup(t).send("POST", resume, "{}", "Authorization", "Bearer anything"); w.Code != http.StatusInternalServerError {
		t.Errorf("without a judge: %d %s", w.Code, w.Body)
	}
}

// The service's judgement of a token comes before the schema.
func TestReplyTokenHook(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *edge.Config) {
		c.ReplyToken = func(_ *http.Request, operation, bearer string) error {
			if operation == "resume" && bearer == "gone" {
				return edge.NotFound("No such webhook.")
			}
			return nil
		}
	})
	w := b.send("POST", "/privacy-request/pri_1/resume", `[]`, "Authorization", "Bearer gone")
	wantRefusal(t, w, 404, `{"detail":"No such webhook."}`)
	w = b.send("POST", "/privacy-request/pri_1/resume", `{"derived_identity":{"email":"x"}}`, "Authorization", "Bearer good")
	if w.Code != http.StatusUnprocessableEntity {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if err := errors.Unwrap(edge.Internal(errors.ErrUnsupported)); !errors.Is(err, errors.ErrUnsupported) {
		t.Error("an internal error loses its cause")
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	all, roles := edge.AllScopes(), edge.RoleScopes()
	if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Error("scopes are not sorted, or repeated")
	}
	if !slices.Equal(roles["owner"], all) || len(roles["contributor"]) != len(all)-9 {
		t.Errorf("owner %d, contributor %d of %d", len(roles["owner"]), len(roles["contributor"]), len(all))
	}
	for role, scopes := range roles {
		for _, s := range scopes {
			if !slices.Contains(all, s) {
				t.Errorf("%s implies %s, which does not exist", role, s)
			}
		}
	}
	for role, lacks := range map[string]string{
		"viewer": "privacy-request:read", "approver": "webhook:read", "contributor": "storage:delete",
	} {
		if slices.Contains(roles[role], lacks) {
			t.Errorf("%s implies %s", role, lacks)
		}
	}
}
