-- +goose Up
-- A request as it was last projected: the whole record, and beside it the
-- columns by which requests are found, sorted and swept.
CREATE TABLE requests (
    id                     text PRIMARY KEY,
    revision               bigint NOT NULL,
    epoch                  text NOT NULL,
    status                 text NOT NULL,
    external_id            text,
    policy_key             text NOT NULL,
    actions                text[] NOT NULL,
    source                 text,
    location               text,
    identity_hashes        text[] NOT NULL,
    custom_field_hashes    text[] NOT NULL,
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL,
    started_processing_at  timestamptz,
    finished_processing_at timestamptz,
    reviewed_at            timestamptz,
    paused_at              timestamptz,
    canceled_at            timestamptz,
    due_date               timestamptz,
    deleted_at             timestamptz,
    awaited_call           text,
    deadline               timestamptz,
    record                 jsonb NOT NULL
);

CREATE INDEX requests_by_creation ON requests (created_at DESC, id);
CREATE INDEX requests_by_status ON requests (status, created_at DESC);
CREATE INDEX requests_by_update ON requests (updated_at);
CREATE INDEX requests_by_identity ON requests USING gin (identity_hashes);
CREATE INDEX requests_by_custom_field ON requests USING gin (custom_field_hashes);
CREATE INDEX requests_by_external_id ON requests (lower(external_id) text_pattern_ops) WHERE external_id IS NOT NULL;
CREATE INDEX requests_by_deadline ON requests (deadline) WHERE deadline IS NOT NULL;

-- What people read about a request. An entry belongs to a fact: the same fact
-- makes the same entries, whoever projects it and however often.
CREATE TABLE log_entries (
    fact_id      text NOT NULL,
    part         integer NOT NULL,
    request_id   text NOT NULL,
    kind         text NOT NULL,
    dataset_name text NOT NULL,
    status       text NOT NULL,
    message      text,
    action_type  text,
    user_id      text,
    webhook_id   text,
    sequence     bigint NOT NULL,
    at           timestamptz NOT NULL,
    PRIMARY KEY (fact_id, part)
);

CREATE INDEX log_entries_by_request ON log_entries (request_id, at, sequence);

-- The facts about calls, as they were reported: orders, attempts, ends.
CREATE TABLE call_facts (
    fact_id         text PRIMARY KEY,
    request_id      text NOT NULL,
    call_id         text NOT NULL,
    verb            text NOT NULL,
    run             integer NOT NULL,
    phase           text NOT NULL,
    call_order      integer NOT NULL,
    webhook_id      text NOT NULL,
    webhook_key     text NOT NULL,
    webhook_name    text NOT NULL,
    direction       text NOT NULL,
    connection_key  text NOT NULL,
    attempt         integer NOT NULL,
    outcome         text,
    http_status     integer,
    duration_ms     bigint,
    error           text,
    derived_fields  text[] NOT NULL,
    next_attempt_at timestamptz,
    at              timestamptz NOT NULL
);

CREATE INDEX call_facts_by_request ON call_facts (request_id, at);

-- How far a feed has come, so that a database that was put back from a backup
-- is noticed.
CREATE TABLE feeds (
    name     text PRIMARY KEY,
    position bigint NOT NULL,
    seen_at  timestamptz NOT NULL
);

-- +goose Down
DROP TABLE feeds;
DROP TABLE call_facts;
DROP TABLE log_entries;
DROP TABLE requests;
