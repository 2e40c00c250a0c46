package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/internal/process"
	"github.com/parley-dsr/parley/internal/topology"
)

// natsUsers prepares a NATS server for the users of an installation.
func natsUsers() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "nats",
		Short: "Prepare a NATS server: users with the least permissions, and their keys",
	}
	cmd.AddCommand(natsAccounts(), natsKeys())
	return cmd
}

// takesUsers adds the flags that say which users there are.
func takesUsers(cmd *cobra.Command, a *topology.Access) {
	cmd.Flags().StringSliceVar(&a.Executors, "executor", nil, "an action (access, erasure, consent) for which there are executors; may be repeated")
	cmd.Flags().StringSliceVar(&a.Observers, "observer", nil, "name of an event consumer, whose user and durable name is observer-NAME; may be repeated")
}

func natsAccounts() *cobra.Command {
	var access topology.Access
	cmd := &cobra.Command{
		Use:   "accounts",
		Short: "Print the users and their permissions as configuration of a NATS server",
		Long: `Print the file accounts.conf that deploy/nats/*.conf include: a user for each
service, for parley lanes (operator), and for the executors and observers that are
named. The server takes the public keys from its environment; parley nats keys
makes them.`,
		Example: "  parley nats accounts --executor erasure --observer audit >accounts.conf",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			users, err := topology.Users(access)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), topology.NATSAccounts(users))
			return err
		},
	}
	takesUsers(cmd, &access)
	return cmd
}

func natsKeys() *cobra.Command {
	var access topology.Access
	var dir string
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make the keys of the users, and print the public ones",
		Long: `Make a key for each user, unless there is one: its seed is written to USER.nk in
the folder, where nobody else may read it; PARLEY_NATS_CREDENTIALS names that file.
The public keys are printed as the variables that the NATS server wants to have in
its environment; they are no secrets.`,
		Example: "  parley nats keys --dir keys --executor erasure --observer audit >nats.env",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return process.NotSet("--dir", "the folder for the seeds")
			}
			users, err := topology.Users(access)
			if err != nil {
				return err
			}
			return makeKeys(cmd.OutOrStdout(), dir, users)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder for the seeds")
	takesUsers(cmd, &access)
	return cmd
}

func makeKeys(w io.Writer, dir string, users []topology.User) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, u := range users {
		public, err := keyIn(filepath.Join(dir, u.Name+".nk"))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s=%s\n", topology.KeyVariable(u.Name), public); err != nil {
			return err
		}
	}
	return nil
}

// keyIn gives the public key of the seed in a file, which it makes if there is
// none.
func keyIn(path string) (public string, err error) {
	seed, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if seed, err = writeSeed(path); err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	pair, err := nkeys.ParseDecoratedNKey(seed)
	if err != nil {
		return "", fmt.Errorf("%s does not hold the seed of a key", path)
	}
	defer pair.Wipe()
	public, err = pair.PublicKey()
	if err != nil || !nkeys.IsValidPublicUserKey(public) {
		return "", fmt.Errorf("%s does not hold the seed of a user", path)
	}
	return public, nil
}

// writeSeed never writes over a file.
func writeSeed(path string) ([]byte, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	defer pair.Wipe()
	seed, err := pair.Seed()
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	line := append(slices.Clone(seed), '\n') // seed is the pair's own, and goes with it
	_, err = file.Write(line)
	return line, errors.Join(err, file.Close())
}
