-- What was learned of each series, and through which slice of event time: one that is read again changes nothing.
CREATE TABLE baseline (
    series TEXT PRIMARY KEY,
    closed_through BIGINT NOT NULL,
    state BLOB NOT NULL
);
