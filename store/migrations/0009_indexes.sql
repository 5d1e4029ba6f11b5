-- How often in a row a digest was refused as it stands.
ALTER TABLE digest ADD COLUMN refusals BIGINT NOT NULL DEFAULT 0;

-- Who came before in a group, without what is over; what waits for a digest; pages that may fall back.
DROP INDEX outbox_group;
CREATE INDEX outbox_group ON outbox (receiver, integration, grp, created_at)
    WHERE grp IS NOT NULL AND desired_status <> 'resolved';
CREATE INDEX outbox_held ON outbox (receiver, integration, lane) WHERE fate = 'held';
DROP INDEX outbox_falling;
CREATE INDEX outbox_falling ON outbox (receiver, integration, waiting_since)
    WHERE lane = 0 AND told_revision IS NULL AND fell_back = 0 AND fate IN ('pending', 'held', 'dead');
-- What waits and may follow another: nothing where no route groups.
CREATE INDEX outbox_following ON outbox (receiver, integration, grp, created_at) WHERE fate = 'pending' AND grp IS NOT NULL;
