-- name: Policy :one
SELECT id, seq, key, name, drp_action, execution_timeframe, client_id, created_at, updated_at
FROM policies WHERE key = $1;

-- name: PolicyKeys :many
SELECT key FROM policies ORDER BY key;

-- name: Policies :many
SELECT id, seq, key, name, drp_action, execution_timeframe, client_id, created_at, updated_at
FROM policies ORDER BY created_at DESC, seq DESC LIMIT @page_size OFFSET @skip;

-- name: CountPolicies :one
SELECT count(*) FROM policies;

-- name: PolicyNameTaken :one
SELECT EXISTS (SELECT 1 FROM policies WHERE name = @name AND id <> @except_id);

-- name: DRPActionTaken :one
SELECT EXISTS (SELECT 1 FROM policies WHERE drp_action = @drp_action::text AND id <> @except_id);

-- name: InsertPolicy :exec
INSERT INTO policies (id, key, name, drp_action, execution_timeframe, client_id, created_at, updated_at)
VALUES (@id, @key, @name, @drp_action, @execution_timeframe, @client_id, @now, @now);

-- name: UpdatePolicy :exec
UPDATE policies
SET name = @name, drp_action = @drp_action, execution_timeframe = @execution_timeframe, updated_at = @now
WHERE id = @id;

-- name: DeletePolicy :exec
DELETE FROM policies WHERE id = $1;

-- name: RulesOfPolicies :many
SELECT id, seq, policy_id, key, name, action_type, storage_destination_key, masking_strategy,
       sealed_masking_configuration, created_at, updated_at
FROM rules WHERE policy_id = ANY (@policy_ids::text[]) ORDER BY policy_id, seq;

-- name: RulesPage :many
SELECT id, seq, policy_id, key, name, action_type, storage_destination_key, masking_strategy,
       sealed_masking_configuration, created_at, updated_at
FROM rules WHERE policy_id = @policy_id
ORDER BY created_at DESC, seq DESC LIMIT @page_size OFFSET @skip;

-- name: CountRules :one
SELECT count(*) FROM rules WHERE policy_id = $1;

-- name: Rule :one
SELECT id, seq, policy_id, key, name, action_type, storage_destination_key, masking_strategy,
       sealed_masking_configuration, created_at, updated_at
FROM rules WHERE key = $1;

-- name: RuleNameTaken :one
SELECT EXISTS (SELECT 1 FROM rules WHERE name = @name AND id <> @except_id);

-- name: InsertRule :exec
INSERT INTO rules (id, policy_id, key, name, action_type, storage_destination_key, masking_strategy,
                   sealed_masking_configuration, created_at, updated_at)
VALUES (@id, @policy_id, @key, @name, @action_type, @storage_destination_key, @masking_strategy,
        @sealed_masking_configuration, @now, @now);

-- name: UpdateRule :exec
UPDATE rules
SET name = @name, action_type = @action_type, storage_destination_key = @storage_destination_key,
    masking_strategy = @masking_strategy, sealed_masking_configuration = @sealed_masking_configuration,
    updated_at = @now
WHERE id = @id;

-- name: DeleteRule :exec
DELETE FROM rules WHERE id = $1;

-- name: TargetsOfRules :many
SELECT id, seq, rule_id, key, name, data_category, created_at, updated_at
FROM targets WHERE rule_id = ANY (@rule_ids::text[]) ORDER BY rule_id, seq;

-- name: TargetsPage :many
SELECT id, seq, rule_id, key, name, data_category, created_at, updated_at
FROM targets WHERE rule_id = @rule_id
ORDER BY created_at DESC, seq DESC LIMIT @page_size OFFSET @skip;

-- name: CountTargets :one
SELECT count(*) FROM targets WHERE rule_id = $1;

-- name: Target :one
SELECT id, seq, rule_id, key, name, data_category, created_at, updated_at
FROM targets WHERE key = $1;

-- name: TargetNameTaken :one
SELECT EXISTS (SELECT 1 FROM targets WHERE name = @name AND id <> @except_id);

-- name: InsertTarget :exec
INSERT INTO targets (id, rule_id, key, name, data_category, created_at, updated_at)
VALUES (@id, @rule_id, @key, @name, @data_category, @now, @now);

-- name: UpdateTarget :exec
UPDATE targets SET name = @name, data_category = @data_category, updated_at = @now WHERE id = @id;

-- name: DeleteTarget :exec
DELETE FROM targets WHERE id = $1;
