package authorization

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/keyring"
)

// Open unseals what a connection keeps secret; the OAuth settings are nil where
// it has none. It fails with ErrUnconfigured where there is no URL to call. Any
// other error, such as a seal that does not open, may be gone later: the key
// may be on its way to us.
func Open(ring *keyring.Ring, connection catalog.Connection) (catalog.Secrets, *catalog.OAuth, error) {
	var secrets catalog.Secrets
	if err := unseal(ring, connection.SealedSecrets, &secrets); err != nil {
		return secrets, nil, fmt.Errorf("authorization: secrets of the connection: %w", err)
	}
	if secrets.URL == "" {
		return secrets, nil, ErrUnconfigured
	}
	if connection.SealedOAuth == "" {
		return secrets, nil, nil
	}
	var oauth catalog.OAuth
	if err := unseal(ring, connection.SealedOAuth, &oauth); err != nil {
		return secrets, nil, fmt.Errorf("authorization: OAuth settings of the connection: %w", err)
	}
	return secrets, &oauth, nil
}

func unseal(ring *keyring.Ring, sealed string, into any) error {
	if sealed == "" {
		return nil
	}
	plain, err := ring.Open(keyring.Secret, sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, into); err != nil {
		return errors.New("not readable") // the decoder's text may repeat a value
	}
	return nil
}
