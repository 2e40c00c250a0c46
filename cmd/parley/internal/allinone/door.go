package allinone

import (
	"path/filepath"

	"github.com/parley-dsr/parley/internal/process"
)

// Door is how one gets into a parley serve.
type Door struct {
	URL, ClientID, ClientSecret string
}

// DoorOf gives the door of the parley serve that the settings describe, for
// commands on the same machine. Credentials that neither the settings nor its
// data folder have are "".
func DoorOf(environ map[string]string) (Door, error) {
	s, err := process.Load[Settings](environ, Defaults())
	if err != nil {
		return Door{}, err
	}
	kept, err := readCredentials(filepath.Join(s.DataDir, credentialsFile))
	if err != nil {
		return Door{}, err
	}
	return Door{
		URL:          "http://" + s.HTTPAddr,
		ClientID:     either(s.RootClientID, kept.RootClientID),
		ClientSecret: either(s.RootClientSecret, kept.RootClientSecret),
	}, nil
}
