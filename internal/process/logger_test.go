package process

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/parley-dsr/parley/internal/tracing"
)

// TestLogsNameRequestCallAndTrace: what a line is about comes with its context,
// once, whoever writes it.
func TestLogsNameRequestCallAndTrace(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := NewLogger(&out, Settings{LogFormat: "json"}, "orchestrator")
	ctx, span := tracing.New(sdk.NewTracerProvider()).Start(t.Context(), "test")
	defer span.End()
	ctx = About(ctx, "pri_1", "call_1")
	trace := tracing.ID(ctx)
	logger.WarnContext(ctx, "from the context", "other", 1)
	logger.WarnContext(ctx, "said already", LogRequest, "pri_2")
	logger.Warn("of nothing")
	var got []map[string]any
	for decoder := json.NewDecoder(&out); decoder.More(); {
		var line map[string]any
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		delete(line, "time")
		got = append(got, line)
	}
	want := []map[string]any{
		{"level": "WARN", "service": "orchestrator", "msg": "from the context", "other": 1.0, "request_id": "pri_1", "call_id": "call_1", "trace_id": trace},
		{"level": "WARN", "service": "orchestrator", "msg": "said already", "request_id": "pri_2", "call_id": "call_1", "trace_id": trace},
		{"level": "WARN", "service": "orchestrator", "msg": "of nothing"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
