-- What is not told for a while. Matchers are a JSON list of texts, as people write them.
CREATE TABLE silence (
    id TEXT PRIMARY KEY NOT NULL,
    matchers TEXT NOT NULL,
    author TEXT NOT NULL,
    said TEXT NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX silence_by_end ON silence (ends_at);

-- Whether a silence is told of with a state, in messages that can be changed.
ALTER TABLE outbox ADD COLUMN desired_silenced BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN told_silenced BIGINT NOT NULL DEFAULT 0;
-- Whether anything keeps its receiver from hearing of it now.
ALTER TABLE outbox ADD COLUMN hushed BIGINT NOT NULL DEFAULT 0;
