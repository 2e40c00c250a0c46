package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/internal/work"
	"github.com/parley-dsr/parley/pkg/events"
)

const (
	// The first dispatcher has firstAnswer to answer, each further one
	// nextAnswer after the one before.
	firstAnswer = 10 * time.Second
	nextAnswer  = 500 * time.Millisecond
)

var errNoDispatcher = errors.New("no dispatcher answers; is one running at this NATS server?")

func lanes(environ map[string]string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lanes",
		Short: "Show the calls that wait and are made, connection by connection",
		Long: `Ask all dispatchers of a running system for their lanes. There is one for every
connection that has calls, and for some that had until a moment ago.

PARLEY_NATS_URL and the other PARLEY_NATS settings say where to ask; without
them it is the server of parley serve on this machine.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answers, err := askForLanes(cmd.Context(), environ)
			if err != nil {
				return err
			}
			overview := merge(answers)
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(overview)
			}
			return overview.print(cmd.OutOrStdout(), time.Now())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// asking are the settings of a command that asks a running system.
type asking struct {
	process.Settings
	NATSAddr string `env:"PARLEY_NATS_ADDR" envDefault:"127.0.0.1:4222"`
}

func askForLanes(ctx context.Context, environ map[string]string) ([]work.Lanes, error) {
	settings, err := process.Load[asking](environ)
	if err != nil {
		return nil, err
	}
	if settings.NATSURL == "" {
		settings.NATSURL = "nats://" + settings.NATSAddr
	}
	nc, err := process.Connect(ctx, settings.Settings, topology.UserOperator, slog.New(slog.DiscardHandler),
		nats.RetryOnFailedConnect(false), nats.MaxReconnects(0))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	inbox, err := nc.SubscribeSync(nc.NewRespInbox())
	if err != nil {
		return nil, err
	}
	if err := nc.PublishRequest(events.LanesSubject, inbox.Subject, nil); err != nil {
		return nil, err
	}
	return collect(ctx, inbox)
}

// collect takes the answers until no more come.
func collect(ctx context.Context, inbox *nats.Subscription) ([]work.Lanes, error) {
	var answers []work.Lanes
	for wait := firstAnswer; ; wait = nextAnswer {
		waiting, cancel := context.WithTimeout(ctx, wait)
		msg, err := inbox.NextMsgWithContext(waiting)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && len(answers) > 0:
			return answers, nil
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded):
			return nil, errNoDispatcher
		case err != nil:
			return nil, err
		}
		var answer work.Lanes
		if err := json.Unmarshal(msg.Data, &answer); err != nil {
			return nil, fmt.Errorf("a dispatcher's answer cannot be read: %w", err)
		}
		answers = append(answers, answer)
	}
}

// overview is the lanes over all dispatchers.
type overview struct {
	Dispatchers []string    `json:"dispatchers"`
	Lanes       []wholeLane `json:"lanes"`
}

type wholeLane struct {
	ConnectionKey string     `json:"connection_key"`
	ConnectionID  string     `json:"connection_id"`
	Pending       uint64     `json:"pending"`
	InFlight      int        `json:"in_flight"`
	Oldest        *time.Time `json:"oldest"`
	// Breakers are by dispatcher.
	Breakers map[string]string `json:"breakers"`
	TryAt    *time.Time        `json:"try_at"`
}

// merge puts the answers together: calls in flight add up, what waits in the
// stream is the same for all.
func merge(answers []work.Lanes) overview {
	whole := overview{Dispatchers: []string{}, Lanes: []wholeLane{}}
	byID := map[string]wholeLane{}
	for _, answer := range answers {
		whole.Dispatchers = append(whole.Dispatchers, answer.Replica)
		for _, l := range answer.Lanes {
			byID[l.ConnectionID] = byID[l.ConnectionID].with(answer.Replica, l)
		}
	}
	slices.Sort(whole.Dispatchers)
	whole.Lanes = slices.AppendSeq(whole.Lanes, maps.Values(byID))
	slices.SortFunc(whole.Lanes, func(a, b wholeLane) int {
		return cmp.Or(cmp.Compare(a.ConnectionKey, b.ConnectionKey), cmp.Compare(a.ConnectionID, b.ConnectionID))
	})
	return whole
}

func (w wholeLane) with(replica string, l work.Lane) wholeLane {
	w.ConnectionID = l.ConnectionID
	w.ConnectionKey = cmp.Or(w.ConnectionKey, l.ConnectionKey)
	w.Pending = max(w.Pending, l.Pending)
	w.InFlight += l.InFlight
	w.Oldest, w.TryAt = earlier(w.Oldest, l.Oldest), earlier(w.TryAt, l.TryAt)
	if w.Breakers == nil {
		w.Breakers = map[string]string{}
	}
	if l.Breaker != "" {
		w.Breakers[replica] = l.Breaker
	}
	return w
}

func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

func (o overview) print(out io.Writer, now time.Time) error {
	if len(o.Lanes) == 0 {
		_, err := fmt.Fprintln(out, "No calls wait.")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "CONNECTION\tID\tPENDING\tIN FLIGHT\tBREAKER\tOLDEST")
	for _, l := range o.Lanes {
		oldest := "-"
		if l.Oldest != nil {
			oldest = now.Sub(*l.Oldest).Round(time.Second).String()
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\t%s\n",
			cmp.Or(l.ConnectionKey, "(gone)"), l.ConnectionID, l.Pending, l.InFlight, l.breaker(now), oldest)
	}
	return table.Flush()
}

// breaker tells the states of all dispatchers in few words.
func (w wholeLane) breaker(now time.Time) string {
	states := slices.Sorted(maps.Values(w.Breakers))
	var words []string
	for _, state := range slices.Compact(slices.Clone(states)) {
		n := 0
		for _, s := range states {
			if s == state {
				n++
			}
		}
		if n < len(states) {
			state = fmt.Sprintf("%s on %d of %d", state, n, len(states))
		}
		words = append(words, state)
	}
	if w.TryAt != nil {
		words = append(words, "tried in "+max(w.TryAt.Sub(now), 0).Round(time.Second).String())
	}
	return cmp.Or(strings.Join(words, ", "), "-")
}
