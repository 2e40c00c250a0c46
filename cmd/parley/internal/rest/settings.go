package rest

import (
	"context"
	"net/url"

	"github.com/parley-dsr/parley/internal/process"
)

// Settings say where Parley is and who asks. There are no flags for secrets:
// every process of a machine sees the command lines of all.
type Settings struct {
	URL          string `env:"PARLEY_URL" envDefault:"http://127.0.0.1:8080" takes:"the address of the REST edge, such as https://parley.example.com"`
	AccessToken  string `env:"PARLEY_ACCESS_TOKEN" secret:"true" takes:"an access token"`
	ClientID     string `env:"PARLEY_CLIENT_ID" takes:"the id of an API client"`
	ClientSecret string `env:"PARLEY_CLIENT_SECRET" secret:"true" takes:"the secret of that API client"`
}

// Validate checks what the tags cannot say.
func (s Settings) Validate() error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return process.Takes("PARLEY_URL", "the address of the REST edge, such as https://parley.example.com")
	}
	switch {
	case s.AccessToken != "":
		return nil
	case s.ClientID == "":
		return process.NotSet("PARLEY_CLIENT_ID", "the id of an API client (or set PARLEY_ACCESS_TOKEN)")
	case s.ClientSecret == "":
		return process.NotSet("PARLEY_CLIENT_SECRET", "the secret of the API client")
	}
	return nil
}

// Open returns a client that has logged in.
func Open(ctx context.Context, s Settings) (*Client, error) {
	c := New(s.URL)
	if s.AccessToken != "" {
		c.token = s.AccessToken
		return c, nil
	}
	return c, c.Login(ctx, s.ClientID, s.ClientSecret)
}
