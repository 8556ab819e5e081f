-- Registries that an operator added, and what was seen of each last: it never goes back.
CREATE TABLE registries (
  name TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL,
  place TEXT NOT NULL,
  public_key TEXT,
  private INTEGER NOT NULL,
  -- All five are NULL before the first look, and for npm registries.
  index_name TEXT,
  counter INTEGER,
  issued_at INTEGER,
  index_digest TEXT,
  refreshed_at INTEGER,
  added_by TEXT NOT NULL,
  added_at INTEGER NOT NULL,
  seal TEXT
);
