-- +goose Up

-- Since when which key of the ring seals, so that an operator can tell when the
-- last token of a retired one has expired. The keys themselves are not here.
CREATE TABLE keys (
    kid           text        PRIMARY KEY,
    fingerprint   text        NOT NULL,
    first_seen_at timestamptz NOT NULL,
    sealed_since  timestamptz,
    sealed_until  timestamptz
);

-- +goose Down
DROP TABLE keys;
