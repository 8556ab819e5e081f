import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, cp, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { createSettings } from "../../src/store/index.ts";
import { temporaryHomes } from "./home.ts";

const homes = temporaryHomes();
const DIST = new URL("../../dist/", import.meta.url).href;
const MIGRATIONS = fileURLToPath(new URL("../../migrations/", import.meta.url));

/** Another process that opens the store and says `open`, or the code of the refusal. */
async function otherProcess(directory: string) {
  const script = `
    import { openDatabase } from "${DIST}store/index.js";
    import { systemClock } from "${DIST}kernel/index.js";
    const says = await openDatabase({ path: process.argv[1], clock: systemClock }).then(() => "open", (error) => error.code);
    process.stdout.write(says + "\\n");
    if (says === "open") setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script, join(directory, "state.db")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = once(child, "close");
  const [line] = await once(child.stdout, "data");
  return {
    says: String(line).trim(),
    async kill() {
      child.kill("SIGKILL");
      await closed;
    },
  };
}

describe("opening a store", () => {
  it("creates files that only the owner can read", async () => {
    const home = await homes.directory();
    const database = await homes.open(home);
    await createSettings(database).set("a", "b");
    for (const name of await readdir(home)) expect((await stat(join(home, name))).mode & 0o777, name).toBe(0o600);
  });

  it("narrows the mode of an existing file", async () => {
    const home = await homes.directory();
    await (await homes.open(home)).close();
    await chmod(join(home, "state.db"), 0o644);
    await homes.open(home);
    expect((await stat(join(home, "state.db"))).mode & 0o777).toBe(0o600);
  });

  it("refuses a link in the place of the file", async () => {
    const home = await homes.directory();
    await writeFile(join(home, "elsewhere"), "");
    await symlink(join(home, "elsewhere"), join(home, "state.db"));
    await expect(homes.open(home)).rejects.toMatchObject({ code: "home_unsafe" });
  });

  it("refuses a file that is no store", async () => {
    const home = await homes.directory();
    await writeFile(join(home, "state.db"), "x".repeat(10_000));
    await expect(homes.open(home)).rejects.toMatchObject({ code: "store_unavailable" });
  });

  it("lets one process own a home, even after a refused try in the owner itself", async () => {
    const home = await homes.directory();
    await homes.open(home);
    await expect(homes.open(home)).rejects.toMatchObject({
      code: "home_locked",
      fix: expect.stringContaining("--home"),
    });
    const other = await otherProcess(home);
    await other.kill();
    expect(other.says).toBe("home_locked");
  });

  it("is free again after kill -9 of the owner", async () => {
    const home = await homes.directory();
    const other = await otherProcess(home);
    expect(other.says).toBe("open");
    await expect(homes.open(home)).rejects.toMatchObject({ code: "home_locked" });
    await other.kill();
    await homes.open(home);
  });

  it("keeps what was written over a restart", async () => {
    const home = await homes.directory();
    const first = await homes.open(home);
    await createSettings(first).set("name", "välue");
    await first.close();
    expect(await createSettings(await homes.open(home)).get("name")).toBe("välue");
  });

  it("answers store_unavailable after it was closed", async () => {
    const database = await homes.open(await homes.directory());
    await database.close();
    await expect(createSettings(database).get("a")).rejects.toMatchObject({ code: "store_unavailable" });
  });

  it("writes a copy that opens by itself", async () => {
    const home = await homes.directory();
    const copyHome = await homes.directory();
    const database = await homes.open(home);
    await createSettings(database).set("a", "b");
    await database.backup(join(copyHome, "state.db"));
    expect((await stat(join(copyHome, "state.db"))).mode & 0o777).toBe(0o600);
    expect(await createSettings(await homes.open(copyHome)).get("a")).toBe("b");
    await createSettings(database).set("a", "still the owner");
  });
});

async function withSecond(sql: string): Promise<string> {
  const directory = join(await homes.directory(), "migrations");
  await mkdir(directory);
  await cp(MIGRATIONS, directory, { recursive: true });
  await writeFile(join(directory, "9001-second.sql"), sql);
  return directory;
}

describe("migrations", () => {
  it("applies a new one after a copy of the store", async () => {
    const home = await homes.directory();
    const old = await homes.open(home);
    await createSettings(old).set("a", "b");
    await old.close();
    const migrationsDir = await withSecond("ALTER TABLE settings ADD COLUMN note TEXT;");
    await (await homes.open(home, { migrationsDir, clock: { now: () => 7, monotonic: () => 0 } })).close();
    const copy = (await readdir(home)).find((name) => name.startsWith("state.db.before-"));
    expect(copy).toBe("state.db.before-9001-7");
    expect((await readFile(join(home, copy ?? ""))).subarray(0, 15).toString()).toBe("SQLite format 3");
    expect((await stat(join(home, copy ?? ""))).mode & 0o777).toBe(0o600);
  });

  it("refuses a store that a newer program wrote", async () => {
    const home = await homes.directory();
    const migrationsDir = await withSecond("CREATE TABLE later (a TEXT);");
    await (await homes.open(home, { migrationsDir })).close();
    await expect(homes.open(home)).rejects.toMatchObject({ code: "schema_newer" });
  });

  it("refuses when an applied migration was edited", async () => {
    const home = await homes.directory();
    await (await homes.open(home, { migrationsDir: await withSecond("CREATE TABLE later (a TEXT);") })).close();
    const migrationsDir = await withSecond("CREATE TABLE later (b TEXT);");
    await expect(homes.open(home, { migrationsDir })).rejects.toMatchObject({ code: "store_unavailable" });
  });

  it("leaves nothing of one that fails", async () => {
    const home = await homes.directory();
    await (await homes.open(home)).close();
    const migrationsDir = await withSecond("CREATE TABLE later (a TEXT); INSERT INTO nowhere VALUES (1);");
    await expect(homes.open(home, { migrationsDir })).rejects.toMatchObject({ code: "internal" });
    await homes.open(home);
  });
});
