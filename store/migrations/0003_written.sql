-- When a source's owner last wrote its row: one that nobody reads any more must not hold its entry back for ever.
ALTER TABLE progress ADD COLUMN written BIGINT NOT NULL DEFAULT 0;
