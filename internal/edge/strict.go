package edge

import "net/http"

// The generated servers decode a request once more and hand their errors to
// functions of this shape. They are the same for every service.

// RequestError answers when generated code cannot bind a request that the edge
// let through: a value that fits the schema and not the Go type. Use it as
// ErrorHandlerFunc of the router and RequestErrorHandlerFunc of the strict
// handler.
func RequestError(w http.ResponseWriter, r *http.Request, err error) {
	s := stateFrom(r.Context())
	if s.logger != nil {
		s.logger.WarnContext(r.Context(), "the schema allows what the code cannot read",
			append(s.attributes(), "error", redact(err))...)
	}
	WriteError(w, r, Unprocessable([]Problem{{
		Type: "value_error", Loc: []any{"body"}, Msg: "Value error, the request cannot be read",
	}}))
}

// ResponseError answers with the error that a handler returned. Use it as
// ResponseErrorHandlerFunc of the strict handler.
func ResponseError(w http.ResponseWriter, r *http.Request, err error) { WriteError(w, r, err) }
