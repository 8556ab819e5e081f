import { existsSync } from "node:fs";
import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openSource, POINTER_FILE, publishTo, writeArchive } from "../../src/registry/index.ts";
import { readIndexOf } from "../../src/registry/index-build.ts";
import { generateSigningKey, SIGNATURE_FILE } from "../../src/trust/index.ts";
import { refusal, temporaryFolder } from "../registry/plugin-folder.ts";
import { addArchive, AUTHOR, DAY, HOUR, index, KEEPER, NOW, PORTS, registryFolder } from "./support.ts";

const NET = "permissions: { network: [{ host: api.example.com, port: 443, scheme: https, reason: Reads. }] }";

describe("the index of a folder of archives", () => {
  it("says of each version its hashes, signers, wishes and time, and of itself its number and end [S3-34] [S3-35] [S4-44]", async () => {
    const folder = temporaryFolder();
    for (const version of ["1.10.0", "1.9.0", "2.0.0-beta.1"]) await addArchive(folder, { version, more: NET });
    await addArchive(folder, { id: "acme/geo", keys: [] });
    const { entries, pointer } = await index(folder);
    expect(entries.map(({ id, version }) => `${id}@${version}`)).toEqual([
      "acme/geo@1.0.0",
      "weather@1.9.0",
      "weather@1.10.0",
      "weather@2.0.0-beta.1",
    ]);
    expect(entries[1]).toMatchObject({
      file: "weather-1.9.0.tgz",
      signed_by: [AUTHOR.id],
      published_at: NOW,
      yanked: null,
      integrity: expect.stringMatching(/^sha512-/),
      tree_digest: expect.stringMatching(/^sha256:/),
      permissions: expect.arrayContaining([
        { capability: "network", key: "network:api.example.com:443", risk: "high" },
      ]),
    });
    expect(entries[0]?.signed_by).toEqual([]);
    expect(pointer).toMatchObject({ name: "acme", counter: 1, issued_at: NOW, expires_at: NOW + 30 * DAY });
  });

  it("keeps times and yanks from one index to the next, and counts", async () => {
    const folder = await registryFolder();
    const yank = { id: "weather", version: "1.0.0", reason: "wrong unit" };
    expect((await index(folder, { yank, now: NOW + HOUR })).entries[0]?.yanked).toBe("wrong unit");
    await addArchive(folder, { version: "1.1.0" });
    const third = await index(folder, { name: undefined, now: NOW + 2 * HOUR });
    expect(third.pointer).toMatchObject({ counter: 3, name: "acme" });
    expect(third.added.map(({ version }) => version)).toEqual(["1.1.0"]);
    expect(third.entries).toMatchObject([
      { published_at: NOW, yanked: "wrong unit" },
      { published_at: NOW + 2 * HOUR, yanked: null },
    ]);
    const undone = await index(folder, { yank: { ...yank, reason: undefined }, now: NOW });
    expect(undone.entries[0]?.yanked).toBeNull();
    // A clock that was set back makes no index that clients take for a rollback.
    expect(undone.pointer.issued_at).toBe(NOW + 2 * HOUR);
    await rm(join(folder, "weather-1.1.0.tgz"));
    expect((await index(folder)).removed.map(({ version }) => version)).toEqual(["1.1.0"]);
    // The last index stays for whoever read its name a moment ago.
    expect((await readdir(folder)).filter((name) => name.endsWith(".jsonl"))).toHaveLength(2);
  });

  it("refuses what would make a version two things, and says which file", async () => {
    const folder = await registryFolder();
    const pointer = await readFile(join(folder, POINTER_FILE));
    const same = await addArchive(folder, { name: "copy.tgz" });
    await expect(index(folder)).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("copy.tgz"),
    });
    await rm(join(folder, same));
    await addArchive(folder, { code: "export default { tools: { look: () => 2 } };\n" });
    await expect(index(folder)).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringContaining("another"),
    });
    await writeFile(join(folder, "weather-1.0.0.tgz"), "no archive");
    const broken = await refusal(index(folder));
    expect(broken).toMatchObject({ code: "source_unsafe", data: { archive: "weather-1.0.0.tgz" } });
    await expect(index(folder, { name: "other" })).rejects.toMatchObject({ code: "usage" });
    await expect(index(folder, { key: generateSigningKey() })).rejects.toMatchObject({ code: "registry_untrusted" });
    const yank = { id: "weather", version: "7.0.0", reason: "x" };
    await rm(join(folder, "weather-1.0.0.tgz"));
    await addArchive(folder);
    await expect(index(folder, { yank })).rejects.toMatchObject({ code: "not_found", detail: "It has 1.0.0." });
    // After all these refusals the folder's index is the old one, whole.
    expect(await readFile(join(folder, POINTER_FILE))).toEqual(pointer);
    expect((await readIndexOf(folder, KEEPER.id))?.pointer.counter).toBe(1);
    expect(existsSync(join(folder, ".registry.lock"))).toBe(false);
  });

  it("refuses an archive whose signature is about other bytes", async () => {
    const folder = temporaryFolder();
    const other = temporaryFolder();
    await addArchive(other, { version: "2.0.0" });
    await rename(join(other, "weather-2.0.0.tgz"), join(folder, "a.tgz"));
    const signed = await openSource(join(folder, "a.tgz"));
    await addArchive(folder, { keys: [], name: "b.tgz" });
    const bare = await openSource(join(folder, "b.tgz"));
    const bytes = Buffer.from(signed.signature ?? "");
    const evidence = { path: SIGNATURE_FILE, mode: 0o644, size: bytes.length, sha256: "", bytes };
    await writeFile(join(folder, "b.tgz"), writeArchive([...bare.files, evidence]));
    await expect(index(folder)).rejects.toMatchObject({
      code: "signature_invalid",
      message: expect.stringContaining("b.tgz"),
    });
  });

  it("is written by one process at a time, and a killed one's lock holds nobody up", async () => {
    const folder = await registryFolder();
    await writeFile(join(folder, ".registry.lock"), String(process.pid));
    await expect(index(folder)).rejects.toMatchObject({ code: "conflict" });
    await writeFile(join(folder, ".registry.lock"), "4194399");
    expect((await index(folder)).pointer.counter).toBe(2);
    const both = await Promise.allSettled([index(folder), index(folder)]);
    expect(both.filter(({ status }) => status === "fulfilled").length).toBeGreaterThan(0);
    expect((await readIndexOf(folder, KEEPER.id))?.entries).toHaveLength(1);
  });
});

