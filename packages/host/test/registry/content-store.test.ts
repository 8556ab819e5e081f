import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { sha256 } from "../../src/kernel/index.ts";
import { createContentStore, type SourceFile } from "../../src/registry/index.ts";
import { treeDigest } from "../../src/trust/index.ts";
import { refusal, temporaryFolder } from "./plugin-folder.ts";

function file(path: string, text: string, mode = 0o644): SourceFile {
  const bytes = Buffer.from(text);
  return { path, mode, size: bytes.length, sha256: sha256(bytes), bytes };
}

const tree = [
  file("plugin.yml", "id: a"),
  file("src/deep/plugin.ts", "export default 1;"),
  file("bin/run", "#!", 0o755),
];

async function storeWith(files: readonly SourceFile[] = tree, readableByAll = false) {
  const root = join(temporaryFolder(), "store");
  const store = await createContentStore(root, { readableByAll });
  return { root, store, stored: await store.put(files) };
}

const modeOf = (path: string): number => lstatSync(path).mode & 0o7777;

describe("a content store", () => {
  it("keeps exactly the bytes whose digest it answers, read-only [S2-44]", async () => {
    const { store, stored, root } = await storeWith();
    expect(stored).toEqual({
      digest: treeDigest(tree),
      root: join(root, stored.digest.slice(7), "files"),
      created: true,
    });
    expect(readFileSync(join(stored.root, "src/deep/plugin.ts"), "utf8")).toBe("export default 1;");
    expect(modeOf(stored.root)).toBe(0o700);
    expect(modeOf(join(stored.root, "src"))).toBe(0o700);
    expect(modeOf(join(stored.root, "plugin.yml"))).toBe(0o400);
    expect(modeOf(join(stored.root, "bin/run"))).toBe(0o500);
    expect(modeOf(root)).toBe(0o700);
    expect(await store.list()).toEqual([stored.digest]);
    const verified = await store.verify(stored.digest);
    expect(treeDigest(verified)).toBe(stored.digest);
  });

  it("lets everyone read, and nobody write, when plugins run under another uid", async () => {
    const { store, stored, root } = await storeWith(tree, true);
    expect([
      modeOf(root),
      modeOf(stored.root),
      modeOf(join(stored.root, "plugin.yml")),
      modeOf(join(stored.root, "bin/run")),
    ]).toEqual([0o755, 0o755, 0o444, 0o555]);
    await store.verify(stored.digest);
  });

  it("names the file, what was expected and what is there, when a byte changed [S2-44] [S3-86]", async () => {
    const { store, stored } = await storeWith();
    const path = join(stored.root, "src/deep/plugin.ts");
    chmodSync(path, 0o600);
    writeFileSync(path, "export default 2;");
    chmodSync(path, 0o400);
    expect(await refusal(store.verify(stored.digest))).toMatchObject({
      code: "digest_mismatch",
      data: { file: "src/deep/plugin.ts", expected: sha256("export default 1;"), actual: sha256("export default 2;") },
    });
  });

  it.each<[string, (root: string) => void, string]>([
    ["added", (root) => writeFileSync(join(root, "src/extra.ts"), "", { mode: 0o400 }), "src/extra.ts"],
    ["removed", (root) => rmSync(join(root, "bin/run")), "bin/run"],
    ["renamed", (root) => renameSync(join(root, "plugin.yml"), join(root, "plugin.yaml")), "plugin.yml"],
    ["made executable", (root) => chmodSync(join(root, "plugin.yml"), 0o500), "plugin.yml"],
    ["made writable", (root) => chmodSync(join(root, "plugin.yml"), 0o600), "plugin.yml"],
    [
      "replaced by a link",
      (root) => {
        rmSync(join(root, "plugin.yml"));
        symlinkSync("/etc/hostname", join(root, "plugin.yml"));
      },
      "plugin.yml",
    ],
  ])("notices a file that was %s [S2-44]", async (_, change, name) => {
    const { store, stored } = await storeWith();
    change(stored.root);
    expect(await refusal(store.verify(stored.digest))).toMatchObject({ code: "digest_mismatch", data: { file: name } });
  });

  it("notices a folder that was opened to others", async () => {
    const { store, stored } = await storeWith();
    chmodSync(join(stored.root, "src"), 0o777);
    expect(await refusal(store.verify(stored.digest))).toMatchObject({
      code: "digest_mismatch",
      data: { file: "src" },
    });
  });

  it("believes no list of files but the one of the digest", async () => {
    const { root, store, stored } = await storeWith();
    const home = join(root, stored.digest.slice(7));
    const other = await store.put([file("plugin.yml", "id: other")]);
    for (const text of [
      readFileSync(join(root, other.digest.slice(7), "index.json"), "utf8"),
      "[]",
      "{}",
      "no JSON",
      '[{"path": 1}]',
    ]) {
      chmodSync(join(home, "index.json"), 0o600);
      writeFileSync(join(home, "index.json"), text);
      expect(await refusal(store.verify(stored.digest)), text).toMatchObject({ code: "digest_mismatch" });
    }
    rmSync(join(home, "index.json"));
    expect(await refusal(store.verify(stored.digest))).toMatchObject({ code: "digest_mismatch" });
  });

  it("stores a tree once, and repairs one that was damaged", async () => {
    const { store, stored } = await storeWith();
    expect(await store.put(tree.toReversed())).toEqual({ ...stored, created: false });
    rmSync(join(stored.root, "bin/run"));
    expect(await store.put(tree)).toEqual(stored);
    await store.verify(stored.digest);
  });

  it("finds a file that was added as evidence, which no digest covers", async () => {
    const { root, store, stored } = await storeWith();
    const hidden = file(".sallyport/signatures/plugin.json", "import os");
    const list = [...tree, hidden].map(({ path, mode, size, sha256: digest }) => ({
      path,
      mode,
      size,
      sha256: digest,
    }));
    const index = join(root, stored.digest.slice(7), "index.json");
    chmodSync(index, 0o600);
    writeFileSync(index, JSON.stringify(list));
    mkdirSync(join(stored.root, ".sallyport/signatures"), { recursive: true, mode: 0o700 });
    writeFileSync(join(stored.root, hidden.path), hidden.bytes, { mode: 0o400 });
    expect(await refusal(store.verify(stored.digest))).toMatchObject({ code: "digest_mismatch" });
  });

  it("takes the same tree from several at once", async () => {
    const { root, store } = await storeWith([file("plugin.yml", "first")]);
    const answers = await Promise.all([store.put(tree), store.put(tree), store.put(tree)]);
    expect(answers.filter((answer) => answer.created)).toHaveLength(1);
    for (const { digest } of answers) await store.verify(digest);
    expect(readdirSync(root)).toHaveLength(2);
  });

  it("leaves nothing when a file cannot be written", async () => {
    const { root, store } = await storeWith([file("plugin.yml", "first")]);
    const before = readdirSync(root);
    await expect(store.put([file("a", "1"), file("a/b", "2")])).rejects.toThrow();
    expect(readdirSync(root)).toEqual(before);
  });

  it("clears what a crash left half written, and keeps the rest", async () => {
    const { root, store, stored } = await storeWith();
    const half = join(root, ".staging-0123456789abcdef");
    mkdirSync(join(half, "files/src"), { recursive: true });
    writeFileSync(join(half, "files/src/half"), "ha", { mode: 0o400 });
    expect(await store.list()).toEqual([stored.digest]);
    const again = await createContentStore(root, { readableByAll: false });
    expect(readdirSync(root)).toEqual([stored.digest.slice(7)]);
    await again.verify(stored.digest);
  });

  it("removes one, and all but those to keep", async () => {
    const { root, store, stored } = await storeWith();
    const second = await store.put([file("plugin.yml", "2")]);
    const third = await store.put([file("plugin.yml", "3")]);
    await store.remove(second.digest);
    await store.remove(second.digest);
    expect(await store.has(second.digest)).toBe(false);
    expect(await refusal(store.verify(second.digest))).toMatchObject({ code: "not_found" });
    expect(await store.gc(() => new Set([stored.digest]))).toEqual([third.digest]);
    expect(readdirSync(root)).toEqual([stored.digest.slice(7)]);
    await store.verify(stored.digest);
  });

  it("takes nothing for a digest that is none", async () => {
    const { root, store } = await storeWith();
    for (const digest of [
      "../../etc",
      "",
      "sha256:",
      `sha256:${"A".repeat(64)}`,
      `sha256:sha256:${"a".repeat(64)}`,
      "a".repeat(64),
    ]) {
      expect(() => store.pathOf(digest), digest).toThrowError(expect.objectContaining({ code: "usage" }));
      await expect(store.remove(digest)).rejects.toThrow();
    }
    expect(readdirSync(root)).toHaveLength(1);
  });
});
