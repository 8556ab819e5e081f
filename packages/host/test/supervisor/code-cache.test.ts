import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type CodeCacheMarks, type CodeCaches, createCodeCaches } from "../../src/isolation/index.ts";
import {
  createLab,
  hostIsRoot,
  type Lab,
  namespaceAvailable,
  namespaceNote,
  processesMentioning,
  toolCall,
} from "./support.ts";

const ENGINE = "deno-1";
const digestOf = (digit: string): string => `sha256:${digit.repeat(64)}`;
const PADDING = Array.from({ length: 2500 }, (_, at) => `export function padding${at}(a, b) { return a + b * ${at}; }`);
/** Large enough to be worth it. */
const large = (code: string): string => `${code}\n${PADDING.join("\n")}\nglobalThis.used = padding1(1, 2);`;
const ECHO = `export default { tools: { echo: (input) => input } };`;
const NAME = "v8_code_cache_v2";
/** Tries what a path allows; with the runtime's permissions open, so that only the walls hold. */
const TRY = `
const attempt = (what) => { try { what(); return "done"; } catch { return "refused"; } };
const names = ["dep_analysis_cache_v2", "${NAME}"].flatMap((name) => [name, name + "-wal", name + "-shm"]);
`;

/** As the host takes the digest of a cache. */
function garbageMark(folder: string): string {
  const hash = createHash("sha256");
  for (const name of ["dep_analysis_cache_v2", NAME].flatMap((base) => [base, `${base}-wal`, `${base}-shm`])) {
    const bytes = readFileSync(join(folder, name));
    hash.update(`${name} ${bytes.length}\n`).update(bytes);
  }
  return hash.digest("hex");
}

