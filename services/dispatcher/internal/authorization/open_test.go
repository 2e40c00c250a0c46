package authorization

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/keyring"
)

func newRing(t *testing.T) *keyring.Ring {
	t.Helper()
	keys, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Parse(keys)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func seal(t *testing.T, ring *keyring.Ring, value any) string {
	t.Helper()
	plain, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ring.Seal(keyring.Secret, plain)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// What was changed counts for the next call.
func TestOpenerSeesChanges(t *testing.T) {
	t.Parallel()
	ring := newRing(t)
	opener := NewOpener(ring)
	connection := catalog.Connection{ID: "con_1"}
	for _, step := range []struct {
		secrets catalog.Secrets
		oauth   *catalog.OAuth
	}{
		{catalog.Secrets{URL: "https://a.example", Authorization: "one"}, nil},
		{catalog.Secrets{URL: "https://a.example", Authorization: "two"}, nil},
		{catalog.Secrets{URL: "https://a.example", Authorization: "two"}, &catalog.OAuth{ClientID: "me"}},
		{catalog.Secrets{URL: "https://a.example", Authorization: "two"}, &catalog.OAuth{ClientID: "you"}},
		{catalog.Secrets{URL: "https://b.example"}, nil},
	} {
		connection.SealedSecrets, connection.SealedOAuth = seal(t, ring, step.secrets), ""
		if step.oauth != nil {
			connection.SealedOAuth = seal(t, ring, step.oauth)
		}
		for range 2 {
			got, err := opener.Open(connection)
			if err != nil {
				t.Fatal(err)
			}
			if got.Secrets.URL != step.secrets.URL || got.Secrets.Authorization != step.secrets.Authorization {
				t.Errorf("got %+v, want %+v", got.Secrets, step.secrets)
			}
			if (got.OAuth == nil) != (step.oauth == nil) || got.OAuth != nil && *got.OAuth != *step.oauth {
				t.Errorf("got %+v, want %+v", got.OAuth, step.oauth)
			}
		}
	}
}

func TestOpenerRefuses(t *testing.T) {
	t.Parallel()
	ring := newRing(t)
	opener := NewOpener(ring)
	open := func(secrets string) error {
		_, err := opener.Open(catalog.Connection{ID: "con_1", SealedSecrets: secrets})
		return err
	}
	if err := open(seal(t, ring, catalog.Secrets{URL: "https://a.example"})); err != nil {
		t.Fatal(err)
	}
	if err := open(""); !errors.Is(err, ErrUnconfigured) {
		t.Errorf("without secrets: %v", err)
	}
	if err := open(seal(t, ring, catalog.Secrets{URL: "https://a.example", ClientCertificate: "x", ClientKey: "y"})); !errors.Is(err, ErrSecret) {
		t.Errorf("with a certificate that is none: %v", err)
	}
	if err := open(seal(t, newRing(t), catalog.Secrets{URL: "https://a.example"})); err == nil || errors.Is(err, ErrUnconfigured) {
		t.Errorf("with a foreign seal: %v", err)
	}
}
