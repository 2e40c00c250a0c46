-- name: NoteKey :exec
INSERT INTO keys (kid, fingerprint, first_seen_at) VALUES (@kid, @fingerprint, @now)
ON CONFLICT (kid) DO NOTHING;

-- name: SealWith :exec
UPDATE keys
SET sealed_since = CASE WHEN kid = @kid AND (sealed_since IS NULL OR sealed_until IS NOT NULL)
                        THEN @now::timestamptz ELSE sealed_since END,
    sealed_until = CASE WHEN kid = @kid THEN NULL ELSE coalesce(sealed_until, @now::timestamptz) END;

-- name: Keys :many
SELECT kid, fingerprint, first_seen_at, sealed_since, sealed_until FROM keys ORDER BY first_seen_at, kid;

-- name: SealedConnections :many
SELECT id, key, sealed_secrets, sealed_oauth FROM connections
WHERE id > @after AND (sealed_secrets IS NOT NULL OR sealed_oauth IS NOT NULL)
ORDER BY id LIMIT @page_size;

-- name: SetSealed :exec
UPDATE connections SET sealed_secrets = @sealed_secrets, sealed_oauth = @sealed_oauth WHERE id = @id;

-- name: SealedRules :many
SELECT id, key, sealed_masking_configuration FROM rules
WHERE id > @after AND sealed_masking_configuration IS NOT NULL
ORDER BY id LIMIT @page_size;

-- name: SetSealedMasking :exec
UPDATE rules SET sealed_masking_configuration = @sealed WHERE id = @id;
