package reply

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/internal/token"
)

// Texts of refusals (contract §11).
const (
	textForbidden = "Not Authorized for this action"
	textExpired   = "Webhook token expired"
)

// Gate checks reply tokens. It knows the keys and the time and nothing of the
// request: a token that passes is genuine, fits the operation and the request
// in the path, and is in time. Who sends many that do not pass is told to come
// back later; a good token always passes, whatever came from its address.
type Gate struct {
	ring     *keyring.Ring
	clock    func() time.Time
	refusals *refusals
}

// NewGate returns a gate that tells the sender of a bad token why it is refused,
// refusalsPerMinute times a minute.
func NewGate(ring *keyring.Ring, refusalsPerMinute int, clock func() time.Time) *Gate {
	return &Gate{ring: ring, clock: clock, refusals: newRefusals(refusalsPerMinute)}
}

// wants is the token that an operation takes.
type wants struct {
	scope string
	phase record.Phase
}

// The tokens of the operations, by their ids in the API document.
func operationWants(operationID string) (wants, bool) {
	switch operationID {
	case "resumePrivacyRequest":
		return wants{scope: token.ScopeResume, phase: record.Pre}, true
	case "replyEligible", "replyNotEligible":
		return wants{scope: token.ScopeReview, phase: record.PreApproval}, true
	}
	return wants{}, false
}

// Check is the edge's hook: it refuses a bad token before the body is looked
// at.
func (g *Gate) Check(r *http.Request, operationID, bearer string) error {
	w, ok := operationWants(operationID)
	if !ok {
		return edge.Forbidden(textForbidden)
	}
	_, err := g.admit(bearer, requestOf(r), w)
	if err == nil {
		return nil
	}
	if wait, tooMany := g.refusals.count(edge.ClientAddr(r), g.clock()); tooMany {
		return edge.TooMany(wait, "Too many replies from this address were refused.")
	}
	return err
}

// requestOf is the request that the canonical path is about. The segment is cut
// out before its escapes are resolved: one that stands for a slash ends nothing.
func requestOf(r *http.Request) string {
	rest, _ := strings.CutPrefix(r.URL.EscapedPath(), "/api/v1/privacy-request/")
	segment, _, _ := strings.Cut(rest, "/")
	id, err := url.PathUnescape(segment)
	if err != nil {
		return ""
	}
	return id
}

// admit reads a token for a request. What kind of wrong a token is, is nobody's
// business: except for one whose time is over, all are refused alike.
func (g *Gate) admit(bearer, requestID string, w wants) (token.Reply, error) {
	t, err := token.ReadReply(g.ring, bearer)
	now := g.clock()
	if err != nil || !fits(t, requestID, w) || t.Premature(now) {
		return token.Reply{}, edge.Forbidden(textForbidden)
	}
	if t.Expired(now) {
		return token.Reply{}, edge.Forbidden(textExpired)
	}
	return t, nil
}

func fits(t token.Reply, requestID string, w wants) bool {
	call, err := record.ParseCallID(t.CallID)
	if err != nil || call.RequestID != t.RequestID || call.Target != t.WebhookID || call.WebhookPhase() != w.phase {
		return false
	}
	return t.RequestID == requestID && slices.Contains(t.Scopes, w.scope)
}
