package topology

import (
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What stands in a bucket's stream in place of a value.
const (
	// HeaderOperation says that a client deleted or purged the key.
	HeaderOperation = "KV-Operation"
	// HeaderMarkerReason says why the server put the message there.
	HeaderMarkerReason = jetstream.MarkerReasonHeader
	// MarkerExpired is the reason of a key whose time to live was over.
	MarkerExpired = "MaxAge"

	operationPurge = "PURGE"
)

// IsMarker says whether a message of a bucket's stream says that the key is
// gone, for whatever reason.
func IsMarker(header nats.Header) bool {
	return header.Get(HeaderOperation) != "" || header.Get(HeaderMarkerReason) != ""
}

// IsExpiry says whether a message of a bucket's stream says that the key's time
// to live is over.
func IsExpiry(header nats.Header) bool {
	return header.Get(HeaderOperation) == "" && header.Get(HeaderMarkerReason) == MarkerExpired
}

// KeyOfSubject is the key that a message of a bucket's stream is about, or ""
// for a subject that is not of a bucket.
func KeyOfSubject(subject string) string {
	rest, ok := strings.CutPrefix(subject, "$KV.")
	if !ok {
		return ""
	}
	_, key, _ := strings.Cut(rest, ".")
	return key
}
