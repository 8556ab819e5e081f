-- Rules that operators added for a time: a layer of policy that lifts no deny and is gone at its end.
CREATE TABLE policy_overrides (
  id TEXT NOT NULL PRIMARY KEY,
  rule TEXT NOT NULL,
  ends_at INTEGER NOT NULL,
  set_by TEXT NOT NULL,
  set_at INTEGER NOT NULL
);
