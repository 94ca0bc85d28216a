-- What quotas count, found without looking at what has ended: of keys those that were not revoked, of connect sessions those that are
-- open. Both by the time at which they end.

CREATE INDEX api_keys_live ON api_keys (tenant, expires_at) WHERE revoked_at IS NULL;
CREATE INDEX connect_sessions_open ON connect_sessions (tenant, expires_at) WHERE state = 'open';
