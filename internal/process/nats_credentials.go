package process

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
)

const (
	natsCredentials = "PARLEY_NATS_CREDENTIALS"
	// seedSuffix is how the file of a user ends in a folder of seeds.
	seedSuffix = ".nk"
)

// credentials is who we are to the server: a credentials file of NATS, with a
// token in it; a file with the seed of a key; or a folder with the seed of each
// user, of which the service takes its own, for commands that act for several.
func credentials(path, service string) (nats.Option, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, service+seedSuffix)
	}
	seed := false
	err := check(natsCredentials, path, func(text []byte) error {
		seed = !bytes.Contains(text, []byte("NATS USER JWT"))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !seed {
		return nats.UserCredentials(path), nil
	}
	option, err := nats.NkeyOptionFromSeed(path)
	if err != nil { // its text may not be shown: who knows what is in the file
		return nil, Takes(natsCredentials, "the path of a NATS credentials file, of a seed, or of a folder with the seed of each user")
	}
	return option, nil
}
