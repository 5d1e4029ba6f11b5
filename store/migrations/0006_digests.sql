-- Storms: one row each, per integration. `told_*` is what the last accepted message counted.
CREATE TABLE digest (
    id BIGINT PRIMARY KEY NOT NULL,
    receiver TEXT NOT NULL,
    integration TEXT NOT NULL,
    phase TEXT NOT NULL,
    pages BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    handle TEXT,
    messages BIGINT NOT NULL,
    told_at BIGINT,
    told_members BIGINT,
    told_open BIGINT,
    told_cleared BIGINT,
    told_worst BIGINT,
    attempts BIGINT NOT NULL,
    due BIGINT NOT NULL,
    last_error TEXT,
    lease_owner TEXT,
    lease_until BIGINT
);
-- An integration is in one storm at a time, whichever process says so.
CREATE UNIQUE INDEX digest_storm ON digest (receiver, integration) WHERE phase = 'storm';
CREATE INDEX digest_unfinished ON digest (receiver, integration, id) WHERE phase <> 'closed';

-- Which digest counts a row, and the revision that a message under way tells of it.
ALTER TABLE outbox ADD COLUMN digest BIGINT;
ALTER TABLE outbox ADD COLUMN digest_revision BIGINT;
CREATE INDEX outbox_digest ON outbox (digest) WHERE digest IS NOT NULL;
CREATE INDEX outbox_untold ON outbox (receiver, integration, lane, waiting_since) WHERE fate = 'pending';

-- What endpoints have asked for, so that a restart does not ask them again. No secret is in a name.
CREATE TABLE pace (
    endpoint TEXT PRIMARY KEY NOT NULL,
    full_at BIGINT NOT NULL,
    paused_until BIGINT,
    share BIGINT,
    limited_at BIGINT,
    streak BIGINT NOT NULL
);
