-- What a plugin keeps (keys, files, the operator's values) belongs to an id and an owner: the publisher's key, or for an unsigned
-- plugin the place that it came from. A space is where it is kept. Two owners share one only by an operator's word.
CREATE TABLE data_spaces (
  plugin_id TEXT NOT NULL,
  owner TEXT NOT NULL,
  space TEXT NOT NULL,
  claimed_at INTEGER NOT NULL,
  PRIMARY KEY (plugin_id, owner)
);
CREATE INDEX data_spaces_space ON data_spaces (space);

ALTER TABLE kv RENAME COLUMN plugin_id TO space;
ALTER TABLE plugin_config RENAME COLUMN plugin_id TO space;

-- What was kept by id alone goes to the version that used it: the active one, else the newest.
INSERT INTO data_spaces (plugin_id, owner, space, claimed_at)
SELECT id, coalesce(publisher_key, 'unsigned:' || CASE WHEN source LIKE 'directory:%' THEN source ELSE tree_digest END), id, installed_at
FROM plugins AS p
WHERE NOT EXISTS (
  SELECT 1 FROM plugins AS q
  WHERE q.id = p.id AND (q.active, q.installed_at, q.version, q.tree_digest) > (p.active, p.installed_at, p.version, p.tree_digest)
);

-- What a plugin left that is not installed any more waits for an operator's word.
INSERT INTO data_spaces (plugin_id, owner, space, claimed_at)
SELECT space, 'unknown', space, 0 FROM (SELECT space FROM kv UNION SELECT space FROM plugin_config)
WHERE space NOT IN (SELECT plugin_id FROM data_spaces);
