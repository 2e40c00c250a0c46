package topology

import (
	"fmt"
	"strings"
	"time"
)

const (
	// AccountNATS is the account of NATS in which all of Parley is.
	AccountNATS = "PARLEY"
	// answerWithin is how long after a question the server takes its answer:
	// longer than anybody waits for one.
	answerWithin = 2 * time.Minute
)

// KeyVariable is the environment variable of the NATS server that holds the
// public key of a user.
func KeyVariable(user string) string {
	return "PARLEY_NATS_NKEY_" + strings.ToUpper(strings.ReplaceAll(user, "-", "_"))
}

// NATSAccounts writes the users as a file that the configuration of a NATS
// server includes. It holds no secret: users prove by a signature that they
// have the seed of the key, and the server is told the public keys by its
// environment.
func NATSAccounts(users []User) string {
	var b strings.Builder
	b.WriteString("accounts: {\n  " + AccountNATS + ": {\n    jetstream: enabled\n    users: [\n")
	for _, u := range users {
		u.write(&b)
	}
	b.WriteString("    ]\n  }\n}\n")
	return b.String()
}

func (u User) write(b *strings.Builder) {
	fmt.Fprintf(b, "      # %s\n      {\n        nkey: $%s\n        permissions: {\n", u.Purpose, KeyVariable(u.Name))
	b.WriteString("          publish: {\n")
	writeSubjects(b, "allow", u.Publish)
	if len(u.Deny) > 0 {
		writeSubjects(b, "deny", u.Deny)
	}
	b.WriteString("          }\n          subscribe: {\n")
	writeSubjects(b, "allow", u.Subscribe)
	b.WriteString("          }\n")
	if u.Answers {
		fmt.Fprintf(b, "          allow_responses: { max: 1, expires: %q }\n", answerWithin)
	}
	b.WriteString("        }\n      }\n")
}

func writeSubjects(b *strings.Builder, name string, subjects []string) {
	fmt.Fprintf(b, "            %s: [\n", name)
	for _, s := range subjects {
		fmt.Fprintf(b, "              %q\n", s)
	}
	b.WriteString("            ]\n")
}
