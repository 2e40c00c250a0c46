package receiver

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
)

// Answer is what the receiver does with one call. The zero value is an empty
// 200.
type Answer struct {
	Status int // 0 is 200
	Header http.Header
	Body   []byte
	// Hold, if set, keeps the caller waiting until it is closed (or the caller
	// gives up): the call is recorded before, so that a test can do something
	// while it is in flight.
	Hold <-chan struct{}
	// Drop breaks the connection in place of an answer.
	Drop bool
	// Sent, if set, is called as soon as the whole answer is on its way to the
	// caller.
	Sent func()
	// Decide, if set, is asked for the answer in place of the rest.
	Decide func(Call) Answer
}

// Continue answers {"halt": false}.
func Continue() Answer { return JSON(http.StatusOK, map[string]any{"halt": false}) }

// Halt answers {"halt": true}.
func Halt() Answer { return JSON(http.StatusOK, map[string]any{"halt": true}) }

// Derive answers with derived identities and lets the request go on.
func Derive(identity map[string]any) Answer {
	return JSON(http.StatusOK, map[string]any{"derived_identity": identity, "halt": false})
}

// DeriveAndHalt answers with derived identities and halts the request.
func DeriveAndHalt(identity map[string]any) Answer {
	return JSON(http.StatusOK, map[string]any{"derived_identity": identity, "halt": true})
}

// Status answers with a status and nothing else.
func Status(code int) Answer { return Answer{Status: code} }

// JSON answers with a status and a JSON body. It panics if the body cannot be
// encoded, which is a mistake in the script.
func JSON(status int, body any) Answer {
	encoded, err := json.Marshal(body)
	if err != nil {
		panic("receiver: script: " + err.Error())
	}
	return Answer{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: encoded}
}

// Until holds the answer back until the channel is closed.
func (a Answer) Until(held <-chan struct{}) Answer {
	a.Hold = held
	return a
}

// OAuthToken is a token endpoint for the client-credentials grant: it answers
// with the token if the client authenticates, in the header or in the form, and
// with 401 otherwise.
func OAuthToken(clientID, clientSecret, token string) Answer {
	return Answer{Decide: func(c Call) Answer {
		form, basic := c.form(), c.basic()
		inForm := form.Get("client_id") == clientID && form.Get("client_secret") == clientSecret
		if form.Get("grant_type") != "client_credentials" || (!inForm && basic != [2]string{clientID, clientSecret}) {
			return JSON(http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		}
		return JSON(http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600})
	}}
}

func (a Answer) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.Header)
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	if a.Sent != nil { // the caller then knows the end of the answer at once
		w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // a caller that has gone is its own business
	if a.Sent != nil {
		_ = http.NewResponseController(w).Flush() // as above
		a.Sent()
	}
}
