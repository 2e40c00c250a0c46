-- name: Client :one
SELECT id, seq, name, description, scopes, roles, secret_salt, secret_hash, created_at, updated_at
FROM clients WHERE id = $1;

-- name: ClientIDs :many
SELECT id FROM clients ORDER BY id;

-- name: Clients :many
SELECT id, seq, name, description, scopes, roles, secret_salt, secret_hash, created_at, updated_at
FROM clients ORDER BY created_at DESC, seq DESC LIMIT @page_size OFFSET @skip;

-- name: CountClients :one
SELECT count(*) FROM clients;

-- name: InsertClient :exec
INSERT INTO clients (id, name, description, scopes, roles, secret_salt, secret_hash, created_at, updated_at)
VALUES (@id, @name, @description, @scopes, @roles, @secret_salt, @secret_hash, @now, @now);

-- name: UpdateClient :exec
UPDATE clients SET name = @name, description = @description, scopes = @scopes, updated_at = @now WHERE id = @id;

-- name: SetClientSecret :exec
UPDATE clients SET secret_salt = @secret_salt, secret_hash = @secret_hash, updated_at = @now WHERE id = @id;

-- name: DeleteClient :exec
DELETE FROM clients WHERE id = $1;
