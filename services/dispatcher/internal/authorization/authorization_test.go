package authorization

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/catalog"
)

type tokens func(refused string) (string, error)

func (f tokens) Token(_ context.Context, _ string, _ catalog.OAuth, refused string) (string, error) {
	return f(refused)
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	issue := tokens(func(refused string) (string, error) {
		if refused == "first" {
			return "second", nil
		}
		return "first", nil
	})
	tests := []struct {
		name    string
		secrets catalog.Secrets
		oauth   *catalog.OAuth
		refused string
		want    http.Header
	}{
		{"nothing", catalog.Secrets{}, nil, "", http.Header{}},
		{"static, as it is", catalog.Secrets{Authorization: "s3cret"}, nil, "", http.Header{"Authorization": {"s3cret"}}},
		{"headers", catalog.Secrets{Authorization: "s3cret", Headers: map[string]string{"x-tenant": "7"}}, nil, "",
			http.Header{"Authorization": {"s3cret"}, "X-Tenant": {"7"}}},
		{"headers replace the secret", catalog.Secrets{Authorization: "s3cret", Headers: map[string]string{"authorization": "mine"}}, nil, "",
			http.Header{"Authorization": {"mine"}}},
		{"OAuth", catalog.Secrets{}, &catalog.OAuth{}, "", http.Header{"Authorization": {"Bearer first"}}},
		{"OAuth after a refusal", catalog.Secrets{}, &catalog.OAuth{}, "first", http.Header{"Authorization": {"Bearer second"}}},
		{"nothing replaces OAuth", catalog.Secrets{Authorization: "s3cret", Headers: map[string]string{"Authorization": "mine"}}, &catalog.OAuth{}, "",
			http.Header{"Authorization": {"Bearer first"}}},
		{"framing is not configured", catalog.Secrets{Headers: map[string]string{
			"content-length": "1", "Transfer-Encoding": "chunked", "Connection": "close", "Accept-Encoding": "br",
		}}, nil, "", http.Header{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Headers{Tokens: issue}.For(t.Context(), "con_1", test.secrets, test.oauth, test.refused)
			if err != nil {
				t.Fatal(err)
			}
			test.want.Set("Content-Type", "application/json")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoToken(t *testing.T) {
	t.Parallel()
	refused := tokens(func(string) (string, error) { return "", errors.New("refused") })
	if _, err := (Headers{Tokens: refused}).For(t.Context(), "con_1", catalog.Secrets{}, &catalog.OAuth{}, ""); !errors.Is(err, ErrToken) {
		t.Errorf("got %v", err)
	}
}
