// A receiver for Parley: it halts a request, asks its own systems for the
// person's phone number, and resumes the request with it.
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

var key, wrong = standardwebhooks.NewWebhook(os.Getenv("SIGNING_SECRET"))

func receive(w http.ResponseWriter, r *http.Request) {
	var body, call = bytes.Buffer{}, struct{ Identity map[string]any }{}
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, 1<<20))
	good := err == nil && key.Verify(body.Bytes(), r.Header) == nil && json.Unmarshal(body.Bytes(), &call) == nil
	halt := good && r.Header.Get("reply-to") != "" && call.Identity["phone_number"] == nil
	if halt {
		go resume(r.Header.Get("reply-to"), r.Header.Get("reply-to-token"))
	}
	w.WriteHeader(map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[good])
	_ = json.NewEncoder(w).Encode(map[string]bool{"halt": halt})
}

// resume works, for as long as that takes, and tells Parley.
func resume(path, token string) {
	for wait := time.Second; ; wait *= 2 { // the first second is the work
		time.Sleep(wait)
		r, _ := http.NewRequest("POST", os.Getenv("PARLEY_URL")+path, bytes.NewBufferString(`{"derived_identity": {"phone_number": "+15555555555"}}`))
		r.Header.Set("Authorization", "Bearer "+token)
		if answer, err := http.DefaultClient.Do(r); err == nil && answer.StatusCode < 429 {
			log.Println("the resume was answered", answer.Status)
			return // 429, 503 and no answer are worth another try
		}
	}
}

func main() {
	if wrong != nil || os.Getenv("SIGNING_SECRET") == "" {
		log.Fatal("SIGNING_SECRET is missing or wrong: it is the signing_secret of the connection in Parley, whsec_…")
	}
	log.Fatal(http.ListenAndServe(os.Getenv("LISTEN"), http.HandlerFunc(receive)))
}
