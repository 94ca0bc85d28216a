-- Finds the keys that a key has made, to revoke them with it.

CREATE INDEX api_keys_by_maker ON api_keys (created_by);
