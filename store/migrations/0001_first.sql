-- Portable on purpose: TEXT, BIGINT, DOUBLE PRECISION; times are milliseconds since 1970; severities are 0 (info) to
-- 3 (critical), so that they can be compared; yes and no are 1 and 0.

CREATE TABLE meta (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);

CREATE TABLE counter (
    name TEXT PRIMARY KEY NOT NULL,
    value BIGINT NOT NULL
);

CREATE TABLE incident (
    id TEXT PRIMARY KEY NOT NULL,
    fingerprint TEXT NOT NULL,
    episode BIGINT NOT NULL,
    version BIGINT NOT NULL,
    kind TEXT NOT NULL,
    severity BIGINT NOT NULL,
    status TEXT NOT NULL,
    target_kind TEXT NOT NULL,
    target TEXT NOT NULL,
    service TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    detected_at BIGINT NOT NULL,
    holds_until BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    resolved_at BIGINT,
    stale BIGINT NOT NULL,
    participants_total BIGINT NOT NULL,
    participants_estimated BIGINT NOT NULL,
    doc TEXT NOT NULL,
    UNIQUE (fingerprint, episode)
);
-- Two processes cannot both open an incident for the same trouble.
CREATE UNIQUE INDEX incident_unresolved ON incident (fingerprint) WHERE status <> 'resolved';
CREATE INDEX incident_newest ON incident (opened_at, id);
CREATE INDEX incident_by_status ON incident (status, changed_at);

-- Numbers of episodes outlive the episodes: an id is never used twice.
CREATE TABLE episode (
    fingerprint TEXT PRIMARY KEY NOT NULL,
    last_episode BIGINT NOT NULL
);

CREATE TABLE incident_signal (
    incident TEXT NOT NULL REFERENCES incident (id) ON DELETE CASCADE,
    rule TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity BIGINT NOT NULL,
    observed DOUBLE PRECISION NOT NULL,
    threshold DOUBLE PRECISION NOT NULL,
    window_ms BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    holds_until BIGINT NOT NULL,
    PRIMARY KEY (incident, rule, subject_kind, subject)
);

CREATE TABLE participant (
    incident TEXT NOT NULL REFERENCES incident (id) ON DELETE CASCADE,
    subject_kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    events DOUBLE PRECISION NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    PRIMARY KEY (incident, subject_kind, subject)
);

CREATE TABLE timeline (
    incident TEXT NOT NULL REFERENCES incident (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    event_at BIGINT,
    actor TEXT NOT NULL,
    what TEXT NOT NULL,
    said TEXT NOT NULL,
    PRIMARY KEY (incident, seq)
);

CREATE TABLE sample (
    incident TEXT NOT NULL REFERENCES incident (id) ON DELETE CASCADE,
    at_ms BIGINT NOT NULL,
    client TEXT NOT NULL,
    said TEXT NOT NULL,
    sent_by TEXT NOT NULL,
    PRIMARY KEY (incident, at_ms, client, said, sent_by)
);

CREATE TABLE point (
    incident TEXT NOT NULL REFERENCES incident (id) ON DELETE CASCADE,
    rule TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (incident, rule, at_ms)
);

-- One row per episode and receiver integration; `waits` is 1 where there is something to tell.
CREATE TABLE outbox (
    incident TEXT NOT NULL REFERENCES incident (id) ON DELETE CASCADE,
    receiver TEXT NOT NULL,
    integration TEXT NOT NULL,
    version BIGINT NOT NULL,
    desired_revision BIGINT NOT NULL,
    desired_status TEXT NOT NULL,
    desired_severity BIGINT NOT NULL,
    told_revision BIGINT,
    told_status TEXT,
    told_severity BIGINT,
    handle TEXT,
    fate TEXT NOT NULL,
    lane BIGINT NOT NULL,
    send_resolved BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    due BIGINT NOT NULL,
    waiting_since BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    last_error TEXT,
    created_at BIGINT NOT NULL,
    waits BIGINT NOT NULL,
    lease_owner TEXT,
    lease_until BIGINT,
    PRIMARY KEY (incident, receiver, integration)
);
CREATE INDEX outbox_waiting ON outbox (receiver, integration, lane, waiting_since) WHERE waits = 1;

-- The account of rows that retention has deleted, so that the ledger goes on adding up.
CREATE TABLE ledger_past (
    receiver TEXT NOT NULL,
    fate TEXT NOT NULL,
    row_count BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    PRIMARY KEY (receiver, fate)
);

CREATE TABLE delivery (
    incident TEXT NOT NULL REFERENCES incident (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    receiver TEXT NOT NULL,
    integration TEXT NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    said TEXT,
    notification_id TEXT NOT NULL,
    took_ms BIGINT NOT NULL,
    PRIMARY KEY (incident, seq)
);

-- Without a reference to the incident: a decision may outlive it.
CREATE TABLE decision (
    id BIGINT PRIMARY KEY NOT NULL,
    network TEXT NOT NULL,
    action TEXT NOT NULL,
    mode TEXT NOT NULL,
    scenario TEXT NOT NULL,
    decided_by TEXT,
    incident TEXT,
    reason TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    deleted BIGINT,
    changed BIGINT NOT NULL
);
CREATE INDEX decision_by_network ON decision (network, expires);
CREATE INDEX decision_by_change ON decision (changed);
CREATE INDEX decision_by_expiry ON decision (expires);
CREATE INDEX decision_by_incident ON decision (incident);

-- Only the SHA-256 of a key is kept.
CREATE TABLE api_key (
    sha256 TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    created BIGINT NOT NULL,
    last_used BIGINT,
    revoked BIGINT
);
CREATE UNIQUE INDEX api_key_name ON api_key (name) WHERE revoked IS NULL;

CREATE TABLE progress (
    entry TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition_number BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    clearance BIGINT,
    next_offset BIGINT NOT NULL,
    PRIMARY KEY (entry, topic, partition_number)
);
