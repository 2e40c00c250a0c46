package allinone

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/parley-dsr/parley/internal/keyring"
)

// credentials are what the all-in-one makes up when the settings do not say,
// and keeps for its next start.
type credentials struct {
	RootClientID     string `json:"root_client_id,omitempty"`
	RootClientSecret string `json:"root_client_secret,omitempty"`
	EncryptionKeys   string `json:"encryption_keys,omitempty"`
}

const credentialsFile = "credentials.json"

// resolve gives the credentials to use: the settings', else those in the data
// folder, else new ones, which are written there. generated says whether the
// secret of the root client is new.
func resolve(s Settings, dir string) (c credentials, generated bool, err error) {
	file := filepath.Join(dir, credentialsFile)
	kept, err := readCredentials(file)
	if err != nil {
		return c, false, err
	}
	given := credentials{s.RootClientID, s.RootClientSecret, s.EncryptionKeys}
	fresh := kept
	if given.RootClientID == "" && kept.RootClientID == "" {
		fresh.RootClientID = randomHex()
	}
	if given.RootClientSecret == "" && kept.RootClientSecret == "" {
		fresh.RootClientSecret = randomHex()
		generated = true
	}
	if given.EncryptionKeys == "" && kept.EncryptionKeys == "" {
		if fresh.EncryptionKeys, err = keyring.Generate(); err != nil {
			return c, false, err
		}
	}
	if fresh != kept {
		if err := writeCredentials(file, fresh); err != nil {
			return c, false, err
		}
	}
	return credentials{
		RootClientID:     either(given.RootClientID, fresh.RootClientID),
		RootClientSecret: either(given.RootClientSecret, fresh.RootClientSecret),
		EncryptionKeys:   either(given.EncryptionKeys, fresh.EncryptionKeys),
	}, generated, nil
}

func readCredentials(file string) (c credentials, err error) {
	data, err := os.ReadFile(file) //nolint:gosec // the folder is the operator's
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("credentials: %w", err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("%s is not what parley serve wrote; put it back, or remove it and set PARLEY_ENCRYPTION_KEYS", file)
	}
	return c, nil
}

// writeCredentials replaces the file in one step: half a key would be a lost
// key.
func writeCredentials(file string, c credentials) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	next := file + ".new"
	if err := os.WriteFile(next, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	if err := os.Rename(next, file); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	return nil
}

func randomHex() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
