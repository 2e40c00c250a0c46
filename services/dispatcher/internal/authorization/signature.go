package authorization

import (
	"crypto/tls"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/parley-dsr/parley/internal/catalog"
)

// Signature gives the header webhook-signature of Standard Webhooks, "" for a
// connection without a signing secret. During a rotation there are two secrets,
// and two signatures of which a receiver accepts either.
func Signature(secrets catalog.Secrets, id string, at time.Time, body []byte) (string, error) {
	var signatures []string
	for _, secret := range []string{secrets.SigningSecret, secrets.SigningSecretOld} {
		if secret == "" {
			continue
		}
		signer, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return "", ErrSecret // the error of the decoder repeats a part of the secret
		}
		signature, err := signer.Sign(id, at, body)
		if err != nil {
			return "", ErrSecret
		}
		signatures = append(signatures, signature)
	}
	return strings.Join(signatures, " "), nil
}

// Certificate gives the client certificate of a connection, nil for one
// without.
func Certificate(secrets catalog.Secrets) (*tls.Certificate, error) {
	if secrets.ClientCertificate == "" && secrets.ClientKey == "" {
		return nil, nil
	}
	certificate, err := tls.X509KeyPair([]byte(secrets.ClientCertificate), []byte(secrets.ClientKey))
	if err != nil {
		return nil, ErrSecret
	}
	return &certificate, nil
}
