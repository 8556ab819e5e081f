-- Who asked, by what rule and through which plugins; how far a yes reaches; how a request ended. Two more states.
CREATE TABLE approvals_next (
  id TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('plugin', 'call')),
  state TEXT NOT NULL CHECK (
    state IN ('pending', 'approved', 'denied', 'expired', 'cancelled', 'consumed', 'withdrawn')
  ),
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
  operator TEXT,
  token TEXT,
  via TEXT,
  input_digest TEXT,
  definition_digest TEXT,
  policy_snapshot TEXT,
  rule TEXT,
  input TEXT,
  facts TEXT,
  scope TEXT,
  -- 1: it covers other inputs than the one that was asked about.
  wide INTEGER NOT NULL DEFAULT 0 CHECK (wide IN (0, 1)),
  uses_left INTEGER CHECK (uses_left >= 0),
  uses INTEGER NOT NULL DEFAULT 0,
  ended_at INTEGER,
  ended_by TEXT,
  ended_reason TEXT,
  sentence TEXT NOT NULL
);
INSERT INTO approvals_next (
  id, kind, state, created_at, expires_at, decided_at, decided_by, reason, plugin_id, plugin_version, plugin_digest, tool, agent,
  input_digest, definition_digest, policy_snapshot, input, uses_left, sentence
)
SELECT
  id, kind, state, created_at, expires_at, decided_at, decided_by, reason, plugin_id, plugin_version, plugin_digest, tool, agent,
  input_digest, definition_digest, policy_snapshot, input, uses_left, sentence
FROM approvals;
DROP TABLE approvals;
ALTER TABLE approvals_next RENAME TO approvals;
CREATE INDEX approvals_state ON approvals (state, created_at);
CREATE INDEX approvals_call ON approvals (tool, agent, state);
CREATE INDEX approvals_plugin ON approvals (plugin_id, kind, state);

-- How often an operator was asked, against calls that ran, for people.
CREATE TABLE prompt_counts (
  agent TEXT NOT NULL PRIMARY KEY,
  calls INTEGER NOT NULL DEFAULT 0,
  prompts INTEGER NOT NULL DEFAULT 0
);
