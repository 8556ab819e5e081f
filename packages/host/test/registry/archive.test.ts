import { spawnSync } from "node:child_process";
import { hash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateRawSync, gzipSync } from "node:zlib";
import * as nodeTar from "tar";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sha256 } from "../../src/kernel/index.ts";
import { openArchive, openSource, SOURCE_LIMITS } from "../../src/registry/index.ts";
import { SIGNATURE_FILE } from "../../src/trust/index.ts";
import { END, entry, pax, tar, type TarEntry, tgz } from "./hostile-tar.ts";
import { isRoot, pluginFolder, refusal, temporaryFolder } from "./plugin-folder.ts";

const plain: readonly TarEntry[] = [
  { name: "plugin.yml", body: "id: demo" },
  { name: "src/plugin.ts", body: "export default {};" },
];

describe("openArchive", () => {
  it("reads files with their bytes, modes and digests, and its own integrity", async () => {
    const bytes = tgz([...plain, { name: "run.sh", body: "#!/bin/sh", mode: 0o755 }]);
    const opened = await openArchive(bytes);
    expect(opened.files.map(({ path, mode, size, sha256: digest }) => [path, mode, size, digest])).toEqual([
      ["plugin.yml", 0o644, 8, sha256("id: demo")],
      ["run.sh", 0o755, 9, sha256("#!/bin/sh")],
      ["src/plugin.ts", 0o644, 18, sha256("export default {};")],
    ]);
    expect(opened).toMatchObject({ kind: "archive", root: undefined, packages: [] });
    expect(opened.integrity).toBe(`sha512-${hash("sha512", bytes, "base64")}`);
  });

  it("reads what GNU tar, npm's tar and git's kind of archive write", async () => {
    const folder = pluginFolder({ "plugin.yml": "id: demo", "src/plugin.ts": "export default {};" });
    const gnu = spawnSync("tar", ["-C", folder, "-czf", "-", "."]).stdout;
    const posix = spawnSync("tar", ["--format=posix", "-C", folder, "-cf", "-", "."]).stdout;
    const file = join(temporaryFolder(), "npm.tgz");
    await nodeTar.create({ cwd: folder, gzip: true, portable: true, file, prefix: "package/" }, ["."]);
    const git = tar([{ name: "pax_global_header", type: "g", body: pax("comment", "a".repeat(40)) }, ...plain]);
    for (const bytes of [gnu, posix, readFileSync(file), git])
      expect((await openArchive(bytes)).files.map(({ path }) => path)).toEqual(["plugin.yml", "src/plugin.ts"]);
  });

  it("leaves out .git, and keeps node_modules apart, for the bundler alone", async () => {
    const opened = await openArchive(
      tgz([...plain, { name: ".git/config", body: "x" }, { name: "node_modules/dep/index.js", body: "1" }]),
    );
    expect(opened.files.map(({ path }) => path)).toEqual(["plugin.yml", "src/plugin.ts"]);
    expect(opened.packages.map(({ path }) => path)).toEqual(["node_modules/dep/index.js"]);
  });

  it("takes the signature as evidence, out of the files", async () => {
    const opened = await openArchive(tgz([...plain, { name: SIGNATURE_FILE, body: "{}" }]));
    expect(opened.signature).toBe("{}");
    expect(opened.files).toHaveLength(2);
  });

  it.each<[string, string, TarEntry | Buffer]>([
    ["..", "leads out", { name: "../evil" }],
    [".. in the middle", "leads out", { name: "src/../../evil" }],
    [".. by the header's prefix", "leads out", { name: "evil", prefix: ".." }],
    ["an absolute path", "absolute path", { name: "/etc/passwd" }],
    ["an absolute path by the prefix", "absolute path", { name: "passwd", prefix: "/etc" }],
    ["a drive", "path of a drive", { name: "C:/Windows/evil" }],
    ["a drive with a relative path", "path of a drive", { name: "C:evil" }],
    ["a UNC path", "another machine", { name: "\\\\host\\share\\evil" }],
    ["a UNC path with slashes", "absolute path", { name: "//host/share/evil" }],
    ["a backslash", "backslash", { name: "src\\evil" }],
    ["a stream of NTFS", "colon", { name: "plugin.ts:evil" }],
    ["an empty segment", "no name", { name: "src//evil" }],
    ["a segment of one dot", "no name", { name: "src/./evil" }],
    ["no name", "no name", { name: "" }],
    ["a NUL in its name", "NUL", { name: "evil.txt\0.js" }],
    ["a name that is no UTF-8", "no UTF-8", { name: Buffer.from([0x61, 0xff, 0xfe]) }],
    ["a bidirectional character", "hidden characters", { name: "evil\u202etxt.js" }],
    ["a name that is not in NFC", "NFC", { name: "e\u0301.txt" }],
    ["a device name of Windows", "name of a device", { name: "src/aux.txt" }],
    ["a port name of Windows", "name of a device", { name: "COM1" }],
    ["a trailing dot", "ends with a dot", { name: "evil." }],
    ["a trailing space", "a space", { name: "evil /x" }],
    ["a file name that ends with a slash", "no name", { name: "evil/" }],
    ["a symbolic link", "is a symbolic link", { name: "link", type: "2", link: "/etc/passwd" }],
    ["a hard link", "is a hard link", { name: "link", type: "1", link: "plugin.yml" }],
    ["a character device", "is a device", { name: "tty", type: "3" }],
    ["a block device", "is a device", { name: "sda", type: "4" }],
    ["a named pipe", "is a named pipe", { name: "pipe", type: "6" }],
    ["a contiguous file", "reserved kind", { name: "odd", type: "7" }],
    ["a sparse file of GNU", "holes", { name: "sparse", type: "S", magic: "ustar  \0" }],
    ["a long name of GNU", "long name", { name: "././@LongLink", type: "L", body: "/etc/evil\0", magic: "ustar  \0" }],
    ["a long link of GNU", "long link", { name: "././@LongLink", type: "K", body: "/etc/evil\0", magic: "ustar  \0" }],
    ["a kind that nobody knows", "unknown kind", { name: "odd", type: "Z" }],
    ["a setuid bit", "setuid", { name: "run", mode: 0o4755 }],
    ["a setgid bit", "setgid", { name: "run", mode: 0o2755 }],
    ["a sticky bit", "sticky", { name: "run", mode: 0o1644 }],
    ["a folder with content", "folder with content", { name: "dir/", type: "5", body: "evil" }],
    ["the same name twice", "there twice", { name: "plugin.yml", body: "id: other" }],
    ["the same name twice, once as ./name", "there twice", { name: "./plugin.yml", body: "id: other" }],
    ["a name that differs in case", "same name as", { name: "Plugin.YML" }],
    ["a folder that differs in case", "same name as", { name: "SRC/other.ts" }],
    ["a name that differs in compatible characters", "same name as", { name: "plu\uff47in.yml" }],
    ["a file where a folder is", "file and a folder", { name: "src" }],
    ["a file in a file", "file and a folder", { name: "plugin.yml/x" }],
    ["a size in binary", "octal", { name: "big", size: "\x80\0\0\0\0\0\0\0\0\0\0\x05" }],
    ["a negative size", "octal", { name: "big", size: "-0000000001\0" }],
    ["no size", "octal", { name: "big", size: "\0\0\0\0\0\0\0\0\0\0\0\0" }],
    ["a wrong checksum", "checksum", { name: "odd", damaged: true }],
    ["the magic of no tar", "no tar archive", { name: "odd", magic: "notar\x0000" }],
    ["the root as a file", "one folder", { name: "package" }],
    ["what lies outside the one folder", "one folder", { name: "package/other.ts" }],
    [
      "bytes in the padding",
      "after its end",
      Buffer.concat([entry({ name: "pad", body: "x" }).subarray(0, 600), Buffer.alloc(424, 1)]),
    ],
  ])("refuses %s, and names the place and the fix", async (_, words, hostile) => {
    const error = await refusal(openArchive(tgz([...plain, hostile])));
    expect(error).toMatchObject({ code: "source_unsafe" });
    expect(error.message).toContain(words);
    expect(error.fix).toContain("plugin pack");
    expect(error.data).toHaveProperty("file");
  });

  it.each<[string, string]>([
    ["another path", pax("path", "../evil")],
    ["another size", pax("size", "5")],
    ["another link", pax("linkpath", "/etc/passwd")],
    ["holes", pax("GNU.sparse.major", "1")],
    ["a name of a sparse file", pax("GNU.sparse.name", "evil")],
    ["a real size", pax("SCHILY.realsize", "9")],
    ["another character set", pax("hdrcharset", "BINARY")],
    ["a second record after a harmless one", pax("mtime", "1") + pax("path", "evil")],
    ["a record of no length", "path=evil\n"],
    ["a record longer than the extension", "99 mtime=1\n"],
    ["a record that hides another in its length", "4 a=\n"],
    ["a key with a NUL", pax("mti\0me", "1")],
  ])("refuses a pax extension with %s", async (_, body) => {
    const hostile: readonly TarEntry[] = [
      { name: "x", type: "x", body },
      { name: "innocent.txt", body: "12345" },
    ];
    expect(await refusal(openArchive(tgz([...plain, ...hostile])))).toMatchObject({ code: "source_unsafe" });
    expect(await refusal(openArchive(tgz([{ name: "g", type: "g", body }, ...plain])))).toMatchObject({
      code: "source_unsafe",
    });
  });

  it("refuses extensions that follow one another, come late for all, or stand at the end", async () => {
    const harmless = pax("comment", "fine");
    for (const entries of [
      [{ name: "x", type: "x", body: harmless }, { name: "x", type: "x", body: harmless }, ...plain],
      [...plain, { name: "g", type: "g", body: harmless }],
      [...plain, { name: "x", type: "x", body: harmless }],
    ])
      expect(await refusal(openArchive(tgz(entries)))).toMatchObject({ code: "source_unsafe" });
  });

  it("refuses what is cut at any point, and what goes on after its end", async () => {
    const whole = tgz(plain);
    const uncompressed = tar(plain);
    expect((await openArchive(whole)).files).toEqual((await openArchive(uncompressed)).files);
    for (let length = 0; length < whole.length; length++)
      expect(await refusal(openArchive(whole.subarray(0, length))), `${length}`).toMatchObject({
        code: "source_unsafe",
      });
    for (let length = 0; length < uncompressed.length; length += 256)
      expect(await refusal(openArchive(uncompressed.subarray(0, length))), `${length}`).toMatchObject({
        code: "source_unsafe",
      });
    for (const bytes of [
      Buffer.concat([whole, Buffer.from("x")]),
      Buffer.concat([whole, whole]),
      Buffer.concat([whole, Buffer.alloc(512)]),
      gzipSync(Buffer.concat([uncompressed, Buffer.from("x")])),
      gzipSync(Buffer.concat([uncompressed, uncompressed])),
      Buffer.concat([uncompressed, entry({ name: "late" })]),
      gzipSync(tar(plain).subarray(0, -END.length)),
      gzipSync(tar(plain).subarray(0, -512)),
    ])
      expect(await refusal(openArchive(bytes))).toMatchObject({ code: "source_unsafe" });
  });

  it("notices every flipped byte, or reads the very same files", async () => {
    const whole = tgz(plain);
    const { files } = await openArchive(whole);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (index, mask) => {
        const bytes = Buffer.from(whole);
        bytes[index] = (bytes[index] ?? 0) ^ mask;
        const answer = await openArchive(bytes).catch((error: unknown) => error);
        if (answer instanceof Error) expect(answer).toMatchObject({ code: "source_unsafe" });
        else expect(answer).toMatchObject({ files });
      }),
      { numRuns: 500 },
    );
  });

  it("states what was expected and what is there", async () => {
    const damaged = tgz(plain);
    damaged.writeUInt32LE(7, damaged.length - 8);
    const error = await refusal(openArchive(damaged));
    expect(error).toMatchObject({ data: { file: "", actual: expect.any(String), expected: "00000007" } });
    expect(error.fix).toBeDefined();
  });

  it.each<[string, string, Buffer]>([
    ["zeroes that unpack to gigabytes", "source_too_large", gzipSync(Buffer.alloc(48 * 1024 * 1024))],
    [
      "one file over the cap",
      "source_too_large",
      tgz([{ name: "big", body: Buffer.alloc(SOURCE_LIMITS.fileBytes + 1, "abcdefghijklmnopqrs") }]),
    ],
    ["a size that the archive does not have", "source_unsafe", tgz([{ name: "big", size: 0o77777777777 }])],
    [
      "too many entries",
      "source_too_large",
      tgz(Array.from({ length: 10_001 }, (__, index) => ({ name: `d${index}/`, type: "5" }))),
    ],
    ["too many files", "source_too_large", tgz(Array.from({ length: 5_001 }, (__, index) => ({ name: `f${index}` })))],
    ["folders too deep", "source_too_large", tgz([{ name: `${"d/".repeat(17)}f` }])],
  ])("refuses a bomb: %s", async (_, code, bytes) => {
    expect(await refusal(openArchive(bytes))).toMatchObject({ code });
  });

  it("gives up on a bomb before it is unpacked", async () => {
    // A deflate stream that states 4 GiB of zeroes in 4 MB; unpacking it whole would not fit into this test's memory.
    const block = deflateRawSync(Buffer.alloc(64 * 1024 * 1024), { finishFlush: 2 });
    const head = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
    const before = process.memoryUsage().arrayBuffers;
    const bomb = Buffer.concat([head, ...Array<Buffer>(64).fill(block), Buffer.alloc(8)]);
    expect(await refusal(openArchive(bomb))).toMatchObject({ code: "source_too_large" });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(512 * 1024 * 1024);
  });

  it("refuses what is no archive", async () => {
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from("PK\x03\x04"),
      Buffer.from("id: demo"),
      gzipSync("id: demo"),
      Buffer.alloc(10_240),
    ])
      expect(await refusal(openArchive(bytes))).toMatchObject({ code: "source_unsafe" });
  });
});

