package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/cmd/parley/internal/allinone"
	"github.com/parley-dsr/parley/cmd/parley/internal/doctor"
	"github.com/parley-dsr/parley/internal/embedded"
	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/services/config"
	"github.com/parley-dsr/parley/services/orchestrator"
)

// errUnwell is returned where a check found something wrong.
var errUnwell = errors.New("something is wrong with this installation; the report says what to do")

func examine(environ map[string]string) *cobra.Command {
	var asJSON bool
	var addresses []string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check an installation, and say what is wrong and what to do",
		Long: `Look at an installation from outside, and change nothing: whether each service
answers and has what it needs, whether versions and encryption keys agree (by
fingerprint), NATS, its streams, buckets and consumers and their settings, what
users may do on it, the migrations of the databases, and all clocks.

  --service NAME=URL         where a service answers; once for each. NAME is config,
                             orchestrator, dispatcher or callback, or parley for an
                             all-in-one. Without it, the origin of parley serve on
                             this machine
  PARLEY_NATS_URL            the NATS of the services; PARLEY_NATS_CREDENTIALS and
                             the others as for the services. With a folder of seeds,
                             the permissions of each service are looked at
  PARLEY_DATABASE_URL        the Postgres server; the databases config and
                             orchestrator on it are looked at

Without the last two, those of the parley serve in PARLEY_DATA_DIR are used. Where
the services are named and no database is, the databases are left out.

Exit code 0: nothing is wrong. Exit code 1: something is, and a line says what.`,
		Example: `  parley doctor
  parley doctor --service config=http://10.0.0.1:8081 --service orchestrator=http://10.0.0.2:8082 \
    --service callback=http://10.0.0.3:8083 --service dispatcher=http://10.0.0.4:8084`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			patient, err := patientOf(cmd, environ, addresses)
			if err != nil {
				return err
			}
			report := doctor.Examine(cmd.Context(), patient)
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				err = encoder.Encode(report)
			} else {
				err = report.Print(cmd.OutOrStdout())
			}
			if err == nil && !report.OK {
				err = errUnwell
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringArrayVar(&addresses, "service", nil, "`NAME=URL` of a service; may be repeated")
	return cmd
}

// examined are what --service takes; parley is an all-in-one.
var examined = []string{topology.UserConfig, topology.UserOrchestrator, topology.UserDispatcher, topology.UserCallback, "parley"}

// patientOf is the installation that flags and settings name.
func patientOf(cmd *cobra.Command, environ map[string]string, addresses []string) (doctor.Patient, error) {
	var p doctor.Patient
	for _, a := range addresses {
		name, url, ok := strings.Cut(a, "=")
		if !ok || !slices.Contains(examined, name) || !strings.HasPrefix(url, "http") {
			return p, wrongUse("--service takes NAME=URL, such as config=http://127.0.0.1:8081, where NAME is one of %s", strings.Join(examined, ", "))
		}
		p.Services = append(p.Services, doctor.Service{Name: name, URL: strings.TrimSuffix(url, "/")})
	}
	if len(addresses) == 0 {
		door, err := allinone.DoorOf(environ)
		if err != nil {
			return p, err
		}
		p.Services = []doctor.Service{{Name: "parley", URL: door.URL}}
	}
	settings, err := process.Load[asking](environ)
	if err != nil {
		return p, err
	}
	if settings.NATSURL == "" {
		settings.NATSURL = "nats://" + settings.NATSAddr
	}
	p.Users = usersOf(settings.NATSCredentials)
	p.NATS = func(user string) (*nats.Conn, error) {
		nc, err := process.Connect(cmd.Context(), settings.Settings, user, slog.New(slog.DiscardHandler),
			nats.RetryOnFailedConnect(false), nats.MaxReconnects(0))
		if err != nil {
			return nil, fmt.Errorf("does not answer: %w", err)
		}
		return nc, nil
	}
	if len(addresses) > 0 && environ["PARLEY_DATABASE_URL"] == "" {
		return p, nil
	}
	for _, d := range []doctor.Database{
		{Service: "config", Latest: config.LatestMigration()}, {Service: "orchestrator", Latest: orchestrator.LatestMigration()},
	} {
		d.URL, err = allinone.DatabaseOf(environ, d.Service)
		if errors.Is(err, embedded.ErrNotRunning) && environ["PARLEY_NATS_URL"] == "" {
			return p, fmt.Errorf("%w (%w)", errNothingNamed, err)
		}
		if err != nil {
			return p, err
		}
		p.Databases = append(p.Databases, d)
	}
	return p, nil
}

// usersOf are the users whose permissions can be looked at with credentials:
// all of a folder, or the one who looks.
func usersOf(credentials string) []string {
	if credentials == "" {
		return nil // a NATS without users
	}
	if info, err := os.Stat(credentials); err != nil || !info.IsDir() {
		return []string{topology.UserOperator}
	}
	return []string{topology.UserConfig, topology.UserOrchestrator, topology.UserDispatcher, topology.UserCallback, topology.UserOperator}
}
