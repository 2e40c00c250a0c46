package authorization

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/catalog"
)

type tokens func(fresh bool) (string, error)

func (f tokens) Token(_ context.Context, _ string, _ catalog.OAuth, fresh bool) (string, error) {
	return f(fresh)
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	issue := tokens(func(fresh bool) (string, error) {
		if fresh {
			return "second", nil
		}
		return "first", nil
	})
	tests := []struct {
		name    string
		secrets catalog.Secrets
		oauth   *catalog.OAuth
		fresh   bool
		want    http.Header
	}{
		{"nothing", catalog.Secrets{}, nil, false, http.Header{}},
		{"static, as it is", catalog.Secrets{Authorization: "s3cret"}, nil, false, http.Header{"Authorization": {"s3cret"}}},
		{"headers", catalog.Secrets{Authorization: "s3cret", Headers: map[string]string{"x-tenant": "7"}}, nil, false,
			http.Header{"Authorization": {"s3cret"}, "X-Tenant": {"7"}}},
		{"headers replace the secret", catalog.Secrets{Authorization: "s3cret", Headers: map[string]string{"authorization": "mine"}}, nil, false,
			http.Header{"Authorization": {"mine"}}},
		{"OAuth", catalog.Secrets{}, &catalog.OAuth{}, false, http.Header{"Authorization": {"Bearer first"}}},
		{"OAuth after a refusal", catalog.Secrets{}, &catalog.OAuth{}, true, http.Header{"Authorization": {"Bearer second"}}},
		{"nothing replaces OAuth", catalog.Secrets{Authorization: "s3cret", Headers: map[string]string{"Authorization": "mine"}}, &catalog.OAuth{}, false,
			http.Header{"Authorization": {"Bearer first"}}},
		{"framing is not configured", catalog.Secrets{Headers: map[string]string{
			"content-length": "1", "Transfer-Encoding": "chunked", "Connection": "close", "Accept-Encoding": "br",
		}}, nil, false, http.Header{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Headers{Tokens: issue}.For(t.Context(), "con_1", test.secrets, test.oauth, test.fresh)
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
	refused := tokens(func(bool) (string, error) { return "", errors.New("refused") })
	if _, err := (Headers{Tokens: refused}).For(t.Context(), "con_1", catalog.Secrets{}, &catalog.OAuth{}, false); !errors.Is(err, ErrToken) {
		t.Errorf("got %v", err)
	}
}