describe("openSource", () => {
  const archiveAt = (): string => {
    const path = join(temporaryFolder(), "demo.tgz");
    writeFileSync(path, tgz(plain), { mode: 0o644 });
    return path;
  };

  it("opens a directory and an archive of it as the same files", async () => {
    const folder = pluginFolder({ "plugin.yml": "id: demo", "src/plugin.ts": "export default {};" });
    const [directory, archive] = [await openSource(folder), await openSource(archiveAt())];
    expect(directory).toMatchObject({ kind: "directory", root: folder, integrity: undefined });
    expect(archive.kind).toBe("archive");
    expect(archive.files).toEqual(directory.files.toSorted((a, b) => (a.path < b.path ? -1 : 1)));
  });

  it("refuses an archive file that others may write, or could replace [S2-42] [S4-42]", async () => {
    const writable = archiveAt();
    chmodSync(writable, 0o666);
    expect(await refusal(openSource(writable))).toMatchObject({ code: "source_unsafe" });
    const folder = join(temporaryFolder(), "open");
    mkdirSync(folder);
    writeFileSync(join(folder, "demo.tgz"), tgz(plain), { mode: 0o644 });
    chmodSync(folder, 0o777);
    expect(await refusal(openSource(join(folder, "demo.tgz")))).toMatchObject({ code: "source_unsafe" });
  });

  it.runIf(isRoot)("refuses an archive file of somebody else's [S2-41] [S4-43]", async () => {
    const path = archiveAt();
    spawnSync("chown", ["12345", path]);
    expect(await refusal(openSource(path))).toMatchObject({ code: "source_unsafe", data: { file: "demo.tgz" } });
  });

  it("says that there is nothing, for nothing and for what is neither", async () => {
    const folder = temporaryFolder();
    symlinkSync("nowhere", join(folder, "dangling"));
    for (const path of [join(folder, "nowhere"), join(folder, "dangling"), "/dev/null"])
      expect(await refusal(openSource(path))).toMatchObject({ code: "not_found" });
  });
});
