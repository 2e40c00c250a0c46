-- name: Settings :one
SELECT body FROM settings;

-- name: SetSettings :exec
INSERT INTO settings (singleton, body, updated_at) VALUES (true, @body, @now)
ON CONFLICT (singleton) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at;

-- name: DeleteSettings :exec
DELETE FROM settings;