describe.skipIf(!namespaceAvailable)(`the cache of compiled code${namespaceNote}`, () => {
  let lab: Lab;
  let caches: CodeCaches;
  let root: string;
  const known = new Map<string, string>();
  const marks: CodeCacheMarks = {
    get: async (digest) => known.get(digest) ?? null,
    async set(digest, mark) {
      if (mark === null) known.delete(digest);
      else known.set(digest, mark);
    },
  };
  const open = (engine = ENGINE): CodeCaches => createCodeCaches(root, { hostIsRoot, engine, marks });
  beforeAll(async () => {
    lab = await createLab();
    root = join(lab.path, "cache");
  });
  beforeEach(() => {
    caches = open();
    lab.broker.notes.length = 0;
  });
  afterAll(() => lab.close());

  const folderOf = (digit: string, engine = ENGINE): string => join(root, digit.repeat(64), engine);
  const start = (digit: string, source: string, more: object = {}) =>
    lab.start(source, { codeCaches: caches, digest: digestOf(digit), level: "namespace", ...more });
  const echoes = async (digit: string, source: string, more: object = {}): Promise<void> => {
    const process = await start(digit, source, more);
    expect((await process.call(toolCall("echo", { a: 1 }))).output).toEqual({ a: 1 });
    await process.kill("seen");
  };
  const warnings = (): string[] =>
    lab.broker.notes.map(({ params }) => JSON.stringify(params)).filter((note) => note.includes("at every start"));
  const contents = (folder: string): string[] =>
    readdirSync(folder).map((name) => readFileSync(join(folder, name), "hex"));

  it("is filled at the first start of a large bundle, and no later start changes it", async () => {
    await echoes("a", large(ECHO));
    const kept = contents(folderOf("a"));
    expect(kept).toHaveLength(6);
    expect(statSync(join(folderOf("a"), `${NAME}-wal`)).size).toBeGreaterThan(100_000);
    expect(statSync(join(folderOf("a"), NAME)).mode & 0o777).toBe(hostIsRoot ? 0o444 : 0o400);
    await echoes("a", large(ECHO));
    expect(contents(folderOf("a"))).toEqual(kept);
    expect(readdirSync(root)).toEqual(["a".repeat(64)]);
    expect(warnings()).toEqual([]);
  });

  it("is not made for a small bundle, nor at another level", async () => {
    await echoes("b", ECHO);
    if (hostIsRoot) await echoes("b", large(ECHO), { level: "runtime" });
    expect(existsSync(folderOf("b"))).toBe(false);
  });

  it("shows the plugin its own cache only, read-only, its runtime's permissions open or not", async () => {
    await echoes("a", large(ECHO));
    const kept = contents(folderOf("a"));
    const code = `${TRY}
      export default { tools: { echo: () => ({
        write: names.map((name) => attempt(() => Deno.openSync("/cache/" + name, { write: true }))),
        make: attempt(() => Deno.writeTextFileSync("/cache/more", "x")),
        remove: attempt(() => Deno.removeSync("/cache/${NAME}")),
        seen: [...Deno.readDirSync("/cache")].map(({ name }) => name).sort(),
        other: attempt(() => Deno.statSync("${root}")),
      }) } };`;
    await (await start("c", large(code), { openRuntimePermissions: true })).kill("filled");
    // As if files' modes held nothing, so that only the mount does.
    for (const name of readdirSync(folderOf("c"))) chmodSync(join(folderOf("c"), name), 0o666);
    const process = await start("c", large(code), { openRuntimePermissions: true });
    const { output } = await process.call(toolCall("echo"));
    const mine = readdirSync(folderOf("c")).toSorted();
    expect(output).toEqual({
      write: Array.from({ length: 6 }, () => "refused"),
      make: "refused",
      remove: "refused",
      seen: mine,
      other: "refused",
    });
    expect(contents(folderOf("a"))).toEqual(kept);
    const closed = await start(
      "c",
      large(`${TRY}
      export default { tools: { echo: () => attempt(() => Deno.readFileSync("/cache/${NAME}")) } };`),
    );
    expect((await closed.call(toolCall("echo"))).output).toBe("refused");
  });

  it("gives code that is only imported no configuration, no secret, no grant, and nowhere to make a file", async () => {
    const code = `${TRY}
      const made = ["/cache/more", "/tmp/more", "/plugin/more"].map((path) => attempt(() => Deno.writeTextFileSync(path, "x")));
      if (made.includes("done")) throw new Error("It wrote " + made);
      ${ECHO}`;
    await echoes("d", large(code), { openRuntimePermissions: true, config: { units: "metric" } });
    expect(warnings()).toEqual([]);
    expect(readdirSync(folderOf("d"))).toHaveLength(6);
    expect(lab.broker.requests).toEqual([]);
  });

  it.each([
    ["larger than it may be", "name", `Deno.writeFileSync("/cache/" + name, new Uint8Array(4 << 20))`],
    ["empty", "name", `Deno.truncateSync("/cache/" + name)`],
  ])(
    "is not kept, and not tried again, when the plugin made it %s; the plugin starts without",
    async (_, name, attack) => {
      const code = `${TRY} for (const ${name} of names) attempt(() => { ${attack}; });
      ${ECHO}`;
      await echoes("e", large(code), { openRuntimePermissions: true });
      expect(existsSync(folderOf("e"))).toBe(false);
      expect(warnings()).toHaveLength(1);
      await echoes("e", large(code), { openRuntimePermissions: true });
      expect(warnings()).toHaveLength(1);
      expect(readdirSync(root).filter((entry) => entry.startsWith("."))).toEqual([]);
    },
  );

  it("is not kept when the plugin hangs at its import, and leaves no process", async () => {
    const hanging = start("f", large(`for (;;);`), { bounds: { handshakeMs: 2000, importMs: 500 } });
    await expect(hanging).rejects.toMatchObject({ code: "load_failed" });
    expect(existsSync(folderOf("f"))).toBe(false);
    expect(processesMentioning(join(root, ".filling-"))).toEqual([]);
  });

  it("of another version of the engine is not used, and swept", async () => {
    await echoes("a", large(ECHO));
    const old = folderOf("a", "deno-0");
    mkdirSync(old);
    writeFileSync(join(old, NAME), "x");
    await caches.gc(new Set([digestOf("a")]));
    expect([existsSync(old), existsSync(folderOf("a"))]).toEqual([false, true]);
    caches = open("deno-2");
    await echoes("a", large(ECHO));
    expect([existsSync(folderOf("a", "deno-2")), existsSync(folderOf("a"))]).toEqual([true, false]);
  });

  it("is made anew when it is no longer what was made: a byte of it could be code that nobody approved", async () => {
    await echoes("a", large(ECHO));
    const path = join(folderOf("a"), `${NAME}-wal`);
    const made = readFileSync(path);
    const changed = Buffer.from(made);
    changed.writeUInt8(changed.readUInt8(changed.length - 100) ^ 1, changed.length - 100);
    writeFileSync(path, changed, { flag: "r+", mode: 0o600 });
    await echoes("a", large(ECHO));
    expect(readFileSync(path).equals(changed)).toBe(false);
    expect(known.get(digestOf("a"))).toMatch(/^[0-9a-f]{64}$/);
  });

  it("is given up when a start with it fails, as one does with garbage, and the next start does without", async () => {
    await echoes("a", large(ECHO));
    for (const name of readdirSync(folderOf("a"))) {
      const path = join(folderOf("a"), name);
      writeFileSync(path, Buffer.alloc(statSync(path).size, "garbage"), { flag: "r+", mode: 0o600 });
    }
    // As if it had been made like this.
    known.set(digestOf("a"), garbageMark(folderOf("a")));
    const failing = start("a", large(ECHO), { bounds: { handshakeMs: 500 } });
    await expect(failing).rejects.toMatchObject({ code: "handshake_failed" });
    await echoes("a", large(ECHO));
    expect(existsSync(folderOf("a"))).toBe(false);
  });

  it("goes with its digest: removed, or named by nobody any more", async () => {
    await echoes("1", large(ECHO));
    await echoes("2", large(ECHO));
    await caches.remove(digestOf("1"));
    expect(existsSync(join(root, "1".repeat(64)))).toBe(false);
    await caches.gc(new Set());
    expect([readdirSync(root), [...known]]).toEqual([[], []]);
  });
});
