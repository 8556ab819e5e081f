import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { POINTER_FILE } from "../../src/registry/index.ts";
import { indexFileOf, writeIndex } from "../../src/registry/index-format.ts";
import { openPointer, signPointer } from "../../src/registry/index-pointer.ts";
import { generateSigningKey } from "../../src/trust/index.ts";
import { refusal, temporaryFolder } from "../registry/plugin-folder.ts";
import { addArchive, client, DAY, type Handler, HOUR, index, KEEPER, NOW, registryFolder, site } from "./support.ts";

const untrusted = (message: RegExp) =>
  expect.objectContaining({ code: "registry_untrusted", message: expect.stringMatching(message) });

/** The folder as it is now, kept by an attacker. */
async function copyOf(folder: string): Promise<string> {
  const copy = temporaryFolder();
  await cp(folder, copy, { recursive: true });
  return copy;
}

const endless: Handler = (_request, response) => {
  const chunk = Buffer.alloc(64 * 1024, 0x20);
  const more = (): void => {
    while (response.writable && response.write(chunk));
  };
  response.on("drain", more).on("error", () => undefined);
  more();
};

describe("the attacks that The Update Framework names, on a registry's client", () => {
  it("takes nothing from a sound registry but what it vouches for", async () => {
    const folder = await registryFolder();
    const { url } = await site(folder);
    const home = client(url);
    expect((await home.refresh()).entries.map(({ id, version }) => `${id}@${version}`)).toEqual(["weather@1.0.0"]);
    expect(Buffer.from(await home.fetch("weather", "1.0.0"))).toEqual(
      await readFile(join(folder, "weather-1.0.0.tgz")),
    );
  });

  it("arbitrary software: refuses an archive that is not the one in the index", async () => {
    const server = await site(await registryFolder());
    const home = client(server.url);
    await home.refresh();
    const other = temporaryFolder();
    const name = await addArchive(other, { code: "export default { tools: { look: () => 'evil' } };\n" });
    const length = (await readFile(join(other, name))).length;
    server.instead.set("weather-1.0.0.tgz", await readFile(join(other, name)));
    const failure = await refusal(home.fetch("weather", "1.0.0"));
    expect(["registry_untrusted", "source_too_large"]).toContain(failure.code);
    expect(length).toBeGreaterThan(0);
    // Of the very same length, too.
    const real = Buffer.from(await readFile(join(await registryFolder(), "weather-1.0.0.tgz")));
    real.writeUInt8(real.readUInt8(40) ^ 1, 40);
    server.instead.set("weather-1.0.0.tgz", real);
    await expect(home.fetch("weather", "1.0.0")).rejects.toEqual(untrusted(/not the one that the index names/));
  });

  it.each([[POINTER_FILE], ["index"], ["weather-1.0.0.tgz"]])(
    "endless data: gives up on an endless %s",
    async (file) => {
      const folder = await registryFolder();
      const server = await site(folder);
      const home = client(server.url);
      if (file !== "weather-1.0.0.tgz") {
        const name = file === "index" ? (await client(folder).refresh()).pointer.index.file : file;
        server.instead.set(name, endless);
        await expect(home.refresh()).rejects.toMatchObject({ code: "source_too_large" });
        return;
      }
      await home.refresh();
      server.instead.set(file, endless);
      await expect(home.fetch("weather", "1.0.0")).rejects.toMatchObject({ code: "source_too_large" });
    },
  );

  it("fast-forward: refuses a counter that no registry can have come to", async () => {
    const folder = await registryFolder();
    const home = client(folder);
    await home.refresh();
    const pointer = openPointer(await readFile(join(folder, POINTER_FILE), "utf8"), KEEPER.id);
    await writeFile(join(folder, POINTER_FILE), signPointer({ ...pointer, counter: 1_000_000_000 }, KEEPER));
    await expect(home.refresh()).rejects.toEqual(untrusted(/fast-forward/));
    // Some indexes may have been missed.
    await writeFile(join(folder, POINTER_FILE), signPointer({ ...pointer, counter: 500 }, KEEPER));
    expect((await home.refresh()).pointer.counter).toBe(500);
  });

  it("freeze: takes nothing from an index whose time is over, fetched or kept", async () => {
    const server = await site(await registryFolder());
    const home = client(server.url);
    await home.refresh();
    await home.fetch("weather", "1.0.0", NOW + 29 * DAY);
    await expect(home.refresh(NOW + 31 * DAY)).rejects.toEqual(untrusted(/expired/));
    await expect(home.fetch("weather", "1.0.0", NOW + 31 * DAY)).rejects.toEqual(untrusted(/expired/));
    await expect(client(server.url).refresh(NOW - DAY)).rejects.toEqual(untrusted(/future/));
  });

  it("malicious mirror: refuses an index by another key, and one that was changed", async () => {
    const folder = await registryFolder();
    const home = client(folder);
    await home.refresh();
    const evil = temporaryFolder();
    await addArchive(evil, { version: "9.9.9" });
    await index(evil, { key: generateSigningKey() });
    home.move((await site(evil)).url);
    await expect(home.refresh()).rejects.toEqual(untrusted(/not signed by the key/));

    const text = await readFile(join(folder, POINTER_FILE), "utf8");
    for (const changed of [text.replace("payload", "PAYLOAD"), `${text} `, text.slice(0, -10), "{}", ""]) {
      await writeFile(join(folder, POINTER_FILE), changed);
      await expect(client(folder).refresh()).rejects.toEqual(untrusted(/./));
    }
  });

  it("mix-and-match: refuses parts of different times, of different registries, and two indexes of one number", async () => {
    const folder = await registryFolder();
    const old = await copyOf(folder);
    const server = await site(folder);
    const home = client(server.url);
    const first = (await home.refresh()).pointer;
    await addArchive(folder, { version: "1.1.0" });
    const { pointer } = await index(folder);
    server.instead.set(pointer.index.file, await readFile(join(old, first.index.file)));
    await expect(home.refresh()).rejects.toEqual(untrusted(/parts of different times/));
    server.instead.clear();
    await home.refresh();

    // The same key keeps another registry.
    const other = temporaryFolder();
    await addArchive(other, { id: "other" });
    for (let counter = 0; counter < 3; counter++) await index(other, { name: "other" });
    server.serve(other);
    await expect(home.refresh()).rejects.toEqual(untrusted(/another registry/));

    // Two different indexes under the number that was seen.
    const fork = old;
    await addArchive(fork, { version: "1.2.0" });
    await index(fork);
    server.serve(fork);
    await expect(home.refresh()).rejects.toEqual(untrusted(/same number/));
  });

  it("rollback: refuses an older index, and one that was made earlier", async () => {
    const folder = await registryFolder();
    const old = await copyOf(folder);
    await addArchive(folder, { version: "1.1.0" });
    await index(folder, { now: NOW + HOUR });
    const server = await site(folder);
    const home = client(server.url);
    await home.refresh(NOW + HOUR);
    server.serve(old);
    await expect(home.refresh(NOW + HOUR)).rejects.toEqual(untrusted(/rolled back/));
    expect(home.registry().seen?.counter).toBe(2);
  });

  it("rollback of a version: refuses other bytes under a version that was published", async () => {
    const folder = await registryFolder();
    const home = client(folder);
    await home.refresh();
    const { entries, pointer } = await home.refresh();
    const changed = writeIndex(entries.map((entry) => ({ ...entry, tree_digest: `sha256:${"0".repeat(64)}` })));
    const file = indexFileOf(changed);
    await writeFile(join(folder, file.file), changed);
    await writeFile(join(folder, POINTER_FILE), signPointer({ ...pointer, counter: 2, index: file }, KEEPER));
    await expect(home.refresh()).rejects.toEqual(untrusted(/other bytes for weather 1\.0\.0/));
  });

  it("slow retrieval: gives up on a server that drips, and on one that falls silent", async () => {
    const server = await site(await registryFolder());
    server.instead.set(POINTER_FILE, (_request, response) => {
      response.write("{");
      setImmediate(() => response.write("}"));
    });
    const drip = client(server.url, { graceMs: 0, bytesPerSecond: 1e12 });
    await expect(drip.refresh()).rejects.toMatchObject({
      code: "network_failed",
      detail: expect.stringContaining("slow"),
    });
    server.instead.set(POINTER_FILE, (_request, response) => void response.write("{"));
    await expect(client(server.url, { totalMs: 200 }).refresh()).rejects.toMatchObject({ code: "network_failed" });
    server.instead.set(POINTER_FILE, () => undefined);
    await expect(client(server.url, { totalMs: 200 }).refresh()).rejects.toMatchObject({ code: "network_failed" });
  });

  it("wrong length: refuses an archive that is shorter than promised, and a server that lies about the length", async () => {
    const folder = await registryFolder();
    const server = await site(folder);
    const home = client(server.url);
    await home.refresh();
    const real = await readFile(join(folder, "weather-1.0.0.tgz"));
    server.instead.set("weather-1.0.0.tgz", real.subarray(0, -1));
    await expect(home.fetch("weather", "1.0.0")).rejects.toEqual(untrusted(/not the one/));
    server.instead.set("weather-1.0.0.tgz", (_request, response) => {
      response.writeHead(200, { "content-length": String(real.length) });
      response.write(real.subarray(0, 10));
      setImmediate(() => response.destroy());
    });
    await expect(home.fetch("weather", "1.0.0")).rejects.toMatchObject({ code: "network_failed" });
    server.instead.set("weather-1.0.0.tgz", (_request, response) => {
      response.writeHead(200, { "content-length": "99999999" }).end();
    });
    await expect(home.fetch("weather", "1.0.0")).rejects.toMatchObject({ code: "source_too_large" });
  });

  it("believes no copy in the home that was changed", async () => {
    const folder = await registryFolder();
    const home = client(folder);
    await home.refresh();
    const copy = join(home.folder, "acme", "index.jsonl");
    const text = await readFile(copy, "utf8");
    await writeFile(copy, text.replace('"yanked":null', '"yanked":"x"'));
    await expect(home.again().copyOf(home.registry())).rejects.toEqual(untrusted(/copy of acme/));
    // Fetching again mends it.
    const again = home.again();
    const { seen } = await again.refresh(home.registry(), NOW);
    expect((await again.copyOf({ ...home.registry(), seen })).entries[0]?.yanked).toBeNull();
  });
});
