// A receiver for Parley: it halts a request, asks its own systems for the
// person's phone number, and resumes the request with it.
package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func receive(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	key, err := standardwebhooks.NewWebhook(os.Getenv("SIGNING_SECRET"))
	var call struct{ Identity map[string]any }
	if err != nil || key.Verify(body, r.Header) != nil || json.Unmarshal(body, &call) != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	halt := r.Header.Get("reply-to") != "" && call.Identity["phone_number"] == nil
	if halt {
		go resume(r.Header.Get("reply-to"), r.Header.Get("reply-to-token"))
	}
	_ = json.NewEncoder(w).Encode(map[string]bool{"halt": halt})
}

// resume works, for as long as that takes, and tells Parley.
func resume(path, token string) {
	for wait := time.Second; ; wait *= 2 { // the first second is the work
		time.Sleep(wait)
		r, _ := http.NewRequest("POST", os.Getenv("PARLEY_URL")+path, strings.NewReader(`{"derived_identity": {"phone_number": "+15555555555"}}`))
		r.Header.Set("Authorization", "Bearer "+token)
		if answer, err := http.DefaultClient.Do(r); err == nil && answer.StatusCode < 429 {
			log.Println("the resume was answered", answer.Status)
			return // 429, 503 and no answer are worth another try
		}
	}
}

func main() {
	log.Fatal(http.ListenAndServe(os.Getenv("LISTEN"), http.HandlerFunc(receive)))
}
