// Package deploy is what an operator takes to run Parley: the Dockerfile, the
// Compose file, the Helm chart, the configuration of NATS and of the proxy, and
// examples of the services' environment. Its Go code is the tests that load
// every one of these files with the library that will read it: what is shipped
// has been read.
//
// It is a module of its own, since those libraries are large.
package deploy

import (
	"github.com/parley-dsr/parley/internal/topology"
	"github.com/parley-dsr/parley/pkg/events"
)

//go:generate go run ./internal/generate nats/accounts.conf

// Accounts is the configuration of the users of NATS as it is shipped: with
// executors of every action, and one observer. parley nats accounts prints it
// for others.
func Accounts() (string, error) {
	users, err := topology.Users(Shipped())
	if err != nil {
		return "", err
	}
	const head = "# Generated from the table in internal/topology, by the command below. Do not edit.\n" +
		"#\n" +
		"#   parley nats accounts --executor access --executor erasure --executor consent --observer audit\n" +
		"#\n" +
		"# The public key of each user comes from the environment of the server;\n" +
		"# parley nats keys makes the keys and prints the variables.\n\n"
	return head + topology.NATSAccounts(users), nil
}

// Shipped are the users that accounts.conf has beside the services.
func Shipped() topology.Access {
	return topology.Access{
		Executors: []string{events.ActionAccess, events.ActionErasure, events.ActionConsent},
		Observers: []string{"audit"},
	}
}
