-- name: ProjectRequests :exec
INSERT INTO requests (
    id, revision, epoch, status, external_id, policy_key, actions, source, location,
    identity_hashes, custom_field_hashes, created_at, updated_at,
    started_processing_at, finished_processing_at, reviewed_at, paused_at, canceled_at,
    due_date, deleted_at, awaited_call, deadline, record
)
SELECT
    r.id, r.revision, r.epoch, r.status, r.external_id, r.policy_key, r.actions, r.source, r.location,
    r.identity_hashes, r.custom_field_hashes, r.created_at, r.updated_at,
    r.started_processing_at, r.finished_processing_at, r.reviewed_at, r.paused_at, r.canceled_at,
    r.due_date, r.deleted_at, r.awaited_call, r.deadline, r.record
FROM jsonb_populate_recordset(NULL::requests, sqlc.arg(rows)::jsonb) AS r
ON CONFLICT (id) DO UPDATE SET
    revision = excluded.revision,
    epoch = excluded.epoch,
    status = excluded.status,
    external_id = excluded.external_id,
    policy_key = excluded.policy_key,
    actions = excluded.actions,
    source = excluded.source,
    location = excluded.location,
    identity_hashes = excluded.identity_hashes,
    custom_field_hashes = excluded.custom_field_hashes,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at,
    started_processing_at = excluded.started_processing_at,
    finished_processing_at = excluded.finished_processing_at,
    reviewed_at = excluded.reviewed_at,
    paused_at = excluded.paused_at,
    canceled_at = excluded.canceled_at,
    due_date = excluded.due_date,
    deleted_at = excluded.deleted_at,
    awaited_call = excluded.awaited_call,
    deadline = excluded.deadline,
    record = excluded.record
WHERE requests.revision < excluded.revision;

-- name: RemoveRequests :exec
DELETE FROM requests WHERE id = ANY(sqlc.arg(ids)::text[]);

-- name: RemoveLogEntries :exec
DELETE FROM log_entries WHERE request_id = ANY(sqlc.arg(ids)::text[]);

-- name: RemoveCallFacts :exec
DELETE FROM call_facts WHERE request_id = ANY(sqlc.arg(ids)::text[]);

-- name: RequestRecord :one
SELECT record FROM requests WHERE id = sqlc.arg(id);

-- name: RequestRevision :one
SELECT revision FROM requests WHERE id = sqlc.arg(id);

-- name: RequestRevisions :many
SELECT id, revision FROM requests WHERE id = ANY(sqlc.arg(ids)::text[]);

-- name: OverdueRequests :many
SELECT id, awaited_call::text AS awaited_call, deadline
FROM requests
WHERE deadline <= sqlc.arg(now)::timestamptz AND awaited_call IS NOT NULL
ORDER BY deadline
LIMIT sqlc.arg(at_most);

-- name: UnfinishedOrRecentRecords :many
SELECT id, record
FROM requests
WHERE id > sqlc.arg(after)::text
  AND (status NOT IN ('complete', 'denied', 'canceled') OR updated_at > sqlc.arg(since)::timestamptz)
ORDER BY id
LIMIT sqlc.arg(at_most);

-- name: DistrustRequests :exec
UPDATE requests SET revision = 0;

-- name: CountUnfinished :many
SELECT status, count(*) AS requests, min(created_at)::timestamptz AS oldest
FROM requests
WHERE status IN ('pending', 'awaiting_pre_approval', 'pre_approval_not_eligible',
    'approved', 'in_processing', 'paused') AND deleted_at IS NULL
GROUP BY status;
