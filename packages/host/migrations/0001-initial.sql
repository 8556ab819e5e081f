CREATE TABLE plugins (
  id TEXT NOT NULL,
  version TEXT NOT NULL,
  tree_digest TEXT NOT NULL,
  manifest_digest TEXT NOT NULL,
  code_digest TEXT NOT NULL,
  publisher_key TEXT,
  manifest TEXT NOT NULL,
  source TEXT NOT NULL,
  root TEXT NOT NULL,
  bundle TEXT NOT NULL,
  defaults TEXT NOT NULL,
  state TEXT NOT NULL,
  active INTEGER NOT NULL CHECK (active IN (0, 1)),
  installed_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  last_error TEXT,
  execution_count INTEGER NOT NULL DEFAULT 0,
  error_count INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (id, version, tree_digest)
);
CREATE UNIQUE INDEX plugins_one_active ON plugins (id) WHERE active = 1;
CREATE INDEX plugins_code ON plugins (code_digest);
CREATE INDEX plugins_tree ON plugins (tree_digest);

CREATE TABLE plugin_config (
  plugin_id TEXT NOT NULL PRIMARY KEY,
  config TEXT NOT NULL,
  updated_by TEXT NOT NULL,
  updated_at INTEGER NOT NULL
);

CREATE TABLE grants (
  id TEXT NOT NULL PRIMARY KEY,
  plugin_id TEXT NOT NULL,
  version TEXT NOT NULL,
  manifest_digest TEXT NOT NULL,
  tree_digest TEXT NOT NULL,
  scopes TEXT NOT NULL,
  granted_by TEXT NOT NULL,
  granted_at INTEGER NOT NULL,
  expires_at INTEGER,
  withdrawn_at INTEGER,
  withdrawn_by TEXT
);
CREATE INDEX grants_plugin ON grants (plugin_id, version, tree_digest);

CREATE TABLE allow_list (
  plugin_id TEXT NOT NULL PRIMARY KEY,
  version_range TEXT,
  tree_digest TEXT,
  publisher TEXT,
  added_by TEXT NOT NULL,
  added_at INTEGER NOT NULL
);

CREATE TABLE ceilings (
  plugin_id TEXT NOT NULL PRIMARY KEY,
  scopes TEXT NOT NULL,
  set_by TEXT NOT NULL,
  set_at INTEGER NOT NULL
);

CREATE TABLE tool_rules (
  tool TEXT NOT NULL,
  agent TEXT NOT NULL,
  decision TEXT NOT NULL CHECK (decision IN ('allow', 'require_approval', 'deny')),
  set_by TEXT NOT NULL,
  set_at INTEGER NOT NULL,
  PRIMARY KEY (tool, agent)
);

CREATE TABLE revocations (
  kind TEXT NOT NULL CHECK (kind IN ('id', 'tree_digest', 'code_digest', 'publisher_key')),
  value TEXT NOT NULL,
  plugin_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  revoked_by TEXT NOT NULL,
  revoked_at INTEGER NOT NULL,
  PRIMARY KEY (kind, value)
);

CREATE TABLE approvals (
  id TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('plugin', 'call')),
  state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'consumed')),
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  decided_at INTEGER,
  decided_by TEXT,
  reason TEXT,
  plugin_id TEXT NOT NULL,
  plugin_version TEXT NOT NULL,
  plugin_digest TEXT NOT NULL,
  tool TEXT,
  agent TEXT,
  input_digest TEXT,
  definition_digest TEXT,
  policy_snapshot TEXT,
  input TEXT,
  uses_left INTEGER CHECK (uses_left >= 0),
  sentence TEXT NOT NULL
);
CREATE INDEX approvals_state ON approvals (state, created_at);
CREATE INDEX approvals_call ON approvals (input_digest, tool, agent);
CREATE INDEX approvals_plugin ON approvals (plugin_id, kind, state);

CREATE TABLE kv (
  plugin_id TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (plugin_id, key)
);

CREATE TABLE settings (
  key TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
);

-- The log itself: one row an event, nothing that is not under the hash. prev_hash is the hash of the row before.
CREATE TABLE audit_events (
  seq INTEGER NOT NULL PRIMARY KEY,
  hash TEXT NOT NULL,
  body TEXT NOT NULL
);

-- What queries filter by, derived from the bodies a little later, so that an append pays for no index.
CREATE TABLE audit_index (
  seq INTEGER NOT NULL PRIMARY KEY,
  time INTEGER NOT NULL,
  type TEXT NOT NULL,
  plugin_id TEXT,
  agent TEXT,
  tool TEXT,
  call_id TEXT,
  outcome TEXT
);
CREATE INDEX audit_index_type ON audit_index (type);
CREATE INDEX audit_index_plugin ON audit_index (plugin_id);
CREATE INDEX audit_index_agent ON audit_index (agent);
CREATE INDEX audit_index_tool ON audit_index (tool);
CREATE INDEX audit_index_call ON audit_index (call_id);

CREATE TABLE audit_checkpoints (
  seq INTEGER NOT NULL PRIMARY KEY,
  hash TEXT NOT NULL,
  signature TEXT NOT NULL,
  at INTEGER NOT NULL
);
