-- Publishers' keys that an operator trusts. A key is its own id; a removed key is a removed row, a revoked one is in `revocations`.
CREATE TABLE trusted_keys (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  expires_at INTEGER,
  replaces TEXT,
  added_by TEXT NOT NULL,
  added_at INTEGER NOT NULL,
  seal TEXT
);

-- What came with a plugin, as it came: verified again at every load.
ALTER TABLE plugins ADD COLUMN signature TEXT;
ALTER TABLE plugins ADD COLUMN provenance TEXT;
-- HMAC of the row by PLUGIN_SECRET_KEY, when there is one.
ALTER TABLE plugins ADD COLUMN seal TEXT;
ALTER TABLE grants ADD COLUMN seal TEXT;
