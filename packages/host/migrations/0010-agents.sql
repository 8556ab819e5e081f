-- Profiles of agents that operators set at run time: a layer over `agents.profiles` of config.yml.
CREATE TABLE agents (
  name TEXT NOT NULL PRIMARY KEY,
  profile TEXT NOT NULL,
  set_by TEXT NOT NULL,
  set_at INTEGER NOT NULL
);

-- Credentials. Of a token only its hash is kept. Rows stay after a revocation, so that nobody wonders what became of one.
CREATE TABLE tokens (
  id TEXT NOT NULL PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  -- Whether the operators' passphrase was asked for when it was made.
  guarded INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  last_used_at INTEGER,
  ended_at INTEGER,
  ended_by TEXT
);

-- Tools above `read` that agents may use at all; what a yes to a plugin names, and what an operator adds.
CREATE TABLE enabled_tools (
  tool TEXT NOT NULL PRIMARY KEY,
  set_by TEXT NOT NULL,
  set_at INTEGER NOT NULL
);

-- Until now a yes to a plugin was enough: what was said then still counts.
INSERT INTO enabled_tools (tool, set_by, set_at)
SELECT DISTINCT replace(plugins.id, '/', '_') || '__' || json_extract(tools.value, '$.name'), allow_list.added_by, allow_list.added_at
FROM plugins
JOIN allow_list ON allow_list.plugin_id = plugins.id
JOIN json_each(plugins.manifest, '$.tools') AS tools
WHERE true
ON CONFLICT (tool) DO NOTHING;
