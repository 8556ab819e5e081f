import { once } from "node:events";
import { cp, readFile, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import type { Host, ApproveRequest } from "../../src/host-api.ts";
import { OPERATOR, repositoryPlugin, type TestHome } from "../support/home.ts";

export interface Loopback {
  readonly port: number;
  /** `METHOD url`, and the headers of each request. */
  readonly requests: { readonly line: string; readonly headers: IncomingMessage["headers"] }[];
  close(): void;
}

export async function serveLoopback(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Loopback> {
  const requests: Loopback["requests"] = [];
  const server = createServer((request, response) => {
    requests.push({ line: `${request.method} ${request.url}`, headers: request.headers });
    answer(request, response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, requests, close: () => server.close().closeAllConnections() };
}

/** A copy of an example whose manifest names another host: nothing else of the plugin changes. */
export async function withHost(
  home: TestHome,
  name: string,
  replace: readonly (readonly [string, string])[],
): Promise<string> {
  const folder = join(dirname(home.path), "examples", name);
  await cp(repositoryPlugin(name), folder, { recursive: true });
  const file = join(folder, "plugin.yml");
  let manifest = await readFile(file, "utf8");
  for (const [from, to] of replace) {
    if (!manifest.includes(from)) throw new Error(`The manifest has no ${from}.`);
    manifest = manifest.replaceAll(from, to);
  }
  await writeFile(file, manifest);
  return folder;
}

export async function run(host: Host, source: string, approve: ApproveRequest = {}): Promise<string> {
  const { plugin } = await host.plugins.install(OPERATOR, { source });
  await host.plugins.approve(OPERATOR, plugin.id, approve);
  await host.plugins.load(OPERATOR, plugin.id);
  return plugin.id;
}
