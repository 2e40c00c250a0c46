-- name: WebhooksOfPolicy :many
SELECT id, kind, policy_id, connection_id, key, name, direction, position, created_at, updated_at
FROM webhooks WHERE policy_id = @policy_id AND kind = @kind ORDER BY position;

-- name: WebhookOwners :many
SELECT id, policy_id, key, name FROM webhooks WHERE kind = @kind ORDER BY key;

-- name: WebhookNameTaken :one
SELECT EXISTS (SELECT 1 FROM webhooks WHERE kind = @kind AND name = @name AND id <> @except_id);

-- name: InsertWebhook :exec
INSERT INTO webhooks (id, kind, policy_id, connection_id, key, name, direction, position, created_at, updated_at)
VALUES (@id, @kind, @policy_id, @connection_id, @key, @name, @direction, @position, @now, @now);

-- name: UpdateWebhook :exec
UPDATE webhooks
SET connection_id = @connection_id, name = @name, direction = @direction, position = @position, updated_at = @now
WHERE id = @id;

-- name: SetWebhookPosition :exec
UPDATE webhooks SET position = @position WHERE id = @id;

-- name: DeleteWebhook :exec
DELETE FROM webhooks WHERE id = $1;

-- name: PreApprovalWebhooks :many
SELECT id, seq, connection_id, key, name, created_at, updated_at
FROM pre_approval_webhooks ORDER BY created_at, seq;

-- name: PreApprovalWebhooksPage :many
SELECT id, seq, connection_id, key, name, created_at, updated_at
FROM pre_approval_webhooks ORDER BY created_at DESC, seq LIMIT @page_size OFFSET @skip;

-- name: PreApprovalWebhook :one
SELECT id, seq, connection_id, key, name, created_at, updated_at
FROM pre_approval_webhooks WHERE key = $1;

-- name: PreApprovalNameTaken :one
SELECT EXISTS (SELECT 1 FROM pre_approval_webhooks WHERE name = @name AND id <> @except_id);

-- name: InsertPreApprovalWebhook :exec
INSERT INTO pre_approval_webhooks (id, connection_id, key, name, created_at, updated_at)
VALUES (@id, @connection_id, @key, @name, @now, @now);

-- name: UpdatePreApprovalWebhook :exec
UPDATE pre_approval_webhooks SET connection_id = @connection_id, name = @name, updated_at = @now WHERE id = @id;

-- name: DeletePreApprovalWebhook :exec
DELETE FROM pre_approval_webhooks WHERE id = $1;

-- name: ConnectionsByID :many
SELECT id, key, name, description, connection_type, access, disabled,
       sealed_secrets, sealed_oauth, created_at, updated_at
FROM connections WHERE id = ANY (@ids::text[]);
