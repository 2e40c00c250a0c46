-- name: SealedRecords :many
SELECT id, record
FROM requests
WHERE id > sqlc.arg(after)::text AND record::text LIKE '%"sealed\_%'
ORDER BY id
LIMIT sqlc.arg(at_most);
