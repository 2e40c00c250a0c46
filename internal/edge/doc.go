// Package edge is everything that the REST edges of the services have in
// common, so that a client cannot tell which of them answers: spellings of
// paths, the order of checks, errors, paging, timestamps, authorization. A
// service gives its OpenAPI document and a handler, usually generated from the
// same document; what reaches the handler is authorized and fits the schema.
//
// # Order
//
// One request is checked in this order, and the first that fails answers
// (contract §0.2):
//
//  1. path: aliases are mapped (Canonical); an unknown path is 404 for GET and
//     405 for other methods;
//  2. Config.Admit, for limits;
//  3. body: not more than MaxBody, else 413; JSON, else 422 json_invalid, also
//     without credentials;
//  4. security, as the operation's document says: oauth2 with scopes,
//     replyToken, or none: 401, 403;
//  5. path, query, headers and body against their schemas, and where the body
//     fits, Config.Checks: everything that is wrong in one 422;
//  6. the handler.
//
// # Bodies
//
// A body is read as JSON whatever its content type says: receivers that post
// back forget it, and there is nothing else that it could be. An operation that
// declares a form reads a form. An operation without a declared body leaves it
// unread.
//
// # Schemas
//
// The validator words its findings as the existing system does, which is why it
// is not the library's. It knows of OpenAPI 3: type, nullable (also a type list
// with null), properties, required, additionalProperties, minProperties, items,
// minItems, maxItems, enum, minLength, maxLength, pattern, minimum and maximum
// with their exclusive forms, allOf (members are merged), oneOf and anyOf (the
// first that fits; where none does, the problems of the one whose JSON type is
// that of the value), $ref also in cycles, and the formats date-time, uuid,
// int32, int64, fides-key and identity. The pattern ^[A-Za-z0-9_-]+$ is
// fides-key too. Anything else in a schema is description.
//
// What a lenient reader understands is understood: a number in a string, "yes"
// for true, a time without a zone (UTC) or a date. Such values are replaced by
// their plain form before the handler sees them, in the body and in the query.
// A NUL character is refused wherever it stands, since no store of ours holds
// one.
//
// # Silence
//
// Neither the log nor an error says what a request contained. The log has the
// template of a path, not the path; a failure is logged without quoted values;
// an access token does not travel beyond the edge.
package edge
