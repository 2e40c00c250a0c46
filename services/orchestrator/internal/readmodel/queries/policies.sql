-- name: PolicyReferenced :one
SELECT EXISTS (SELECT 1 FROM requests WHERE policy_key = sqlc.arg(policy_key));
