-- +goose Up

-- One sequence gives every published entry its version. Writes are serialised
-- (see Store.Write), so a later commit always has the higher version.
CREATE SEQUENCE catalog_version;

CREATE TABLE connections (
    id              text        PRIMARY KEY,
    key             text        NOT NULL,
    name            text,
    description     text,
    connection_type text        NOT NULL,
    access          text        NOT NULL,
    disabled        boolean     NOT NULL,
    sealed_secrets  text,
    sealed_oauth    text,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    CONSTRAINT connections_key UNIQUE (key)
);
CREATE INDEX connections_by_name ON connections (lower(name), name, key);

CREATE TABLE policies (
    id                  text        PRIMARY KEY,
    seq                 bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    key                 text        NOT NULL,
    name                text        NOT NULL,
    drp_action          text,
    execution_timeframe integer,
    client_id           text,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    CONSTRAINT policies_key UNIQUE (key),
    CONSTRAINT policies_name UNIQUE (name),
    CONSTRAINT policies_drp_action UNIQUE (drp_action)
);

-- The configuration of a masking strategy may hold secrets: it is sealed.
CREATE TABLE rules (
    id                           text        PRIMARY KEY,
    seq                          bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    policy_id                    text        NOT NULL REFERENCES policies (id) ON DELETE CASCADE,
    key                          text        NOT NULL,
    name                         text        NOT NULL,
    action_type                  text        NOT NULL,
    storage_destination_key      text,
    masking_strategy             text,
    sealed_masking_configuration text,
    created_at                   timestamptz NOT NULL,
    updated_at                   timestamptz NOT NULL,
    CONSTRAINT rules_key UNIQUE (key),
    CONSTRAINT rules_name UNIQUE (name)
);
CREATE INDEX rules_by_policy ON rules (policy_id, seq);

CREATE TABLE targets (
    id            text        PRIMARY KEY,
    seq           bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    rule_id       text        NOT NULL REFERENCES rules (id) ON DELETE CASCADE,
    key           text        NOT NULL,
    name          text        NOT NULL,
    data_category text        NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    CONSTRAINT targets_key UNIQUE (key),
    CONSTRAINT targets_name UNIQUE (name),
    CONSTRAINT targets_category UNIQUE (rule_id, data_category)
);

-- Pre- and post-execution webhooks share a table, but not their names, keys
-- and positions: each kind has a space of its own. The constraints are checked
-- at commit, since a replaced list may exchange names and positions.
CREATE TABLE webhooks (
    id            text        PRIMARY KEY,
    kind          text        NOT NULL CHECK (kind IN ('pre', 'post')),
    policy_id     text        NOT NULL REFERENCES policies (id) ON DELETE CASCADE,
    connection_id text        NOT NULL REFERENCES connections (id) ON DELETE RESTRICT,
    key           text        NOT NULL,
    name          text        NOT NULL,
    direction     text        NOT NULL CHECK (direction IN ('one_way', 'two_way')),
    position      integer     NOT NULL CHECK (position >= 0),
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    CONSTRAINT webhooks_key UNIQUE (kind, key) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT webhooks_name UNIQUE (kind, name) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT webhooks_position UNIQUE (policy_id, kind, position) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX webhooks_by_connection ON webhooks (connection_id);

CREATE TABLE pre_approval_webhooks (
    id            text        PRIMARY KEY,
    seq           bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    connection_id text        NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    key           text        NOT NULL,
    name          text        NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    CONSTRAINT pre_approval_webhooks_key UNIQUE (key) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT pre_approval_webhooks_name UNIQUE (name) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX pre_approval_webhooks_by_connection ON pre_approval_webhooks (connection_id);

-- The secret of a client is kept as a salted hash only.
CREATE TABLE clients (
    id          text        PRIMARY KEY,
    seq         bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    name        text,
    description text,
    scopes      text[]      NOT NULL,
    roles       text[]      NOT NULL,
    secret_salt bytea       NOT NULL,
    secret_hash bytea       NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);

-- The runtime settings that were set over the API: one row at most.
CREATE TABLE settings (
    singleton  boolean     PRIMARY KEY DEFAULT true CHECK (singleton),
    body       json        NOT NULL,
    updated_at timestamptz NOT NULL
);

-- What the bucket dsr_config is to hold. A row whose published version is
-- behind is published by the next who gets to it.
CREATE TABLE entries (
    key               text    PRIMARY KEY,
    version           bigint  NOT NULL,
    deleted           boolean NOT NULL,
    body              json    NOT NULL,
    published_version bigint  NOT NULL DEFAULT 0
);
CREATE INDEX entries_pending ON entries (version) WHERE published_version < version;

-- Facts that wait to be published, in order.
CREATE TABLE facts (
    seq         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          text        NOT NULL,
    type        text        NOT NULL,
    noun        text        NOT NULL,
    key         text        NOT NULL,
    version     bigint      NOT NULL,
    deleted     boolean     NOT NULL,
    occurred_at timestamptz NOT NULL
);

-- Who changed what, and when; never with secrets.
CREATE TABLE audit (
    seq         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    occurred_at timestamptz NOT NULL,
    client_id   text        NOT NULL,
    action      text        NOT NULL,
    noun        text        NOT NULL,
    key         text        NOT NULL
);

-- What was put in at the first start. It is not put in again: what was deleted
-- stays deleted.
CREATE TABLE seeds (
    name      text        PRIMARY KEY,
    seeded_at timestamptz NOT NULL
);

-- +goose Down
DROP TABLE seeds, audit, facts, entries, settings, clients, pre_approval_webhooks,
    webhooks, targets, rules, policies, connections;
DROP SEQUENCE catalog_version;
