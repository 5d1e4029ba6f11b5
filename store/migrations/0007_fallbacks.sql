-- In whose place a row is told, and whether somebody was told in this one's place.
ALTER TABLE outbox ADD COLUMN via TEXT;
ALTER TABLE outbox ADD COLUMN fell_back BIGINT NOT NULL DEFAULT 0;
CREATE INDEX outbox_falling ON outbox (receiver, integration) WHERE lane = 0 AND told_revision IS NULL AND fell_back = 0;

-- When the next row is due, without looking at all that wait.
CREATE INDEX outbox_due ON outbox (receiver, integration, due) WHERE waits = 1 AND lease_until IS NULL;
CREATE INDEX outbox_leased ON outbox (receiver, integration) WHERE waits = 1 AND lease_until IS NOT NULL;
