-- The group whose followers are told together, and when a row is told again though nothing has changed.
ALTER TABLE outbox ADD COLUMN grp TEXT;
ALTER TABLE outbox ADD COLUMN grp_wait BIGINT;
ALTER TABLE outbox ADD COLUMN grp_interval BIGINT;
ALTER TABLE outbox ADD COLUMN repeat_ms BIGINT;
ALTER TABLE outbox ADD COLUMN again BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN repeat_at BIGINT;
CREATE INDEX outbox_group ON outbox (receiver, integration, grp) WHERE grp IS NOT NULL;
CREATE INDEX outbox_repeat ON outbox (receiver, integration, repeat_at) WHERE repeat_at IS NOT NULL;

-- A digest tells of a group, or of a storm where the name is empty: one of each at a time.
ALTER TABLE digest ADD COLUMN grp TEXT NOT NULL DEFAULT '';
ALTER TABLE digest ADD COLUMN grp_wait BIGINT;
ALTER TABLE digest ADD COLUMN grp_interval BIGINT;
DROP INDEX digest_storm;
CREATE UNIQUE INDEX digest_storm ON digest (receiver, integration, grp) WHERE phase = 'storm';
