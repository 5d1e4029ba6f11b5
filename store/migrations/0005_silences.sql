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
