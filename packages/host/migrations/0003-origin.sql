-- Where a version came from and how its hashes were learned, for plugin.lock.json. NULL: installed before there was a lock.
ALTER TABLE plugins ADD COLUMN origin TEXT;
