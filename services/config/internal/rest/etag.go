package rest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-dsr/parley/internal/edge"
	"github.com/parley-dsr/parley/internal/record"
	"github.com/parley-dsr/parley/services/config/internal/store/db"
)

// A tag names the state of a list or of a connection. It is made of what was
// stored, so two replicas give the same one, and a restart does not change it.
// Without an If-Match header the last write wins.

// connectionTag changes with every write of the connection.
func connectionTag(c db.Connection) string {
	return tag(c.ID, c.UpdatedAt.Format(time.RFC3339Nano))
}

// listTag changes with what the list is made of, not with the connections that
// it names.
func listTag(list []record.Webhook) string {
	parts := make([]string, 0, 4*len(list))
	for _, w := range list {
		parts = append(parts, w.ID, w.Name, w.Direction, w.ConnectionID)
	}
	return tag(parts...)
}

func preApprovalTag(rows []db.PreApprovalWebhook) string {
	parts := make([]string, 0, 3*len(rows))
	for _, w := range rows {
		parts = append(parts, w.ID, w.Name, w.ConnectionID)
	}
	return tag(parts...)
}

func tag(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		_, _ = fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	return `"` + hex.EncodeToString(hash.Sum(nil)[:12]) + `"`
}

// weak is what a proxy that compresses puts before a tag.
const weak = "W/"

// match refuses a change that was made on another state than the present one.
func match(ifMatch *string, present string) error {
	if ifMatch == nil || strings.TrimSpace(*ifMatch) == "*" || strings.TrimSpace(*ifMatch) == "" {
		return nil
	}
	for given := range strings.SplitSeq(*ifMatch, ",") {
		if strings.TrimPrefix(strings.TrimSpace(given), weak) == present {
			return nil
		}
	}
	return edge.PreconditionFailed("The resource has changed since it was read. Read it again, then repeat the change.")
}

func contains(values []string, v string) bool { return slices.Contains(values, v) }
