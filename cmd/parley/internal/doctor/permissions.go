package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/parley-dsr/parley/internal/topology"
)

// atMost is how many subjects a line names.
const atMost = 3

// permissions logs in as a user and asks the server what it may do, which is
// compared with the table. Nothing is tried, so nothing can be done by it.
func (e *examination) permissions(ctx context.Context, user string) {
	name := "permissions of " + user
	nc, err := e.patient.NATS(user)
	if err != nil {
		e.wrong(name, "cannot be looked at: "+plain(err), "PARLEY_NATS_CREDENTIALS names the folder with the seed of each user, and accounts.conf has their public keys (parley nats keys).")
		return
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	const do = "Load the accounts.conf of this version (parley nats accounts) and reload the NATS servers."
	rights, err := topology.RightsOf(ctx, nc)
	if err != nil {
		e.wrong(name, "the server does not tell", do)
		return
	}
	lacks, beyond := rights.Deviations(user)
	var says []string
	if len(lacks) > 0 {
		says = append(says, "lacks "+some(lacks))
	}
	if len(beyond) > 0 {
		says = append(says, "has what it does not need: "+some(beyond))
	}
	if len(says) > 0 {
		e.wrong(name, strings.Join(says, "; "), do)
		return
	}
	e.ok(name, "are those of this version")
}

// some names the first of them, and says how many more there are.
func some(all []string) string {
	if len(all) <= atMost {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:atMost], ", "), len(all)-atMost)
}
