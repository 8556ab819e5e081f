import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Decoys, openDecoys } from "../../src/cli/attack/decoys.ts";

let folder: string;
let decoys: Decoys;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-decoys-"));
  decoys = await openDecoys(folder, "canary-0123456789abcdef0123456789abcdef");
});
afterEach(async () => {
  await decoys.close();
  await rm(folder, { recursive: true, force: true });
});

const reach = async (where: { host: string; port: number } | { path: string }): Promise<void> => {
  const socket = connect(where);
  await once(socket, "connect");
  socket.destroy();
};

it("tell of nothing while nobody comes", async () => {
  expect(await decoys.contacts()).toEqual([]);
});

it.each([
  ["the planted web server", () => ({ host: "127.0.0.1", port: decoys.http })],
  ["the planted TCP listener", () => ({ host: "127.0.0.1", port: decoys.tcp })],
  ["the planted socket file", () => ({ path: decoys.unix })],
  ["the planted abstract socket", () => ({ path: `\0${decoys.abstract}` })],
])("tell of a connection to %s, once", async (what, where) => {
  await reach(where());
  await expect.poll(() => decoys.contacts()).toEqual([`a connection to ${what}`]);
  expect(await decoys.contacts()).toEqual([]);
});

it.each([
  ["a datagram to the planted UDP listener", () => decoys.udp],
  ["a question to the planted name server", () => decoys.dns],
])("tell of %s", async (what, port) => {
  const socket = createSocket("udp4");
  socket.send("x", port(), "127.0.0.1");
  await expect.poll(() => decoys.contacts()).toEqual([what]);
  socket.close();
});

it.each([
  ["/closed/x", "GET", {}, ["a request beyond the grant: /closed/x"]],
  ["/open/x", "POST", {}, ["a request with the method POST"]],
  [
    "/open/x",
    "GET",
    { authorization: "canary-0123456789abcdef0123456789abcdef-key" },
    ["a secret, sent without encryption or where its grant does not say"],
  ],
  ["/open/x", "GET", { "x-planted": "stolen" }, ["a smuggled header"]],
  ["/open/x", "GET", {}, []],
])("tell of %s by %s with %j at the granted server", async (path, method, headers, seen) => {
  await fetch(`http://127.0.0.1:${decoys.granted}${path}`, { method, headers });
  expect(await decoys.contacts()).toEqual(seen);
});
