package rest

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/parley-dsr/parley/internal/catalog"
	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/services/config/internal/api"
	"github.com/parley-dsr/parley/services/config/internal/store"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

const incompleteSecrets = "HttpsSchema must be supplied all of: ['url', 'authorization']."

// PutSecrets replaces the secrets of a connection (contract §2.3).
func (a *API) PutSecrets(ctx context.Context, request api.PutSecretsRequestObject) (api.PutSecretsResponseObject, error) {
	p := request.Params
	reply, err := a.setSecrets(ctx, request.ConnectionKey, *request.Body, p.Verify, p.IfMatch, false)
	if err != nil {
		return nil, err
	}
	return api.PutSecrets200JSONResponse{TestStatusReplyJSONResponse: reply}, nil
}

// PatchSecrets lays the given secrets over the stored ones.
func (a *API) PatchSecrets(ctx context.Context, request api.PatchSecretsRequestObject) (api.PatchSecretsResponseObject, error) {
	p := request.Params
	reply, err := a.setSecrets(ctx, request.ConnectionKey, *request.Body, p.Verify, p.IfMatch, true)
	if err != nil {
		return nil, err
	}
	return api.PatchSecrets200JSONResponse{TestStatusReplyJSONResponse: reply}, nil
}

func (a *API) setSecrets(ctx context.Context, key string, body json.RawMessage, verify *bool, ifMatch *string, merge bool) (api.TestStatusReplyJSONResponse, error) {
	err := a.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		row, err := tx.Connection(ctx, key)
		if isMissing(err) {
			return edge.NotFound("No connection config found with key %s", key)
		}
		if err != nil {
			return err
		}
		if err := match(ifMatch, connectionTag(row)); err != nil {
			return err
		}
		sealed, err := a.sealSecrets(row, body, merge)
		if err != nil {
			return err
		}
		tx.Touch(store.ConnectionRef(row.ID, row.Key))
		if err := tx.SetSecrets(ctx, sealed, tx.Now, row.ID); err != nil {
			return err
		}
		tx.Audit("set secrets", store.NounConnection, row.Key)
		return nil
	})
	return saved("Secrets updated for ConnectionConfig with key: %s.", key, verify), err
}

// saved is the answer: nothing is ever called to verify it.
func saved(format, key string, verify *bool) api.TestStatusReplyJSONResponse {
	reply := api.TestStatusReplyJSONResponse{Msg: fmt.Sprintf(format, key)}
	if verify == nil || *verify {
		skipped := "skipped"
		reply.TestStatus = &skipped
	}
	return reply
}

// sealSecrets makes what is to be stored of what was given.
func (a *API) sealSecrets(row db.Connection, body json.RawMessage, merge bool) (*string, error) {
	given, err := object(body)
	if err != nil {
		return nil, err
	}
	if merge {
		if given, err = a.overStored(row, given); err != nil {
			return nil, err
		}
	}
	if row.ConnectionType != typeHTTPS {
		return a.seal(asJSON(given))
	}
	secrets, problems := readSecrets(given)
	if len(problems) == 0 {
		problems = a.checkSecrets(secrets, row.SealedOauth != nil)
	}
	if len(problems) > 0 {
		return nil, edge.Unprocessable(problems)
	}
	return a.seal(asJSON(secrets))
}

func object(body json.RawMessage) (map[string]json.RawMessage, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(body, &given); err != nil || given == nil {
		return nil, edge.Unprocessable([]identity.Problem{{
			Type: "dict_type", Loc: []any{"body"}, Msg: "Input should be a valid dictionary",
		}})
	}
	return given, nil
}

func (a *API) overStored(row db.Connection, given map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	plain, err := a.openToMerge(row.SealedSecrets)
	if err != nil {
		return nil, err
	}
	merged := map[string]json.RawMessage{}
	if len(plain) > 0 {
		if err := json.Unmarshal(plain, &merged); err != nil {
			return nil, err
		}
	}
	maps.Copy(merged, given)
	return merged, nil
}

// readSecrets reads the secrets of an https connection and drops what it does
// not know. The problems name no values.
func readSecrets(given map[string]json.RawMessage) (catalog.Secrets, []identity.Problem) {
	var s catalog.Secrets
	var problems []identity.Problem
	for _, field := range []struct {
		name string
		into *string
	}{
		{"url", &s.URL}, {"authorization", &s.Authorization},
		{"signing_secret", &s.SigningSecret}, {"signing_secret_previous", &s.SigningSecretOld},
		{"client_certificate", &s.ClientCertificate}, {"client_key", &s.ClientKey},
	} {
		raw, there := given[field.name]
		if there && json.Unmarshal(raw, field.into) != nil {
			problems = append(problems, identity.Problem{
				Type: "string_type", Loc: []any{"body", field.name}, Msg: "Input should be a valid string",
			})
		}
	}
	headers, more := readHeaders(given["headers"])
	s.Headers = headers
	return s, append(problems, more...)
}

func readHeaders(raw json.RawMessage) (map[string]string, []identity.Problem) {
	if len(raw) == 0 {
		return nil, nil
	}
	var given map[string]json.RawMessage
	if json.Unmarshal(raw, &given) != nil {
		return nil, []identity.Problem{{
			Type: "dict_type", Loc: []any{"body", "headers"}, Msg: "Input should be a valid dictionary",
		}}
	}
	if len(given) == 0 {
		return nil, nil
	}
	headers := make(map[string]string, len(given))
	var problems []identity.Problem
	for _, name := range slices.Sorted(maps.Keys(given)) {
		var text *string
		if json.Unmarshal(given[name], &text) != nil || text == nil {
			problems = append(problems, identity.Problem{
				Type: "string_type", Loc: []any{"body", "headers", name}, Msg: "Input should be a valid string",
			})
			continue
		}
		headers[name] = *text
	}
	return headers, problems
}

// checkSecrets says what could never be sent. With OAuth settings the address
// is enough.
func (a *API) checkSecrets(s catalog.Secrets, oauth bool) []identity.Problem {
	if s.URL == "" || s.Authorization == "" && !oauth {
		return []identity.Problem{invalid(incompleteSecrets)}
	}
	var problems []identity.Problem
	add := func(wrong bool, msg string, loc ...any) {
		if wrong {
			problems = append(problems, invalid(msg, loc...))
		}
	}
	if err := a.Egress.Check(s.URL); err != nil {
		add(true, err.Error(), "url")
	}
	add(!httpguts.ValidHeaderFieldValue(s.Authorization), "the text cannot stand in a header", "authorization")
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		add(!httpguts.ValidHeaderFieldName(name), "not the name of a header", "headers", name)
		add(!httpguts.ValidHeaderFieldValue(s.Headers[name]), "the text cannot stand in a header", "headers", name)
	}
	const signing = "a signing secret is 'whsec_' and base64"
	add(!validSigningSecret(s.SigningSecret), signing, "signing_secret")
	add(!validSigningSecret(s.SigningSecretOld), signing, "signing_secret_previous")
	add(!validPair(s.ClientCertificate, s.ClientKey),
		"client_certificate and client_key must be a certificate and its key, both in PEM", "client_certificate")
	return problems
}

func validSigningSecret(secret string) bool {
	if secret == "" {
		return true
	}
	encoded, prefixed := strings.CutPrefix(secret, "whsec_")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	return prefixed && err == nil && len(raw) > 0
}

func validPair(certificate, key string) bool {
	if certificate == "" && key == "" {
		return true
	}
	_, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	return err == nil
}
