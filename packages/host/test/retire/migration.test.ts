import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sql } from "kysely";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/kernel/index.ts";
import { createKvStore, findConfig, listDataSpaces, openDatabase } from "../../src/store/index.ts";

const MIGRATIONS = fileURLToPath(new URL("../../migrations/", import.meta.url));
const BEFORE = ["0001-initial.sql", "0002-trust.sql", "0003-origin.sql"];

let folder: string;
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("a home from before data had owners", () => {
  it("gives what was kept to the version that used it, and what nobody uses to nobody", async () => {
    folder = await mkdtemp(join(tmpdir(), "sallyport-migrate-"));
    const migrationsDir = join(folder, "migrations");
    await mkdir(migrationsDir);
    for (const name of BEFORE) await cp(join(MIGRATIONS, name), join(migrationsDir, name));
    const path = join(folder, "state.db");
    const old = await openDatabase({ path, clock: systemClock, migrationsDir });
    const plugins = [
      ["signed", "1.0.0", "a", "ed25519:k", "archive:/a.tgz", 0, 1],
      ["signed", "2.0.0", "b", "ed25519:other", "archive:/b.tgz", 1, 2],
      ["folder", "1.0.0", "c", null, "directory:/plugins/folder", 1, 3],
      ["packed", "1.0.0", "d", null, "archive:/d.tgz", 0, 4],
    ] as const;
    for (const [id, version, digest, key, source, active, at] of plugins) {
      await sql`INSERT INTO plugins (id, version, tree_digest, manifest_digest, code_digest, publisher_key, manifest, source, root, bundle,
        defaults, state, active, installed_at, updated_at) VALUES (${id}, ${version}, ${digest}, 'm', 'c', ${key}, '{}', ${source}, '/r', 'b',
        '{}', 'stopped', ${active}, ${at}, ${at})`.execute(old.query);
    }
    for (const id of ["signed", "folder", "gone"]) {
      await sql`INSERT INTO kv (plugin_id, key, value, bytes) VALUES (${id}, 'k', '1', 2)`.execute(old.query);
    }
    await sql`INSERT INTO plugin_config VALUES ('signed', '{"a":1}', 'ann', 1)`.execute(old.query);
    await old.close();

    const now = await openDatabase({ path, clock: systemClock });
    const claims = (await listDataSpaces(now))
      .map(({ pluginId, owner, space }) => [pluginId, owner, space])
      .toSorted((a, b) => a.join().localeCompare(b.join()));
    expect(claims).toEqual([
      ["folder", "unsigned:directory:/plugins/folder", "folder"],
      ["gone", "unknown", "gone"],
      ["packed", "unsigned:d", "packed"],
      ["signed", "ed25519:other", "signed"],
    ]);
    expect(await createKvStore(now).get("signed", "k")).toBe("1");
    expect((await findConfig(now, "signed"))?.values).toEqual({ a: 1 });
    await now.close();
  });
});
