-- name: LockWrites :one
-- The version is drawn under the lock, so that versions are in the order of the
-- commits.
WITH held AS MATERIALIZED (SELECT pg_advisory_xact_lock(8101))
SELECT nextval('catalog_version')::bigint FROM held;

-- name: NextVersion :one
SELECT nextval('catalog_version');

-- name: RaiseVersion :exec
SELECT setval('catalog_version', greatest(@floor::bigint, nextval('catalog_version')));

-- name: Entry :one
SELECT key, version, deleted, body, published_version FROM entries WHERE key = $1;

-- name: Entries :many
SELECT key, version, deleted, body, published_version FROM entries ORDER BY key;

-- name: PendingEntries :many
SELECT key, version, deleted, body, published_version FROM entries
WHERE published_version < version ORDER BY version LIMIT 500;

-- name: NextFacts :many
SELECT seq, id, type, noun, key, version, deleted, occurred_at FROM facts ORDER BY seq LIMIT 100;

-- name: DeleteFact :exec
DELETE FROM facts WHERE seq = $1;

-- name: AuditPage :many
SELECT seq, occurred_at, client_id, action, noun, key FROM audit
ORDER BY seq DESC LIMIT @page_size OFFSET @skip;

-- name: CountAudit :one
SELECT count(*) FROM audit;

-- name: Seed :execrows
INSERT INTO seeds (name, seeded_at) VALUES (@name, @now) ON CONFLICT DO NOTHING;

-- name: HighestVersion :one
SELECT coalesce(max(version), 0)::bigint FROM entries;

-- name: TryLockFacts :one
SELECT pg_try_advisory_xact_lock(8102);

-- name: CountFacts :one
SELECT count(*) FROM facts;

-- name: CountPendingEntries :one
SELECT count(*) FROM entries WHERE published_version < version;

-- name: WriteOutbox :exec
-- Everything that a change leaves behind beside its rows, in one statement.
WITH published AS (
    INSERT INTO entries (key, version, deleted, body)
    SELECT unnest(@entry_keys::text[]), unnest(@entry_versions::bigint[]), unnest(@entry_deleted::boolean[]),
           unnest(@entry_bodies::text[])::json
    ON CONFLICT (key) DO UPDATE
    SET version = excluded.version, deleted = excluded.deleted, body = excluded.body
), told AS (
    INSERT INTO facts (id, type, noun, key, version, deleted, occurred_at)
    SELECT unnest(@fact_ids::text[]), unnest(@fact_types::text[]), unnest(@fact_nouns::text[]),
           unnest(@fact_keys::text[]), unnest(@fact_versions::bigint[]), unnest(@fact_deleted::boolean[]), @now
)
INSERT INTO audit (occurred_at, client_id, action, noun, key)
SELECT @now, @client_id, unnest(@audit_actions::text[]), unnest(@audit_nouns::text[]), unnest(@audit_keys::text[]);

-- name: MarkPublished :exec
UPDATE entries AS e SET published_version = p.version
FROM (SELECT unnest(@keys::text[]) AS key, unnest(@versions::bigint[]) AS version) AS p
WHERE e.key = p.key AND e.published_version < p.version;
