-- +goose Up
-- Ids are compared as bytes, so that the primary key also finds their begins.
ALTER TABLE requests ALTER COLUMN id TYPE text COLLATE "C";

-- What is searched is a small part of a row, whose record is a page long. This
-- index holds all of that part, in the order of the usual list: whatever a
-- search asks for, it reads this and the rows that it shows, never the table.
UPDATE requests SET external_id = left(external_id, 255) WHERE length(external_id) > 255;
CREATE INDEX requests_searched ON requests (created_at, id) INCLUDE (
    status, source, location, actions, external_id, updated_at, started_processing_at, finished_processing_at,
    reviewed_at, paused_at, canceled_at, due_date, deleted_at
);
DROP INDEX requests_by_creation;

-- The rest find few requests among many.
DROP INDEX requests_by_status;
CREATE INDEX requests_by_status ON requests (status, created_at, id) INCLUDE (source, deleted_at);
DROP INDEX requests_by_external_id;
CREATE INDEX requests_by_external_id ON requests (lower(external_id) text_pattern_ops)
    INCLUDE (external_id, created_at, id, source, deleted_at) WHERE external_id IS NOT NULL;
CREATE INDEX requests_by_location ON requests (location text_pattern_ops) WHERE location IS NOT NULL;
CREATE INDEX requests_by_start ON requests (started_processing_at) WHERE started_processing_at IS NOT NULL;
CREATE INDEX requests_by_end ON requests (status, finished_processing_at) WHERE finished_processing_at IS NOT NULL;
CREATE INDEX requests_by_due_date ON requests (due_date) INCLUDE (created_at, id, source, deleted_at)
    WHERE status NOT IN ('complete', 'denied', 'canceled', 'error');
CREATE INDEX requests_by_policy ON requests (policy_key);

-- An index is read without its table where the table is known to be visible:
-- that is noted by a vacuum, which by default comes when a fifth has changed.
ALTER TABLE requests SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02
);

-- +goose Down
ALTER TABLE requests RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_insert_scale_factor, autovacuum_analyze_scale_factor);
DROP INDEX requests_by_policy;
DROP INDEX requests_by_due_date;
DROP INDEX requests_by_end;
DROP INDEX requests_by_start;
DROP INDEX requests_by_location;
DROP INDEX requests_by_external_id;
CREATE INDEX requests_by_external_id ON requests (lower(external_id) text_pattern_ops) WHERE external_id IS NOT NULL;
DROP INDEX requests_by_status;
CREATE INDEX requests_by_status ON requests (status, created_at DESC);
CREATE INDEX requests_by_creation ON requests (created_at DESC, id);
DROP INDEX requests_searched;
ALTER TABLE requests ALTER COLUMN id TYPE text COLLATE "default";
