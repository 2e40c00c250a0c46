// Package mask shows the secrets of a connection without what is secret: which
// there are, and of an https connection its URL and the names of its headers.
// It is pure, and shows nothing of what it does not understand.
package mask

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// Hidden stands for a secret.
const Hidden = "**********"

// typeHTTPS is the type whose secrets are known.
const typeHTTPS = "https"

// shownFirst is the order in which the secrets of an https connection appear;
// others follow in alphabetical order.
func shownFirst() []string {
	return []string{
		"url", "authorization", "headers", "signing_secret", "signing_secret_previous",
		"client_certificate", "client_key",
	}
}

// Secrets shows secrets without what is secret. Of an https connection the URL is
// shown, and the names of its headers; of any other nothing but the names.
func Secrets(connectionType string, plain []byte) (json.RawMessage, error) {
	if len(plain) == 0 {
		return nil, nil
	}
	var secrets map[string]json.RawMessage
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(secrets))
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	var text bytes.Buffer
	text.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			text.WriteByte(',')
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		text.Write(quoted)
		text.WriteByte(':')
		text.Write(maskOne(connectionType, name, secrets[name]))
	}
	text.WriteByte('}')
	return text.Bytes(), nil
}

func rank(name string) int {
	if i := slices.Index(shownFirst(), name); i >= 0 {
		return i
	}
	return len(shownFirst())
}

func maskOne(connectionType, name string, secret json.RawMessage) json.RawMessage {
	if connectionType == typeHTTPS {
		switch name {
		case "url":
			var url string
			if json.Unmarshal(secret, &url) == nil {
				return secret
			}
		case "headers":
			return maskHeaders(secret)
		}
	}
	return json.RawMessage(`"` + Hidden + `"`)
}

// maskHeaders hides each value; without headers it is null.
func maskHeaders(secret json.RawMessage) json.RawMessage {
	var headers map[string]json.RawMessage
	if err := json.Unmarshal(secret, &headers); err != nil {
		return json.RawMessage(`"` + Hidden + `"`)
	}
	if len(headers) == 0 {
		return json.RawMessage("null")
	}
	masked := make(map[string]string, len(headers))
	for name := range headers {
		masked[name] = Hidden
	}
	text, err := json.Marshal(masked)
	if err != nil {
		return json.RawMessage(`"` + Hidden + `"`)
	}
	return text
}
