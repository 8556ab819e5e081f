import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { starterConfig } from "../../src/config/index.ts";
import { createHost, type CreateHostOptions } from "../../src/host.ts";
import type { Host } from "../../src/host-api.ts";
import { storeRoot } from "../../src/isolation/index.ts";
import type { Caller } from "../../src/kernel/index.ts";

export const OPERATOR = { name: "tester" };
export const AGENT: Caller = { kind: "agent", agent: "local" };
export const AS_OPERATOR: Caller = { kind: "operator", agent: "cli", operator: "tester" };

/** A plugin of the repository. */
export function repositoryPlugin(name: string): string {
  return fileURLToPath(new URL(`../../../../plugins/${name}`, import.meta.url));
}

export interface TestHome {
  readonly path: string;
  writeConfig(text: string): Promise<void>;
  /** Opens the home; one host at a time. */
  open(options?: Partial<CreateHostOptions>): Promise<Host>;
  /** Writes a plugin directory from file texts and gives its path. */
  plugin(name: string, files: Readonly<Record<string, string>>): Promise<string>;
  /** Closes what is open and removes everything. */
  remove(): Promise<void>;
}

/** A fresh home under the temporary directory, with the starter configuration and plugins turned on. */
export async function makeHome(config = starterConfig({ pluginsEnabled: true })): Promise<TestHome> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-test-"));
  const path = join(folder, "home");
  await mkdir(join(path, "keys"), { recursive: true, mode: 0o700 });
  await writeFile(join(path, "config.yml"), config, { mode: 0o600 });
  const opened: Host[] = [];
  return {
    path,
    writeConfig: (text) => writeFile(join(path, "config.yml"), text, { mode: 0o600 }),
    async open(options = {}) {
      const host = await createHost({ home: path, ...options });
      opened.push(host);
      return host;
    },
    async plugin(name, files) {
      const root = join(folder, "plugins", name);
      for (const [file, text] of Object.entries(files)) {
        await mkdir(dirname(join(root, file)), { recursive: true });
        await writeFile(join(root, file), text);
      }
      return root;
    },
    async remove() {
      for (const host of opened) await host.close();
      const hostIsRoot = process.getuid?.() === 0;
      if (hostIsRoot) await rm(dirname(storeRoot(path, { hostIsRoot })), { recursive: true, force: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A manifest with no wishes, in YAML; `more` is appended. */
export function manifestOf(id: string, tools: readonly string[], more = "permissions: {}"): string {
  return `manifest_version: 1
id: ${id}
name: ${id}
version: 1.0.0
description: A plugin of a test.
license: MIT
entry: plugin.js
contributes:
  tools:
${tools.map((tool) => `    - ${tool}`).join("\n")}
${more}
config_schema: { type: object, properties: {} }
`;
}

/** One tool line for `manifestOf`: any object in, anything out. */
export function toolLine(name: string, effect = "read"): string {
  return `{ name: ${name}, description: "Test tool ${name}.", effect: ${effect}, input_schema: { type: object } }`;
}

/** Installs, approves and loads a plugin, all it asks for. */
export async function installed(
  host: Host,
  source: string,
  approve: Parameters<Host["plugins"]["approve"]>[2] = {},
): Promise<string> {
  const { plugin } = await host.plugins.install(OPERATOR, { source });
  await host.plugins.approve(OPERATOR, plugin.id, approve);
  await host.plugins.load(OPERATOR, plugin.id);
  return plugin.id;
}
