import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sha256 } from "../../src/kernel/index.ts";
import { codeDigest, type FileLeaf, SIGNATURE_FILE, treeDigest } from "../../src/trust/index.ts";

const segment = fc.stringMatching(/^[a-zA-Z0-9._-]{1,8}$/).filter((text) => text !== "." && text !== "..");
const anyPath = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
const leaf: fc.Arbitrary<FileLeaf> = fc.record({
  path: anyPath,
  mode: fc.constantFrom(0o644, 0o755),
  size: fc.nat(1_000_000),
  sha256: fc.string({ maxLength: 20 }).map((text) => sha256(text)),
});
const tree = fc.uniqueArray(leaf, { minLength: 1, maxLength: 12, selector: (file) => file.path });
const treeAndIndex = tree.chain((files) => fc.tuple(fc.constant(files), fc.nat(files.length - 1)));

function replaced(files: readonly FileLeaf[], index: number, change: Partial<FileLeaf>): FileLeaf[] {
  return files.map((file, at) => (at === index ? { ...file, ...change } : file));
}

function other(path: string, text: string): FileLeaf {
  return { path, mode: 0o644, size: text.length, sha256: sha256(text) };
}

describe("treeDigest", () => {
  it("does not depend on the order of the files", () => {
    fc.assert(
      fc.property(
        tree.chain((files) => fc.tuple(fc.constant(files), fc.shuffledSubarray(files, { minLength: files.length }))),
        ([files, shuffled]) => {
          expect(treeDigest(shuffled)).toBe(treeDigest(files));
          expect(codeDigest(shuffled)).toBe(codeDigest(files));
        },
      ),
    );
  });

  it("changes with the content, size, mode or name of any file [S3-86]", () => {
    fc.assert(
      fc.property(treeAndIndex, ([files, index]) => {
        const before = treeDigest(files);
        const file = files[index]!;
        expect(treeDigest(replaced(files, index, { sha256: sha256(`${file.sha256}!`) }))).not.toBe(before);
        expect(treeDigest(replaced(files, index, { size: file.size + 1 }))).not.toBe(before);
        expect(treeDigest(replaced(files, index, { mode: file.mode ^ 0o111 }))).not.toBe(before);
        expect(treeDigest(replaced(files, index, { path: `${file.path}~` }))).not.toBe(before);
      }),
    );
  });

  it("changes with a file added or taken away", () => {
    fc.assert(
      fc.property(treeAndIndex, ([files, index]) => {
        expect(treeDigest(files.filter((_, at) => at !== index))).not.toBe(treeDigest(files));
        expect(treeDigest([...files, { path: "new file", mode: 0o644, size: 0, sha256: sha256("") }])).not.toBe(
          treeDigest(files),
        );
      }),
    );
  });

  it("changes when two files swap their names", () => {
    const a: FileLeaf = { path: "a", mode: 0o644, size: 1, sha256: sha256("1") };
    const b: FileLeaf = { path: "b", mode: 0o644, size: 1, sha256: sha256("2") };
    expect(treeDigest([a, b])).not.toBe(
      treeDigest([
        { ...a, path: "b" },
        { ...b, path: "a" },
      ]),
    );
  });

  it("refuses a path that occurs twice, and one that is no text", () => {
    const file: FileLeaf = { path: "a", mode: 0o644, size: 0, sha256: sha256("") };
    expect(() => treeDigest([file, file])).toThrowError(expect.objectContaining({ code: "source_unsafe" }));
    expect(() => treeDigest([{ ...file, path: "a\ud800" }])).toThrowError(
      expect.objectContaining({ code: "source_unsafe" }),
    );
  });

  it("is pinned: the canonical form may not change between versions", () => {
    expect(treeDigest([{ path: "plugin.yml", mode: 0o644, size: 3, sha256: sha256("a: ") }])).toMatchInlineSnapshot(
      `"sha256:26f1ce348da294112041c860f242c1d7a0eb03fffac33b671c23e435a51da79c"`,
    );
  });
});

describe("codeDigest", () => {
  const code: FileLeaf = { path: "src/plugin.ts", mode: 0o644, size: 1, sha256: sha256("1") };

  it("is the same for the same code under another manifest, default configuration or package file", () => {
    const names = [
      "plugin.yml",
      "plugin.yaml",
      "plugin.json",
      "config.yml",
      "config.yaml",
      "config.json",
      "package.json",
      "package-lock.json",
    ];
    for (const name of names) {
      expect(codeDigest([code, other(name, "one")])).toBe(codeDigest([code, other(name, "two")]));
      expect(treeDigest([code, other(name, "one")])).not.toBe(treeDigest([code, other(name, "two")]));
    }
  });

  it("is, like the tree digest, the same with any signature in its one place, and with nothing else left out", () => {
    for (const digest of [codeDigest, treeDigest]) {
      expect(digest([code, other(SIGNATURE_FILE, "one")])).toBe(digest([code]));
      for (const name of [`src/${SIGNATURE_FILE}`, SIGNATURE_FILE.toUpperCase(), ".sallyport/signatures/other.json"]) {
        expect(digest([code, other(name, "one")])).not.toBe(digest([code]));
      }
    }
  });

  it("counts every other file, also one with a manifest's name in a folder", () => {
    for (const name of ["src/plugin.yml", "lib/package.json", ".sallyport/bundle.mjs", "data.csv", "Plugin.yml"]) {
      expect(codeDigest([code, other(name, "one")])).not.toBe(codeDigest([code, other(name, "two")]));
    }
  });

  it("is never a tree digest", () => {
    expect(codeDigest([code])).not.toBe(treeDigest([code]));
  });
});
