package cli

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestListen starts the command, reads where it listens, calls it and stops it.
func TestListen(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, []string{"listen", "--addr", "127.0.0.1:0", "--derive", "phone_number=+15555555555"}, nil, writer)
		_ = writer.Close()
	}()
	first := make([]byte, 200)
	n, err := reader.Read(first)
	if err != nil {
		t.Fatal(err)
	}
	rest := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(reader)
		rest <- string(text)
	}()
	url, _, ok := strings.Cut(strings.TrimPrefix(string(first[:n]), "Listening on "), ",")
	if !ok {
		t.Fatalf("%s", first[:n])
	}
	resp, err := http.Post(url, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if string(answer) != `{"derived_identity":{"phone_number":"+15555555555"},"halt":false}` {
		t.Errorf("%s", answer)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if text := <-rest; !strings.Contains(text, "POST /  call -") {
		t.Errorf("%s", text)
	}
}

func TestListenRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"--derive takes":        {"--derive", "phone"},
		"--resume-derive takes": {"--resume-after", "1s", "--resume-derive", "phone"},
		"resume_derive needs":   {"--resume-derive", "email=a@example.com"},
		"status is":             {"--status", "1"},
		"reply is":              {"--reply", "yes"},
		"if any flags in the":   {"--script", "x", "--halt"},
		"script:":               {"--script", filepath.Join(t.TempDir(), "none")},
		"secret 1 takes":        {"--secret", "plain"},
		"receiver: ":            {"--addr", "nowhere"},
	} {
		err := Run(t.Context(), append([]string{"listen"}, args...), nil, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
