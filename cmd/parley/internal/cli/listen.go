package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-dsr/parley/cmd/parley/internal/listener"
)

// listening are the flags of parley listen.
type listening struct {
	addr, origin, dir, script string
	tls, bodies, halt         bool
	secrets                   []string
	derive, resumeDerive      []string
	status                    int
	delay, resumeAfter        time.Duration
	reply                     string
}

const listenExample = `  # Halt every request, and resume it ten seconds later with a phone number.
  parley listen --resume-after 10s --resume-derive phone_number=+15555555555

  # Derive at once, and let the request go on.
  parley listen --derive phone_number=+15555555555

  # Fail twice, then halt: one step a call, the last one for all further calls.
  echo '[{"status":503},{"status":503},{"halt":true,"resume_after":"10s"}]' >script.json
  parley listen --script script.json`

func listen() *cobra.Command {
	var f listening
	cmd := &cobra.Command{
		Use:   "listen",
		Short: "Be a receiver for development: print calls, answer, resume",
		Long: `Take calls on any path, print them, answer by the flags or by a script, and post
the resume. Give connections the address that is printed at the start; parley
serve calls it on this machine, over plain HTTP too.

A script is a JSON list of steps with the members status, halt, derive, body,
delay, resume_after, resume_derive and reply; all may be left out. --halt and
its like are one step for all calls.`,
		Example: listenExample,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := f.options(cmd)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), cmd.OutOrStdout(), options)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.addr, "addr", "127.0.0.1:9090", "address to listen on")
	flags.StringVar(&f.origin, "origin", "http://127.0.0.1:8080", "address of Parley, to which replies go")
	flags.BoolVar(&f.tls, "tls", false, "serve HTTPS with an authority of its own; PARLEY_EGRESS_CA_FILE takes its certificate")
	flags.StringVar(&f.dir, "dir", ".parley-listen", "folder for the certificates of --tls")
	flags.StringArrayVar(&f.secrets, "secret", nil, "verify signatures with this whsec_… secret; more than one during a rotation")
	flags.BoolVar(&f.bodies, "bodies", false, "print the bodies of calls, which are personal data")
	flags.StringVar(&f.script, "script", "", "file with the steps")
	flags.BoolVar(&f.halt, "halt", false, "halt the request")
	flags.StringArrayVar(&f.derive, "derive", nil, "derive an identity, such as phone_number=+15555555555")
	flags.IntVar(&f.status, "status", 0, "answer with this status")
	flags.DurationVar(&f.delay, "delay", 0, "wait before the answer")
	flags.DurationVar(&f.resumeAfter, "resume-after", 0, "halt, and resume by itself after this time")
	flags.StringArrayVar(&f.resumeDerive, "resume-derive", nil, "derive an identity with the resume")
	flags.StringVar(&f.reply, "reply", "", "reply to pre-approval calls: eligible or not-eligible")
	for _, of := range []string{"halt", "derive", "status", "delay", "resume-after", "resume-derive", "reply"} {
		cmd.MarkFlagsMutuallyExclusive("script", of)
	}
	return cmd
}

func (f *listening) options(cmd *cobra.Command) (listener.Options, error) {
	o := listener.Options{Addr: f.addr, Origin: f.origin, Secrets: f.secrets, Bodies: f.bodies, Out: cmd.OutOrStdout()}
	if f.tls {
		o.CertificateDir = f.dir
	}
	if u, err := url.Parse(f.origin); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return o, wrongUse("--origin takes the address of Parley, such as http://127.0.0.1:8080")
	}
	if f.script != "" {
		steps, err := listener.ReadScript(f.script)
		o.Script = steps
		return o, err
	}
	derive, err := listener.Identity(f.derive)
	if err != nil {
		return o, wrongUse("--derive takes name=value, such as phone_number=+15555555555")
	}
	resumeDerive, err := listener.Identity(f.resumeDerive)
	if err != nil {
		return o, wrongUse("--resume-derive takes name=value, such as phone_number=+15555555555")
	}
	step := listener.Step{
		Status: f.status, Halt: f.halt || f.resumeAfter > 0, Derive: derive, Delay: listener.Duration(f.delay),
		ResumeAfter: listener.Duration(f.resumeAfter), ResumeDerive: resumeDerive, Reply: f.reply,
	}
	o.Script = []listener.Step{step}
	if err := step.Validate(); err != nil {
		return o, &usageError{err}
	}
	return o, nil
}

// run listens until ctx ends.
func (f *listening) run(ctx context.Context, out io.Writer, o listener.Options) error {
	l, err := listener.Start(ctx, o)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "Listening on %s, on any path. Replies go to %s. Ctrl-C stops.\n", l.URL("/"), f.origin)
	if f.tls {
		file, err := filepath.Abs(l.CAFile())
		if err != nil {
			file = l.CAFile()
		}
		_, _ = fmt.Fprintf(out, "Parley has to trust its authority: PARLEY_EGRESS_CA_FILE=%s\n", file)
	}
	<-ctx.Done()
	return l.Close()
}
