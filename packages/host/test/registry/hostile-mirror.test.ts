import { execFileSync } from "node:child_process";
import { symlinkSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { createIndexClient, fetchNpmArchive, readNpmPackage } from "../../src/registry/index.ts";
import { ACME } from "../trust/support.ts";
import { refusal, temporaryFolder } from "./plugin-folder.ts";

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

async function serve(answer: (path: string) => string): Promise<{ url: URL; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.end(answer(request.url ?? ""));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it listens");
  return { url: new URL(`http://127.0.0.1:${address.port}/`), asked };
}

const web = { classify: () => "loopback" };

describe("a hostile mirror", () => {
  it("of an npm registry does not lead to another host by an address that looks like npm's own", async () => {
    const inside = await serve(() => "a secret of the local network");
    const tarball = `https://registry.npmjs.org//${inside.url.host}/containers/json`;
    const dist = { integrity: `sha512-${"A".repeat(86)}==`, tarball };
    const mirror = await serve(() => JSON.stringify({ name: "w", versions: { "1.0.0": { version: "1.0.0", dist } } }));
    const registry = { name: "mirror", url: mirror.url, private: true };
    const [version] = (await readNpmPackage(registry, "w", web)).versions;
    if (version) await refusal(fetchNpmArchive(registry, "w", version, web));
    expect(inside.asked).toEqual([]);
  });

  it.each([
    ["a named pipe", (path: string) => execFileSync("mkfifo", [path])],
    ["an endless device", (path: string) => symlinkSync("/dev/zero", path)],
    ["a folder", (path: string) => execFileSync("mkdir", [path])],
  ])("that is a folder does not make the host wait or read for ever: %s", async (_, make) => {
    const folder = temporaryFolder();
    make(join(folder, "registry.json"));
    const client = createIndexClient(join(folder, "copies"), web);
    const registry = { name: "r", place: { kind: "folder", path: folder }, key: ACME.id, seen: undefined } as const;
    expect(await refusal(client.refresh(registry, 0))).toMatchObject({ code: "source_unsafe" });
  });
});
