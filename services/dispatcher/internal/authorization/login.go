package authorization

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// asItStands lets the login of a fetch go out without being encoded.
func asItStands(ctx context.Context, config clientcredentials.Config) context.Context {
	client, ok := ctx.Value(oauth2.HTTPClient).(*http.Client)
	if !ok || client.Transport == nil || strings.Contains(config.ClientID, ":") { // it would end the id
		return ctx
	}
	plain := *client
	plain.Transport = login{RoundTripper: client.Transport, id: config.ClientID, secret: config.ClientSecret}
	return context.WithValue(ctx, oauth2.HTTPClient, &plain)
}

type login struct {
	http.RoundTripper
	id, secret string
}

// RoundTrip implements http.RoundTripper.
func (l login) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth(l.id, l.secret)
	return l.RoundTripper.RoundTrip(r)
}

// encoded says whether the login looks different when it is encoded.
func encoded(config clientcredentials.Config) bool {
	return url.QueryEscape(config.ClientID) != config.ClientID || url.QueryEscape(config.ClientSecret) != config.ClientSecret
}

// refused says whether the issuer answered that it does not take the login.
func refused(err error) bool {
	var answer *oauth2.RetrieveError
	return errors.As(err, &answer) && answer.Response != nil &&
		(answer.Response.StatusCode == http.StatusUnauthorized || answer.Response.StatusCode == http.StatusBadRequest)
}
