import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach } from "vitest";
import { classifyAddress } from "../../src/broker/index.ts";
import { signAt } from "../../src/cli/sign-files.ts";
import { findManifest, readManifest } from "../../src/manifest/index.ts";
import {
  buildIndex,
  createIndexClient,
  type IndexClient,
  type IndexRegistry,
  openSource,
  packPlugin,
  parseRegistryPlace,
  type WebLimits,
} from "../../src/registry/index.ts";
import { generateSigningKey, type SigningKey } from "../../src/trust/index.ts";
import { manifestOf, toolLine } from "../support/home.ts";
import { pluginFolder, temporaryFolder } from "../registry/plugin-folder.ts";

export const NOW = Date.UTC(2026, 5, 1);
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
export const PORTS = { findManifest, readManifest };
export const KEEPER = generateSigningKey();
export const AUTHOR = generateSigningKey();

const CODE = "export default { tools: { look: () => ({ seen: true }) } };\n";

export interface PluginFacts {
  readonly id?: string;
  readonly version?: string;
  readonly code?: string;
  readonly more?: string;
  readonly keys?: readonly SigningKey[];
  readonly name?: string;
}

/** Writes a packed archive into a folder. @returns its name. */
export async function addArchive(folder: string, facts: PluginFacts = {}): Promise<string> {
  const { id = "weather", version = "1.0.0", code = CODE, more, keys = [AUTHOR] } = facts;
  const manifest = manifestOf(id, [toolLine("look")], more).replace("version: 1.0.0", `version: ${version}`);
  const dir = pluginFolder({ "plugin.yml": manifest, "plugin.js": code });
  const { archive } = await packPlugin(await openSource(dir), PORTS);
  const name = facts.name ?? `${id.replace("/", "@")}-${version}.tgz`;
  const file = join(folder, name);
  await writeFile(file, archive, { mode: 0o644 });
  for (const key of keys) await signAt(file, { key });
  return name;
}

export function index(folder: string, given: Partial<Parameters<typeof buildIndex>[1]> = {}) {
  return buildIndex(folder, { key: KEEPER, name: "acme", validMs: 30 * DAY, now: NOW, ports: PORTS, ...given });
}

/** A folder with one plugin in it and its index. */
export async function registryFolder(facts: PluginFacts = {}): Promise<string> {
  const folder = temporaryFolder();
  await addArchive(folder, facts);
  await index(folder);
  return folder;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface Site {
  readonly url: string;
  readonly asked: string[];
  /** What is answered instead of the folder's file. */
  readonly instead: Map<string, Handler | Buffer>;
  /** Another folder from now on. */
  serve(folder: string): void;
}

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
});

/** A web server of this machine over a folder, which may lie about single files. */
export async function site(folder: string): Promise<Site> {
  let root = folder;
  const asked: string[] = [];
  const instead: Site["instead"] = new Map();
  const server = createServer((request, response) => {
    const name = decodeURIComponent((request.url ?? "/").slice(1));
    asked.push(name);
    const lie = instead.get(name);
    if (typeof lie === "function") return lie(request, response);
    if (lie) return void response.end(lie);
    readFile(join(root, name)).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  return { url: `http://127.0.0.1:${port}/`, asked, instead, serve: (other) => void (root = other) };
}

/** A client as a home has it: it remembers what it has seen. */
export function client(place: string, limits: Partial<WebLimits> = {}) {
  const folder = temporaryFolder();
  const own: IndexClient = createIndexClient(folder, { classify: classifyAddress, limits });
  let registry: IndexRegistry = {
    name: "acme",
    place: parseRegistryPlace(place, true),
    key: KEEPER.id,
    seen: undefined,
  };
  return {
    folder,
    /** The same home with another program run: nothing in memory. */
    again: () => createIndexClient(folder, { classify: classifyAddress, limits }),
    registry: () => registry,
    move: (to: string) => (registry = { ...registry, place: parseRegistryPlace(to, true) }),
    async refresh(now = NOW) {
      const { index: found, seen } = await own.refresh(registry, now);
      registry = { ...registry, seen };
      return found;
    },
    async fetch(id: string, version: string, now = NOW) {
      const { entries } = await own.copyOf(registry);
      const entry = entries.find((one) => one.id === id && one.version === version);
      if (!entry) throw new Error("no such version");
      return own.archive(registry, entry, now);
    },
  };
}
