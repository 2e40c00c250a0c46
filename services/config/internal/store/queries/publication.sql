-- name: LockWrites :exec
SELECT pg_advisory_xact_lock(8101);

-- name: NextVersion :one
SELECT nextval('catalog_version');

-- name: RaiseVersion :exec
SELECT setval('catalog_version', greatest(@floor::bigint, nextval('catalog_version')));

-- name: PutEntry :exec
INSERT INTO entries (key, version, deleted, body) VALUES (@key, @version, @deleted, @body)
ON CONFLICT (key) DO UPDATE
SET version = excluded.version, deleted = excluded.deleted, body = excluded.body;

-- name: Entry :one
SELECT key, version, deleted, body, published_version FROM entries WHERE key = $1;

-- name: Entries :many
SELECT key, version, deleted, body, published_version FROM entries ORDER BY key;

-- name: PendingEntries :many
SELECT key, version, deleted, body, published_version FROM entries
WHERE published_version < version ORDER BY version LIMIT 500;

-- name: EntriesByKey :many
SELECT key, version, deleted, body, published_version FROM entries WHERE key = ANY (@keys::text[]);

-- name: MarkPublished :exec
UPDATE entries SET published_version = @version WHERE key = @key AND published_version < @version;

-- name: AddFact :exec
INSERT INTO facts (id, type, noun, key, version, deleted, occurred_at)
VALUES (@id, @type, @noun, @key, @version, @deleted, @occurred_at);

-- name: NextFacts :many
SELECT seq, id, type, noun, key, version, deleted, occurred_at FROM facts ORDER BY seq LIMIT 100;

-- name: DeleteFact :exec
DELETE FROM facts WHERE seq = $1;

-- name: AddAudit :exec
INSERT INTO audit (occurred_at, client_id, action, noun, key)
VALUES (@occurred_at, @client_id, @action, @noun, @key);

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
