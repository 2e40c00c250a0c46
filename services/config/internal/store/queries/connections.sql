-- name: Connection :one
SELECT id, key, name, description, connection_type, access, disabled,
       sealed_secrets, sealed_oauth, created_at, updated_at
FROM connections WHERE key = $1;

-- name: ConnectionByID :one
SELECT id, key, name, description, connection_type, access, disabled,
       sealed_secrets, sealed_oauth, created_at, updated_at
FROM connections WHERE id = $1;

-- name: ConnectionNames :many
SELECT id, key FROM connections ORDER BY id;

-- name: Connections :many
SELECT id, key, name, description, connection_type, access, disabled,
       sealed_secrets, sealed_oauth, created_at, updated_at
FROM connections
WHERE (sqlc.narg(search)::text IS NULL
       OR strpos(lower(key), lower(sqlc.narg(search))) > 0
       OR strpos(lower(coalesce(name, '')), lower(sqlc.narg(search))) > 0
       OR strpos(lower(coalesce(description, '')), lower(sqlc.narg(search))) > 0)
  AND (sqlc.narg(disabled)::boolean IS NULL OR disabled = sqlc.narg(disabled))
  AND (cardinality(@types::text[]) = 0 OR connection_type = ANY (@types::text[]))
  AND (cardinality(@types_not::text[]) = 0 OR NOT connection_type = ANY (@types_not::text[]))
ORDER BY lower(name), name, key
LIMIT @page_size OFFSET @skip;

-- name: CountConnections :one
SELECT count(*) FROM connections
WHERE (sqlc.narg(search)::text IS NULL
       OR strpos(lower(key), lower(sqlc.narg(search))) > 0
       OR strpos(lower(coalesce(name, '')), lower(sqlc.narg(search))) > 0
       OR strpos(lower(coalesce(description, '')), lower(sqlc.narg(search))) > 0)
  AND (sqlc.narg(disabled)::boolean IS NULL OR disabled = sqlc.narg(disabled))
  AND (cardinality(@types::text[]) = 0 OR connection_type = ANY (@types::text[]))
  AND (cardinality(@types_not::text[]) = 0 OR NOT connection_type = ANY (@types_not::text[]));

-- name: InsertConnection :exec
INSERT INTO connections (id, key, name, description, connection_type, access, disabled,
                         sealed_secrets, created_at, updated_at)
VALUES (@id, @key, @name, @description, @connection_type, @access, @disabled,
        @sealed_secrets, @now, @now);

-- name: UpdateConnection :exec
UPDATE connections
SET name = @name, description = @description, connection_type = @connection_type,
    access = @access, disabled = @disabled, sealed_secrets = @sealed_secrets, updated_at = @now
WHERE id = @id;

-- name: SetSecrets :exec
UPDATE connections SET sealed_secrets = @sealed_secrets, updated_at = @now WHERE id = @id;

-- name: SetOAuth :exec
UPDATE connections SET sealed_oauth = @sealed_oauth, updated_at = @now WHERE id = @id;

-- name: DeleteConnection :exec
DELETE FROM connections WHERE id = $1;

-- name: WebhookKeysOfConnection :many
SELECT key FROM webhooks WHERE connection_id = $1 ORDER BY key;

-- name: CountPreApprovalWebhooksOfConnection :one
SELECT count(*) FROM pre_approval_webhooks WHERE connection_id = $1;

-- name: ConnectionsByKey :many
SELECT id, key, name, description, connection_type, access, disabled,
       sealed_secrets, sealed_oauth, created_at, updated_at
FROM connections WHERE key = ANY (@keys::text[]);
