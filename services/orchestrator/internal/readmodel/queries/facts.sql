-- name: ProjectLogEntries :exec
INSERT INTO log_entries (
    fact_id, part, request_id, kind, dataset_name, status, message, action_type, user_id, webhook_id, sequence, at
)
SELECT
    e.fact_id, e.part, e.request_id, e.kind, e.dataset_name, e.status, e.message, e.action_type, e.user_id,
    e.webhook_id, e.sequence, e.at
FROM jsonb_populate_recordset(NULL::log_entries, sqlc.arg(rows)::jsonb) AS e
ON CONFLICT DO NOTHING;

-- name: ProjectCallFacts :exec
INSERT INTO call_facts (
    fact_id, request_id, call_id, verb, run, phase, call_order, webhook_id, webhook_key, webhook_name, direction,
    connection_key, attempt, outcome, http_status, duration_ms, error, derived_fields, next_attempt_at, at
)
SELECT
    f.fact_id, f.request_id, f.call_id, f.verb, f.run, f.phase, f.call_order, f.webhook_id, f.webhook_key,
    f.webhook_name, f.direction, f.connection_key, f.attempt, f.outcome, f.http_status, f.duration_ms, f.error,
    f.derived_fields, f.next_attempt_at, f.at
FROM jsonb_populate_recordset(NULL::call_facts, sqlc.arg(rows)::jsonb) AS f
ON CONFLICT DO NOTHING;

-- name: FeedSeen :one
SELECT position, seen_at FROM feeds WHERE name = sqlc.arg(name);

-- name: SawFeed :exec
INSERT INTO feeds (name, position, seen_at) VALUES (sqlc.arg(name), sqlc.arg(position), sqlc.arg(seen_at))
ON CONFLICT (name) DO UPDATE SET position = excluded.position, seen_at = excluded.seen_at
WHERE feeds.seen_at <= excluded.seen_at;

-- name: ExecutionLog :many
SELECT dataset_name, status, message, action_type, at
FROM log_entries
WHERE request_id = sqlc.arg(request_id) AND kind = 'execution'
ORDER BY at, sequence, fact_id, part
LIMIT sqlc.arg(at_most) OFFSET sqlc.arg(skip);

-- name: CountExecutionLog :one
SELECT count(*) FROM log_entries WHERE request_id = sqlc.arg(request_id) AND kind = 'execution';

-- name: LogEntries :many
SELECT request_id, kind, dataset_name, status, message, action_type, user_id, webhook_id, at
FROM log_entries
WHERE request_id = ANY(sqlc.arg(request_ids)::text[])
ORDER BY request_id, at, sequence, fact_id, part;

-- name: CallFacts :many
SELECT fact_id, call_id, verb, run, phase, call_order, webhook_id, webhook_key, webhook_name, direction,
    connection_key, attempt, outcome, http_status, duration_ms, error, derived_fields, next_attempt_at, at
FROM call_facts
WHERE request_id = sqlc.arg(request_id)
ORDER BY at, fact_id;
