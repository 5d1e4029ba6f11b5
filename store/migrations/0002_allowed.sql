-- Networks that rules leave alone for a while, because somebody took a decision on them back.
CREATE TABLE allowed (
    network TEXT PRIMARY KEY NOT NULL,
    until_ms BIGINT NOT NULL
);
