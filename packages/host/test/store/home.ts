import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";
import { type Clock, systemClock } from "../../src/kernel/index.ts";
import { type Database, openDatabase } from "../../src/store/index.ts";

/** Homes in temporary directories; every store that was opened is closed and everything is removed after each test. */
export function temporaryHomes() {
  const directories: string[] = [];
  const databases: Database[] = [];
  afterEach(async () => {
    for (const database of databases.splice(0)) await database.close().catch(() => undefined);
    for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
  });
  return {
    async directory(): Promise<string> {
      const directory = await mkdtemp(join(tmpdir(), "sallyport-store-"));
      directories.push(directory);
      return directory;
    },
    async open(
      directory: string,
      options: { readonly clock?: Clock; readonly migrationsDir?: string } = {},
    ): Promise<Database> {
      const database = await openDatabase({ path: join(directory, "state.db"), clock: systemClock, ...options });
      databases.push(database);
      return database;
    },
  };
}
