package authorization

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/parley-dsr/parley/internal/catalog"
)

const (
	newSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	oldSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

func TestSignatureIsVerified(t *testing.T) {
	t.Parallel()
	now := time.Now()
	body := []byte(`{"a": 1}`)
	signature, err := Signature(catalog.Secrets{SigningSecret: newSecret, SigningSecretOld: oldSecret}, "call", now, body)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	header.Set("webhook-id", "call")
	header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	header.Set("webhook-signature", signature)
	for _, secret := range []string{newSecret, oldSecret} {
		receiver, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := receiver.Verify(body, header); err != nil {
			t.Errorf("%v", err)
		}
		if receiver.Verify([]byte(`{"a": 2}`), header) == nil {
			t.Error("another body is accepted")
		}
	}
}

func TestNothingToProve(t *testing.T) {
	t.Parallel()
	signature, err := Signature(catalog.Secrets{}, "call", time.Now(), nil)
	if signature != "" || err != nil {
		t.Errorf("signature %q, %v", signature, err)
	}
	certificate, err := Certificate(catalog.Secrets{})
	if certificate != nil || err != nil {
		t.Errorf("certificate %v, %v", certificate, err)
	}
}

func TestUnusableSecrets(t *testing.T) {
	t.Parallel()
	_, err := Signature(catalog.Secrets{SigningSecret: "whsec_%%"}, "call", time.Now(), nil)
	if !errors.Is(err, ErrSecret) || strings.Contains(err.Error(), "%") {
		t.Errorf("signature: %v", err)
	}
	for _, secrets := range []catalog.Secrets{{ClientCertificate: "x"}, {ClientKey: "x"}} {
		if _, err := Certificate(secrets); !errors.Is(err, ErrSecret) {
			t.Errorf("certificate: %v", err)
		}
	}
}
