-- 1: the operator said yes to this code running in the host's own process.
ALTER TABLE grants ADD COLUMN in_process INTEGER NOT NULL DEFAULT 0;
