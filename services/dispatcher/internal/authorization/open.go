package authorization

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/keyring"
)

// maxOpened is how many connections are kept open.
const maxOpened = 4096

// Opened is what a connection keeps secret, in the clear. It is shared between
// calls and not changed.
type Opened struct {
	Secrets catalog.Secrets
	// OAuth is nil where the connection has none.
	OAuth *catalog.OAuth
	// Certificate of the client is nil where the connection has none.
	Certificate *tls.Certificate
}

// Opener unseals what connections keep secret. To unseal costs more than to
// read the connection anew, so it is done once for each seal: the connection is
// still read for every call, and what was changed has another seal.
type Opener struct {
	ring *keyring.Ring
	mu   sync.Mutex
	kept map[string]kept // by connection id
}

type kept struct {
	secrets, oauth string // the seals
	opened         Opened
}

// NewOpener gives an opener with the keys of the ring.
func NewOpener(ring *keyring.Ring) *Opener { return &Opener{ring: ring, kept: map[string]kept{}} }

// Open unseals a connection. It fails with ErrUnconfigured where there is no
// URL to call and with ErrSecret for a client certificate that is none. Any
// other error, such as a seal that does not open, may be gone later: the key
// may be on its way to us.
func (o *Opener) Open(connection catalog.Connection) (Opened, error) {
	o.mu.Lock()
	k, ok := o.kept[connection.ID]
	o.mu.Unlock()
	if ok && k.secrets == connection.SealedSecrets && k.oauth == connection.SealedOAuth {
		return k.opened, nil
	}
	opened, err := o.open(connection)
	if err != nil {
		return Opened{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.kept) >= maxOpened {
		clear(o.kept)
	}
	o.kept[connection.ID] = kept{secrets: connection.SealedSecrets, oauth: connection.SealedOAuth, opened: opened}
	return opened, nil
}

func (o *Opener) open(connection catalog.Connection) (opened Opened, err error) {
	if err = o.unseal(connection.SealedSecrets, &opened.Secrets); err != nil {
		return opened, fmt.Errorf("authorization: secrets of the connection: %w", err)
	}
	if opened.Secrets.URL == "" {
		return opened, ErrUnconfigured
	}
	if opened.Certificate, err = Certificate(opened.Secrets); err != nil {
		return opened, err
	}
	if connection.SealedOAuth == "" {
		return opened, nil
	}
	opened.OAuth = new(catalog.OAuth)
	if err = o.unseal(connection.SealedOAuth, opened.OAuth); err != nil {
		return opened, fmt.Errorf("authorization: OAuth settings of the connection: %w", err)
	}
	return opened, nil
}

func (o *Opener) unseal(sealed string, into any) error {
	if sealed == "" {
		return nil
	}
	plain, err := o.ring.Open(keyring.Secret, sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, into); err != nil {
		return errors.New("not readable") // the decoder's text may repeat a value
	}
	return nil
}
