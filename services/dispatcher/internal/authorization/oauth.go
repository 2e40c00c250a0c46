package authorization

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"

	"github.com/parley-dsr/parley/internal/catalog"
)

const (
	// A token is not used in its last moments: it has a way to go.
	beforeExpiry = 30 * time.Second
	// How long a token is kept whose issuer does not say when it expires.
	withoutExpiry = 5 * time.Minute
	// How long a token is kept at most. One that was revoked may be refused with
	// a status that does not say so.
	longest = 24 * time.Hour
	// How long a token may be, in bytes: it has to go into a header.
	largest = 64 << 10
)

// OAuth fetches tokens by the client-credentials grant and keeps them until
// shortly before they expire. Many calls that wait for the token of one
// connection cause one fetch and share what comes of it, also a failure.
type OAuth struct {
	clock  func() time.Time
	ctx    context.Context //nolint:containedctx // a fetch outlives the call that began it, and ends with Close
	cancel context.CancelFunc

	fetches singleflight.Group
	running sync.WaitGroup
	mu      sync.Mutex
	kept    map[string]keptToken
}

// keptToken is good for the settings with which it was fetched.
type keptToken struct {
	settings string
	token    string
	until    time.Time
}

// NewOAuth gives a source of tokens that uses the client, which must bound the
// time of a fetch and follow no redirects.
func NewOAuth(client *http.Client, clock func() time.Time) *OAuth {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), oauth2.HTTPClient, client))
	return &OAuth{clock: clock, ctx: ctx, cancel: cancel, kept: map[string]keptToken{}}
}

// Close ends the fetches that are under way. No token can be had afterwards.
func (o *OAuth) Close() {
	o.cancel()
	o.running.Wait()
}

// Token implements Tokens.
func (o *OAuth) Token(ctx context.Context, connectionID string, settings catalog.OAuth, refused string) (string, error) {
	key := identify(settings)
	if token := o.good(connectionID, key, refused); token != "" {
		return token, nil
	}
	o.running.Add(1)
	fetched := o.fetches.DoChan(strings.Join([]string{connectionID, key, refused}, "\x00"), func() (any, error) {
		// Whoever came late finds what the one before has fetched.
		if token := o.good(connectionID, key, refused); token != "" {
			return token, nil
		}
		return o.fetch(connectionID, key, settings)
	})
	result := make(chan singleflight.Result, 1)
	go func() {
		defer o.running.Done()
		result <- <-fetched
	}()
	select {
	case r := <-result:
		if r.Err != nil {
			return "", r.Err
		}
		return r.Val.(string), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// good gives the kept token, if it is still good and not the refused one.
func (o *OAuth) good(connectionID, key, refused string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept, ok := o.kept[connectionID]
	if !ok || kept.settings != key || kept.token == refused || !o.clock().Before(kept.until) {
		return ""
	}
	return kept.token
}

// Try fetches a token and does not keep it.
func (o *OAuth) Try(ctx context.Context, settings catalog.OAuth) error {
	ctx, cancel := context.WithCancel(context.WithValue(ctx, oauth2.HTTPClient, o.ctx.Value(oauth2.HTTPClient)))
	defer cancel()
	defer context.AfterFunc(o.ctx, cancel)()
	if _, err := request(ctx, settings); err != nil {
		return ErrToken
	}
	return nil
}

func (o *OAuth) fetch(connectionID, key string, settings catalog.OAuth) (string, error) {
	token, err := request(o.ctx, settings)
	if err != nil {
		return "", err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forgetOld()
	o.kept[connectionID] = keptToken{settings: key, token: token.AccessToken, until: o.goodUntil(token)}
	return token.AccessToken, nil
}

// request fetches a token. The login goes as it stands, as most issuers read
// it, and then, to those that refuse this, encoded as RFC 6749 wants it.
func request(ctx context.Context, settings catalog.OAuth) (*oauth2.Token, error) {
	config := clientcredentials.Config{
		ClientID:  settings.ClientID,
		TokenURL:  settings.TokenURL,
		AuthStyle: oauth2.AuthStyleInHeader,
	}
	if settings.ClientSecret != nil {
		config.ClientSecret = *settings.ClientSecret
	}
	if settings.Scope != nil {
		config.Scopes = strings.Fields(*settings.Scope)
	}
	token, err := config.Token(asItStands(ctx, config))
	if refused(err) && encoded(config) {
		token, err = config.Token(ctx)
	}
	if err != nil || len(token.AccessToken) > largest || !httpguts.ValidHeaderFieldValue(token.AccessToken) {
		// The text of the error may repeat what the issuer answered.
		return nil, errFetch
	}
	return token, nil
}

// goodUntil leaves a part of a short life, too.
func (o *OAuth) goodUntil(token *oauth2.Token) time.Time {
	now := o.clock()
	if token.Expiry.IsZero() {
		return now.Add(withoutExpiry)
	}
	life := token.Expiry.Sub(now)
	return now.Add(min(life-min(beforeExpiry, life/4), longest))
}

// forgetOld keeps connections that are gone from filling the memory.
func (o *OAuth) forgetOld() {
	now := o.clock()
	for id, kept := range o.kept {
		if !now.Before(kept.until) {
			delete(o.kept, id)
		}
	}
}

// identify tells one set of settings from another.
func identify(settings catalog.OAuth) string {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	return strings.Join([]string{
		settings.GrantType, settings.TokenURL, text(settings.Scope), settings.ClientID, text(settings.ClientSecret),
	}, "\x00")
}
