import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, linkSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { sha256 } from "../../src/kernel/index.ts";
import { currentOwnership, readSource, SOURCE_LIMITS } from "../../src/registry/index.ts";
import { privateGroupOf } from "../../src/registry/ownership.ts";
import { isRoot, pluginFolder, refusal, temporaryFolder, writeFiles } from "./plugin-folder.ts";

const plain = { "plugin.yml": "id: a\n", "src/plugin.ts": "export default {};\n" };

describe("readSource", () => {
  it("takes every file with the bytes and digest that it read", async () => {
    const { files } = await readSource(pluginFolder(plain));
    expect(files.map((file) => file.path)).toEqual(["plugin.yml", "src/plugin.ts"]);
    for (const file of files) {
      expect(file.sha256).toBe(sha256(file.bytes));
      expect(file.size).toBe(file.bytes.length);
      expect(file.mode).toBe(0o644);
    }
  });

  it("sees the right to execute and no other difference of modes, so that a umask changes no digest", async () => {
    const root = pluginFolder(plain);
    chmodSync(join(root, "plugin.yml"), 0o600);
    chmodSync(join(root, "src/plugin.ts"), 0o744);
    const { files } = await readSource(root);
    expect(files.map((file) => file.mode)).toEqual([0o644, 0o755]);
  });

  it("leaves out node_modules and .git at every level, also when they are links", async () => {
    const root = pluginFolder({
      ...plain,
      "node_modules/a/index.js": "",
      ".git/config": "",
      "src/node_modules/b/index.js": "",
    });
    mkdirSync(join(root, "lib"));
    symlinkSync("/etc", join(root, "lib/node_modules"));
    expect((await readSource(root)).files).toHaveLength(2);
  });

  it("follows a link that the caller names, and reads the real folder [S2-38]", async () => {
    const root = pluginFolder(plain);
    const link = join(temporaryFolder(), "link");
    symlinkSync(root, link);
    expect((await readSource(link)).root).toBe(root);
  });

  it("refuses symbolic links, relative or absolute, to files or folders, inside or outside [S2-40] [S4-41]", async () => {
    for (const [name, target] of [
      ["src/entry.ts", "/etc/passwd"],
      ["src/entry.ts", "../../../etc/passwd"],
      ["src/entry.ts", "plugin.ts"],
      ["lib", "/etc"],
      ["lib", "src"],
      ["lib", "nowhere"],
    ] as const) {
      const root = pluginFolder(plain);
      symlinkSync(target, join(root, name));
      expect(await refusal(readSource(root))).toMatchObject({
        code: "source_unsafe",
        data: { file: name, problem: "is a symbolic link" },
      });
    }
  });

  it("refuses hard links", async () => {
    const root = pluginFolder(plain);
    const other = pluginFolder({ "secret.txt": "mine" });
    linkSync(join(other, "secret.txt"), join(root, "src/data.txt"));
    expect(await refusal(readSource(root))).toMatchObject({ code: "source_unsafe", data: { file: "src/data.txt" } });
  });

  it("refuses named pipes and sockets without opening them", async () => {
    const root = pluginFolder(plain);
    execFileSync("mkfifo", [join(root, "pipe")]);
    expect(await refusal(readSource(root))).toMatchObject({
      code: "source_unsafe",
      data: { problem: "is a named pipe" },
    });
    const second = pluginFolder(plain);
    const server = createServer();
    await new Promise<void>((done) => server.listen(join(second, "socket"), done));
    try {
      expect(await refusal(readSource(second))).toMatchObject({
        code: "source_unsafe",
        data: { problem: "is a socket" },
      });
    } finally {
      await new Promise((done) => server.close(done));
    }
  });

  it.runIf(isRoot)("refuses devices", async () => {
    const root = pluginFolder(plain);
    execFileSync("mknod", [join(root, "null"), "c", "1", "3"]);
    expect(await refusal(readSource(root))).toMatchObject({ code: "source_unsafe", data: { problem: "is a device" } });
  });

  it("refuses what belongs to somebody else [S2-41] [S4-43]", async () => {
    for (const name of ["", "src", "src/plugin.ts"]) {
      const root = pluginFolder(plain);
      const own = await currentOwnership();
      // An ordinary user cannot give files away, so the test pretends to be somebody else.
      if (isRoot) chownSync(join(root, name), 65_534, 65_534);
      const ownership = isRoot ? own : { ...own, uid: own.uid + 1 };
      const error = await refusal(readSource(root, { ownership }));
      expect(error.code).toBe("source_unsafe");
      expect(error.message).toContain("belongs to another user (expected uid ");
      const gone = isRoot ? "uid 65534" : `uid ${own.uid}`;
      expect(error.data).toMatchObject({ file: name, expected: expect.stringContaining("uid "), actual: gone });
    }
  });

  it("refuses what anyone may write, at the root and below [S2-42] [S4-42]", async () => {
    for (const name of ["", "src", "src/plugin.ts", "plugin.yml"]) {
      const root = pluginFolder(plain);
      chmodSync(join(root, name), 0o777);
      const error = await refusal(readSource(root));
      expect(error).toMatchObject({
        code: "source_unsafe",
        data: { file: name, problem: "may be written by anyone", expected: "go-w", actual: "0777" },
      });
      expect(error.fix).toContain("chmod");
    }
  });

  it("refuses a sticky root that anyone may write: sticky does not keep others from adding files", async () => {
    const root = pluginFolder(plain);
    chmodSync(root, 0o1777);
    expect(await refusal(readSource(root))).toMatchObject({ code: "source_unsafe" });
  });

  it("refuses a folder above the root that anyone may write, unless it is sticky as /tmp is [S2-42]", async () => {
    const above = temporaryFolder();
    const root = join(above, "deep", "plugin");
    writeFiles(root, plain);
    chmodSync(above, 0o777);
    expect(await refusal(readSource(root))).toMatchObject({ code: "source_unsafe", data: { file: "../.." } });
    chmodSync(above, 0o1777);
    expect((await readSource(root)).files).toHaveLength(2);
  });

  it("refuses group-writable files, unless nobody else is in the group", async () => {
    const root = pluginFolder(plain);
    chmodSync(join(root, "src/plugin.ts"), 0o664);
    const { uid } = await currentOwnership();
    const gid = statSync(join(root, "src/plugin.ts")).gid;
    expect(await refusal(readSource(root, { ownership: { uid, isPrivateGroup: () => false } }))).toMatchObject({
      code: "source_unsafe",
    });
    const { files } = await readSource(root, { ownership: { uid, isPrivateGroup: (candidate) => candidate === gid } });
    expect(files).toHaveLength(2);
  });

  it("refuses names that are one name on other systems, or look alike", async () => {
    const root = pluginFolder(plain);
    for (const [first, second] of [
      ["Data.csv", "data.csv"],
      ["stra\u00dfe", "STRASSE"],
      ["stra\u00dfe", "stra\u1e9ee"],
      ["file1", "file\uff11"],
    ] as const) {
      const folder = join(root, "case");
      writeFiles(folder, { [first]: "1", [second]: "2" });
      expect(await refusal(readSource(folder)), first).toMatchObject({ code: "source_unsafe" });
      expect((await refusal(readSource(folder))).message).toContain("same name");
      execFileSync("rm", ["-r", folder]);
    }
  });

  it("refuses names with hidden, bidirectional or control characters, backslashes, or not in NFC", async () => {
    for (const name of [
      "a\u202egnp.exe",
      "zero\u200bwidth",
      "line\nfeed",
      "tab\t",
      "esc\u001b[2J",
      "..\\..\\x",
      "e\u0301",
    ]) {
      const error = await refusal(readSource(pluginFolder({ ...plain, [name]: "" })));
      expect(error.code, name).toBe("source_unsafe");
      for (const hidden of ["\u202e", "\u200b", "\u001b"]) expect(error.message).not.toContain(hidden);
    }
  });

  it.each(["C:evil", "a:stream", "AUX", "com1.txt", "nul", "dot.", "space "])(
    "refuses %j, which is another name, a drive or a device on other systems",
    async (name) => {
      const error = await refusal(readSource(pluginFolder({ ...plain, [`src/${name}/x`]: "" })));
      expect(error).toMatchObject({ code: "source_unsafe", data: { file: `src/${name}` } });
    },
  );

  it("refuses a setuid or setgid file, and lets a folder pass its group on", async () => {
    const root = pluginFolder(plain);
    chmodSync(join(root, "src"), 0o2755);
    expect((await readSource(root)).files).toHaveLength(2);
    chmodSync(join(root, "src/plugin.ts"), 0o4755);
    expect(await refusal(readSource(root))).toMatchObject({
      code: "source_unsafe",
      data: { file: "src/plugin.ts", expected: "ug-s", actual: "4755" },
    });
  });

  it("refuses names that are no UTF-8", async () => {
    const root = pluginFolder(plain);
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff, 0xfe])]), "");
    expect(await refusal(readSource(root))).toMatchObject({ code: "source_unsafe" });
  });

  it("refuses what only packing and installing may write, and what comes beside it", async () => {
    for (const name of [
      ".sallyport/bundle.js",
      ".sallyport/bundle.mjs.map",
      ".Sallyport/bundle.mjs",
      ".sallyport/x/y",
    ]) {
      expect(await refusal(readSource(pluginFolder({ ...plain, [name]: "evil()" })))).toMatchObject({
        code: "source_unsafe",
        data: { file: name },
      });
    }
  });

  it("stops at each limit and names the place", async () => {
    const root = pluginFolder({ ...plain, "a/b/c/deep.txt": "x".repeat(100) });
    for (const [limit, value] of [
      ["totalBytes", 100],
      ["fileBytes", 99],
      ["depth", 2],
      ["pathBytes", 10],
    ] as const) {
      const error = await refusal(readSource(root, { limits: { ...SOURCE_LIMITS, [limit]: value } }));
      expect(error, limit).toMatchObject({ code: "source_too_large", data: { limit: value } });
    }
    expect((await readSource(root)).files).toHaveLength(3);
  });

  it("stops at the limit of files", async () => {
    const root = pluginFolder({ "plugin.yml": "", b: "", c: "" });
    expect(await refusal(readSource(root, { limits: { ...SOURCE_LIMITS, files: 2 } }))).toMatchObject({
      code: "source_too_large",
      data: { limit: 2, file: "plugin.yml" },
    });
  });

  it("counts what it looks at, not only what it takes", async () => {
    const root = pluginFolder(plain);
    for (let index = 0; index < 10; index++) mkdirSync(join(root, `empty${index}`));
    expect(await refusal(readSource(root, { limits: { ...SOURCE_LIMITS, files: 3 } }))).toMatchObject({
      code: "source_too_large",
    });
  });

  it("says that there is no folder, for a file and for nothing", async () => {
    const root = pluginFolder(plain);
    expect(await refusal(readSource(join(root, "plugin.yml")))).toMatchObject({ code: "not_found" });
    expect(await refusal(readSource(join(root, "nowhere")))).toMatchObject({ code: "not_found" });
  });

  it("tells no absolute path of this machine", async () => {
    const root = pluginFolder(plain);
    symlinkSync("/etc/passwd", join(root, "link"));
    const error = await refusal(readSource(root));
    expect(JSON.stringify([error.message, error.fix, error.data])).not.toContain(root);
  });
});

describe("privateGroupOf", () => {
  const users =
    "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n";

  it("finds the user's own group", () => {
    expect(privateGroupOf(1000, "root:x:0:\nada:x:1000:\nbob:x:1001:\n", users)).toBe(1000);
    expect(privateGroupOf(1000, "ada:x:1000:ada\n", users)).toBe(1000);
  });

  it("finds none when somebody else is in it, shares it as a primary group, or it has another name", () => {
    expect(privateGroupOf(1000, "ada:x:1000:bob\n", users)).toBeUndefined();
    expect(privateGroupOf(1000, "ada:x:1001:\n", users)).toBeUndefined();
    expect(privateGroupOf(1000, "staff:x:1000:\n", users)).toBeUndefined();
    expect(privateGroupOf(1000, "ada:x:1000:\ntwin:x:1000:bob\n", users)).toBeUndefined();
    expect(privateGroupOf(1000, "", "")).toBeUndefined();
    expect(privateGroupOf(4242, "ada:x:1000:\n", users)).toBeUndefined();
  });
});
