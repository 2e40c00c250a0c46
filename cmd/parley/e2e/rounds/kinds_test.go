//go:build faults

package rounds

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/parley-dsr/parley/cmd/parley/internal/rest"
)

// The kinds of requests; each is a policy.
const (
	tell    = "tell"    // one_way webhooks alone
	ask     = "ask"     // two_way ones
	derive  = "derive"  // an answer gives a phone number
	halt    = "halt"    // an answer halts, and a resume gives an e-mail address
	expire  = "expire"  // the first halt is not resumed, a later one need not be
	broken  = "broken"  // a webhook fails until it is mended
	flaky   = "flaky"   // a webhook fails at the first attempt of each call
	unheard = "unheard" // a one_way webhook fails always
	deny    = "deny"    // a person denies it
	cancel  = "cancel"  // it is canceled when it comes, or while it is called
)

// shares are how many of a hundred requests are of a kind.
var shares = []struct {
	kind  string
	share int
}{
	{tell, 15}, {ask, 20}, {derive, 15}, {halt, 22}, {expire, 6}, {broken, 2}, {flaky, 5}, {unheard, 1}, {deny, 6}, {cancel, 8},
}

func drawKind(r *rand.Rand) string {
	n := r.IntN(100)
	for _, s := range shares {
		if n -= s.share; n < 0 {
			return s.kind
		}
	}
	return ask
}

// paths of the receiver, each with a connection of its own.
var paths = []string{"/one", "/two", "/three", "/four"}

// hook is a webhook of a policy, as pre or post, direction and path.
type hook struct{ phase, direction, path string }

const (
	oneWay, twoWay = "one_way", "two_way"
	pre, post      = "pre", "post"
)

// hooks of the policies. In a policy each phase has a path once, so that a
// call's path tells which webhook it is of.
var hooks = map[string][]hook{
	tell:    {{pre, oneWay, "/one"}, {pre, oneWay, "/two"}, {post, oneWay, "/three"}},
	ask:     {{pre, twoWay, "/one"}, {pre, twoWay, "/two"}, {post, twoWay, "/three"}},
	derive:  {{pre, twoWay, "/two"}, {pre, twoWay, "/three"}, {post, oneWay, "/one"}},
	halt:    {{pre, oneWay, "/one"}, {pre, twoWay, "/two"}, {pre, twoWay, "/three"}, {post, oneWay, "/four"}},
	expire:  {{pre, twoWay, "/three"}, {pre, twoWay, "/two"}},
	broken:  {{pre, twoWay, "/two"}, {post, twoWay, "/one"}},
	flaky:   {{pre, twoWay, "/three"}, {pre, oneWay, "/two"}, {post, twoWay, "/one"}},
	unheard: {{pre, oneWay, "/one"}, {pre, twoWay, "/two"}},
	deny:    {{pre, twoWay, "/one"}},
	cancel:  {{pre, oneWay, "/one"}, {pre, twoWay, "/four"}, {pre, twoWay, "/two"}, {post, oneWay, "/three"}},
}

type object = map[string]any

// configure sets connections, policies and their webhooks.
func (rd *round) configure(ctx context.Context) error {
	admin := rest.New(rd.house.origin)
	if err := admin.Login(ctx, rootID, rootSecret); err != nil {
		return err
	}
	rd.token = admin.Token()
	for _, path := range paths {
		key := strings.TrimPrefix(path, "/")
		if err := admin.Do(ctx, http.MethodPatch, "/api/v1/connection", []object{{
			"name": key, "key": key, "connection_type": "https", "access": "read",
		}}, nil); err != nil {
			return err
		}
		if err := admin.Do(ctx, http.MethodPut, "/api/v1/connection/"+key+"/secret", object{
			"url": rd.house.receiver.URL(path), "authorization": "Bearer rounds",
		}, nil); err != nil {
			return err
		}
	}
	for _, s := range shares {
		if err := configurePolicy(ctx, admin, s.kind); err != nil {
			return fmt.Errorf("policy %s: %w", s.kind, err)
		}
	}
	return admin.Do(ctx, http.MethodPatch, "/api/v1/config", object{"execution": object{"require_manual_request_approval": true}}, nil)
}

func configurePolicy(ctx context.Context, admin *rest.Client, kind string) error {
	if err := admin.Do(ctx, http.MethodPatch, "/api/v1/dsr/policy", []object{{"name": kind, "key": kind, "action_type": "erasure"}}, nil); err != nil {
		return err
	}
	phases := map[string][]object{}
	for _, h := range hooks[kind] {
		key := fmt.Sprintf("%s_%s_%s", kind, h.phase, strings.TrimPrefix(h.path, "/"))
		phases[h.phase] = append(phases[h.phase], object{
			"connection_config_key": strings.TrimPrefix(h.path, "/"), "direction": h.direction, "key": key, "name": key,
		})
	}
	for phase, list := range phases {
		if err := admin.Do(ctx, http.MethodPut, "/api/v1/dsr/policy/"+kind+"/webhook/"+phase+"_execution", list, nil); err != nil {
			return err
		}
	}
	return nil
}
