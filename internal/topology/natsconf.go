package topology

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// AccountNATS is the account of NATS in which the services are, with all
	// streams. Executors and observers have accounts of their own, named after
	// it.
	AccountNATS = "PARLEY"
	// answerWithin is how long after a question the server takes its answer:
	// longer than anybody waits for one, or pulls.
	answerWithin = 2 * time.Minute
)

// KeyVariable is the environment variable of the NATS server that holds the
// public key of a user.
func KeyVariable(user string) string { return "PARLEY_NATS_NKEY_" + variable(user) }

func variable(user string) string { return strings.ToUpper(strings.ReplaceAll(user, "-", "_")) }

// NATSAccounts writes the users as a file that the configuration of a NATS
// server includes. It holds no secret: users prove by a signature that they
// have the seed of the key, and the server is told the public keys by its
// environment.
func NATSAccounts(users []User) string {
	var b strings.Builder
	b.WriteString("accounts: {\n  " + AccountNATS + ": {\n    jetstream: enabled\n    users: [\n")
	for _, u := range users {
		if u.Account == "" {
			u.write(&b)
		}
	}
	b.WriteString("    ]\n")
	writeExports(&b, users)
	b.WriteString("  }\n")
	for _, u := range users {
		if u.Account != "" {
			u.writeAccount(&b)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// writeExports writes what each account gets of the services' account.
func writeExports(b *strings.Builder, users []User) {
	accounts := map[string][]string{}
	for _, u := range users {
		if u.Account == "" {
			continue
		}
		for _, subject := range u.Publish {
			accounts[u.arrives(subject)] = append(accounts[u.arrives(subject)], u.Account)
		}
	}
	b.WriteString("    exports: [\n")
	for _, subject := range slices.Sorted(maps.Keys(accounts)) {
		fmt.Fprintf(b, "      { service: %q, accounts: [%s], response_type: %q, threshold: %q }\n",
			subject, strings.Join(accounts[subject], ", "), responses(subject), answerWithin)
	}
	b.WriteString("    ]\n")
}

// responses says how many answers there are: a pull has many.
func responses(subject string) string {
	if strings.HasPrefix(subject, api("CONSUMER.MSG.NEXT")) {
		return "stream"
	}
	return "singleton"
}

// arrives is the subject in the services' account of what a user apart publishes.
func (u User) arrives(subject string) string {
	if through, ok := u.Through[subject]; ok {
		return through
	}
	return subject
}

// writeAccount writes the account of a user apart. In every account the server
// answers at $JS.API.> that there is no JetStream, unless there is; so what the
// user publishes there gets another subject before anything, the permissions
// too, is looked at.
func (u User) writeAccount(b *strings.Builder) {
	fmt.Fprintf(b, "  %s: {\n    users: [\n", u.Account)
	u.write(b)
	b.WriteString("    ]\n    mappings: {\n")
	for _, subject := range u.Publish {
		if inside := u.inside(subject); inside != subject {
			fmt.Fprintf(b, "      %q: %q\n", subject, inside)
		}
	}
	b.WriteString("    }\n    imports: [\n")
	for _, subject := range u.Publish {
		inside, arrives := u.inside(subject), u.arrives(subject)
		fmt.Fprintf(b, "      { service: { account: %s, subject: %q }", AccountNATS, arrives)
		if inside != arrives {
			fmt.Fprintf(b, ", to: %q", inside)
		}
		b.WriteString(" }\n")
	}
	b.WriteString("    ]\n  }\n")
}

// allowed are the subjects under which the server sees what the user publishes.
func (u User) allowed() []string {
	if u.Account == "" {
		return u.Publish
	}
	var subjects []string
	for _, subject := range u.Publish {
		subjects = append(subjects, u.inside(subject))
	}
	return subjects
}

// inside is the subject that something gets in the account of the user.
func (u User) inside(subject string) string {
	if through, ok := u.Through[subject]; ok {
		return through
	}
	if rest, ok := strings.CutPrefix(subject, api("")); ok {
		return "parley.api." + rest
	}
	return subject
}

func (u User) write(b *strings.Builder) {
	fmt.Fprintf(b, "      # %s\n      {\n        nkey: $%s\n        permissions: {\n", u.Purpose, KeyVariable(u.Name))
	b.WriteString("          publish: {\n")
	writeSubjects(b, "allow", u.allowed())
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
