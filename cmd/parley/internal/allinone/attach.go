package allinone

import (
	"fmt"
	"path/filepath"

	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/process"
)

// Attach gives the environment of one service of an installation that runs
// elsewhere, for commands that work beside it. What the settings do not say is
// that of parley serve: its NATS, its private Postgres, and the credentials in
// its data folder. Nothing is started and nothing is written.
func Attach(environ map[string]string, service string) (map[string]string, error) {
	s, err := process.Load[Settings](environ, Defaults())
	if err != nil {
		return nil, err
	}
	kept, err := readCredentials(filepath.Join(s.DataDir, credentialsFile))
	if err != nil {
		return nil, err
	}
	c := credentials{
		// The commands check no tokens: the services want these two, not they.
		RootClientID:     either(s.RootClientID, either(kept.RootClientID, noClient)),
		RootClientSecret: either(s.RootClientSecret, either(kept.RootClientSecret, noClient)),
		EncryptionKeys:   either(s.EncryptionKeys, kept.EncryptionKeys),
	}
	if c.EncryptionKeys == "" {
		return nil, fmt.Errorf("%w; parley serve keeps them in its data folder, which PARLEY_DATA_DIR names",
			process.NotSet("PARLEY_ENCRYPTION_KEYS", "the keys of the services"))
	}
	database, err := databaseOf(s, service)
	if err != nil {
		return nil, err
	}
	return environFor(environ, c, either(s.NATSURL, "nats://"+s.NATSAddr), database), nil
}

// noClient stands for a root client that nobody needs.
const noClient = "none"

// databaseOf is the database of a service: on the server that the settings
// name, or in the private Postgres of the data folder.
func databaseOf(s Settings, service string) (string, error) {
	if s.DatabaseURL != "" {
		return onServer(s.DatabaseURL, service)
	}
	url, err := embedded.RunningPostgres(s.DataDir, service)
	if err != nil {
		return "", fmt.Errorf("%w; PARLEY_DATABASE_URL names another one", err)
	}
	return url, nil
}

// DatabaseOf is the database of a service of the installation that the settings
// describe; see Attach.
func DatabaseOf(environ map[string]string, service string) (string, error) {
	s, err := process.Load[Settings](environ, Defaults())
	if err != nil {
		return "", err
	}
	return databaseOf(s, service)
}
