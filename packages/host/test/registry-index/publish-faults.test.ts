import { execFile } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readIndexOf } from "../../src/registry/index-build.ts";
import { exportSigningKey } from "../../src/trust/index.ts";
import { sha256 } from "../../src/kernel/index.ts";
import { temporaryFolder } from "../registry/plugin-folder.ts";
import { addArchive, KEEPER, registryFolder } from "./support.ts";

const CHILD = fileURLToPath(new URL("./publish-child.mjs", import.meta.url));
const NOBODY = "65534";

let place: string;
let before: string;
let archive: string;
let keyFile: string;
beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), "sallyport-test-"));
  before = join(place, "before");
  const elsewhere = join(place, "elsewhere");
  mkdirSync(elsewhere);
  cpSync(await registryFolder(), before, { recursive: true });
  // Larger than the limit of a file's size below, and not to be compressed.
  const noise = Array.from({ length: 3000 }, (_, at) => sha256(String(at))).join("");
  archive = join(
    elsewhere,
    await addArchive(elsewhere, {
      version: "1.1.0",
      code: `export default { tools: { look: () => ({ noise: "${noise}" }) } };`,
    }),
  );
  keyFile = join(elsewhere, "key.pem");
  writeFileSync(keyFile, exportSigningKey(KEEPER), { mode: 0o600 });
});

afterAll(() => rmSync(place, { recursive: true, force: true }));

function folderBefore(): string {
  const folder = temporaryFolder();
  cpSync(before, folder, { recursive: true });
  return folder;
}

function publish(folder: string, { fatal = 0, snapshots = "", limit = "", uid = "" } = {}): Promise<string> {
  return new Promise((resolve) => {
    const command = ["-c", `${limit}exec "$0" "$@"`, process.execPath, CHILD, folder, archive, keyFile, String(fatal)];
    execFile("/bin/bash", [...command, snapshots, uid], (error, stdout) => resolve(error?.signal ?? stdout));
  });
}

/** What a reader of the registry is offered: an index that holds, and each archive that it names as it names it. */
async function offered(folder: string): Promise<readonly string[]> {
  const index = await readIndexOf(folder, KEEPER.id);
  return (index?.entries ?? []).map((entry) => {
    expect(sha256(readFileSync(join(folder, entry.file)))).toBe(entry.sha256);
    return entry.version;
  });
}

const leftOvers = (folder: string): readonly string[] =>
  readdirSync(folder).filter((name) => name.endsWith(".part") || name === ".registry.lock");

describe("publishing", () => {
  it("killed with -9 before any one of its changes offers what was there or all of the new, and is finished by publishing again", async () => {
    const snapshots = temporaryFolder();
    const whole = await publish(folderBefore(), { snapshots });
    const changes = Number(/^published (\d+)$/.exec(whole)?.[1]);
    expect(changes).toBeGreaterThan(10);
    const ends = new Set<string>();
    for (let change = 1; change <= changes; change++) {
      const versions = (await offered(join(snapshots, String(change)))).toSorted();
      expect([["1.0.0"], ["1.0.0", "1.1.0"]]).toContainEqual(versions);
      ends.add(versions.join());
    }
    expect(ends.size).toBe(2);

    const folder = folderBefore();
    for (const fatal of [4, changes - 6]) {
      expect(await publish(folder, { fatal })).toBe("SIGKILL");
      expect(leftOvers(folder)).not.toEqual([]);
    }
    expect(await publish(folder)).toMatch(/^published/);
    expect((await offered(folder)).toSorted()).toEqual(["1.0.0", "1.1.0"]);
    expect(leftOvers(folder)).toEqual([]);
  });

  it("without room on the disk offers what was there, and leaves nothing of the new", async () => {
    const folder = folderBefore();
    const files = readdirSync(folder).toSorted();
    // In blocks of 1024 bytes.
    expect(await publish(folder, { limit: "ulimit -f 32; " })).toMatch(/^failed/);
    expect(readdirSync(folder).toSorted()).toEqual(files);
    expect(await offered(folder)).toEqual(["1.0.0"]);
  });

  it("without the right to write says so, and leaves the folder as it was", async () => {
    const folder = folderBefore();
    const files = readdirSync(folder).toSorted();
    chmodSync(folder, 0o555);
    try {
      expect(await publish(folder, { uid: NOBODY })).toBe("failed usage");
    } finally {
      chmodSync(folder, 0o755);
    }
    expect(readdirSync(folder).toSorted()).toEqual(files);
    expect(await offered(folder)).toEqual(["1.0.0"]);
  });
});
