-- Stored plugins whose every byte was read and found right, and what the file system said of them then: what changed since is read again.
CREATE TABLE verified_trees (
  tree_digest TEXT NOT NULL PRIMARY KEY,
  stamp TEXT NOT NULL,
  verified_at INTEGER NOT NULL,
  seal TEXT
);
