-- name: PolicyWithLists :one
-- Everything that a policy's entry is made of, and those webhooks of other
-- policies that have one of the given keys or names.
SELECT p.id, p.seq, p.key, p.name, p.drp_action, p.execution_timeframe, p.client_id, p.created_at, p.updated_at,
    coalesce((
        SELECT json_agg(json_build_object(
            'id', r.id, 'name', r.name, 'key', r.key, 'action_type', r.action_type,
            'masking_strategy', r.masking_strategy, 'storage_destination_id', r.storage_destination_key) ORDER BY r.seq)
        FROM rules AS r WHERE r.policy_id = p.id), '[]')::json AS rules,
    coalesce((
        SELECT json_agg(json_build_object(
            'kind', w.kind, 'id', w.id, 'key', w.key, 'name', w.name, 'direction', w.direction,
            'connection_id', w.connection_id, 'connection_key', c.key) ORDER BY w.kind, w.position)
        FROM webhooks AS w JOIN connections AS c ON c.id = w.connection_id
        WHERE w.policy_id = p.id), '[]')::json AS lists,
    coalesce((
        SELECT json_agg(json_build_object('id', o.id, 'key', o.key, 'name', o.name))
        FROM (
            SELECT k.id, k.key, k.name, k.policy_id FROM webhooks AS k WHERE k.kind = @kind AND k.key = ANY (@keys::text[])
            UNION
            SELECT n.id, n.key, n.name, n.policy_id FROM webhooks AS n WHERE n.kind = @kind AND n.name = ANY (@names::text[])
        ) AS o
        WHERE o.policy_id <> p.id), '[]')::json AS others
FROM policies AS p WHERE p.key = @policy_key;

-- name: ReplaceWebhooks :exec
-- The list of a policy becomes the given one. Rows that do not change are not
-- written.
WITH wanted AS (
    SELECT unnest(@ids::text[]) AS id, unnest(@connection_ids::text[]) AS connection_id, unnest(@keys::text[]) AS key,
           unnest(@names::text[]) AS name, unnest(@directions::text[]) AS direction,
           unnest(@positions::integer[]) AS position
), gone AS (
    DELETE FROM webhooks AS w
    WHERE w.policy_id = @policy_id AND w.kind = @kind AND NOT EXISTS (SELECT 1 FROM wanted WHERE wanted.id = w.id)
)
INSERT INTO webhooks (id, kind, policy_id, connection_id, key, name, direction, position, created_at, updated_at)
SELECT n.id, @kind, @policy_id, n.connection_id, n.key, n.name, n.direction, n.position, @now, @now FROM wanted AS n
ON CONFLICT (id) DO UPDATE
SET connection_id = excluded.connection_id, name = excluded.name, direction = excluded.direction,
    position = excluded.position, updated_at = excluded.updated_at
WHERE (webhooks.connection_id, webhooks.name, webhooks.direction, webhooks.position)
    IS DISTINCT FROM (excluded.connection_id, excluded.name, excluded.direction, excluded.position);

-- name: WebhooksOfPolicy :many
SELECT id, kind, policy_id, connection_id, key, name, direction, position, created_at, updated_at
FROM webhooks WHERE policy_id = @policy_id AND kind = @kind ORDER BY position;

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