describe("publishing", () => {
  it("puts a signed archive into the folder, once, and never other bytes under its version", async () => {
    const [from, to] = [temporaryFolder(), temporaryFolder()];
    const options = { ports: PORTS, now: NOW, unsigned: false };
    const file = join(from, await addArchive(from, { id: "acme/weather" }));
    expect(await publishTo(to, file, options)).toMatchObject({ created: true, file: "acme@weather-1.0.0.tgz" });
    expect(await publishTo(to, file, options)).toMatchObject({ created: false });
    const bytes = await readFile(join(to, "acme@weather-1.0.0.tgz"));
    await addArchive(from, { id: "acme/weather", code: "export default { tools: { look: () => 2 } };\n" });
    await expect(publishTo(to, file, options)).rejects.toMatchObject({ code: "conflict" });
    expect(await readFile(join(to, "acme@weather-1.0.0.tgz"))).toEqual(bytes);
    const bare = join(from, await addArchive(from, { id: "bare", keys: [] }));
    await expect(publishTo(to, bare, options)).rejects.toMatchObject({ code: "signature_required" });
    expect((await publishTo(to, bare, { ...options, unsigned: true })).entry.signed_by).toEqual([]);
    expect((await readdir(to)).toSorted()).toEqual(["acme@weather-1.0.0.tgz", "bare-1.0.0.tgz"]);
    await expect(publishTo(join(to, "none"), bare, { ...options, unsigned: true })).rejects.toMatchObject({
      code: "usage",
    });
  });
});
