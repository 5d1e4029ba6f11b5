-- When a source's owner last wrote its row: one that nobody reads any more must not hold its entry back for ever.
ALTER TABLE progress ADD COLUMN written BIGINT NOT NULL DEFAULT 0;
-- Of rows that are there: an epoch is the time of an assignment.
UPDATE progress SET written = epoch;
