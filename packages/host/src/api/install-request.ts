import { isAbsolute } from "node:path";
import { z } from "zod";
import type { InstallRequest } from "../host-api.ts";
import { CAPABILITIES, type Capability, SallyportError } from "../kernel/index.ts";
import { CATEGORIES } from "../manifest/index.ts";
import { lockEntrySchema } from "../registry/index.ts";
import { checked } from "./body.ts";
import { version } from "./fields.ts";

const path = z.string().min(1).max(4096).refine(isAbsolute, "must be an absolute path on the host's machine");
/** As the host reads it: a path, ID[@RANGE] of a registry, npm:NAME[@RANGE]. Never relative to somebody's working directory. */
const named = z
  .string()
  .min(1)
  .max(4096)
  .refine(
    (text) => isAbsolute(text) || /^[a-z]/.test(text),
    "must be an absolute path, ID[@RANGE] or npm:NAME[@RANGE]",
  );
const text = z.string().min(1).max(10_000);

const ours = z.strictObject({
  source: named,
  load: z.boolean().default(false),
  dependencies: z.boolean().default(true),
  frozen: lockEntrySchema.optional(),
  expect: z.strictObject({ id: text.optional(), name: text.optional(), version: version.optional() }).optional(),
});

/** What "Powerhouse" sends: the metadata is required, and checked against the manifest. */
const powerhouse = z.strictObject({
  plugin_path: path,
  metadata: z.strictObject({
    name: text,
    version,
    author: text,
    description: text,
    capabilities: z.array(z.string().max(100)).max(100),
    required_permissions: z.array(z.string().max(100)).max(100),
  }),
  auto_load: z.boolean().default(false),
});

const PERMISSION_NAMES: ReadonlyMap<string, Capability> = new Map([
  ["FILE_READ", "filesystem"],
  ["FILE_WRITE", "filesystem"],
  ["NETWORK_ACCESS", "network"],
  ["DATABASE_READ", "database"],
  ["DATABASE_WRITE", "database"],
  ["EXECUTE_CODE", "exec"],
  ["SYSTEM_ACCESS", "system"],
  ["AGENT_CONTROL", "agent"],
]);

/** Both spellings of an install. @throws {SallyportError} `usage` for missing metadata or an unknown name in it. */
export function toInstallRequest(body: Readonly<Record<string, unknown>>): InstallRequest {
  if (!("plugin_path" in body)) {
    const { source, load, dependencies, frozen, expect } = checked(ours, body, "body");
    return { source, load, dependencies, ...(frozen && { frozen }), ...(expect && { expect: definedOf(expect) }) };
  }
  const { plugin_path, metadata, auto_load } = checked(powerhouse, body, "body");
  return {
    source: plugin_path,
    load: auto_load,
    expect: {
      name: metadata.name,
      version: metadata.version,
      author: metadata.author,
      description: metadata.description,
      categories: metadata.capabilities.map((name) => known(CATEGORIES, name.toLowerCase(), "capability")),
      capabilities: metadata.required_permissions.map(toCapability),
    },
  };
}

function toCapability(name: string): Capability {
  return PERMISSION_NAMES.get(name.toUpperCase()) ?? known(CAPABILITIES, name.toLowerCase(), "permission");
}

function known<T extends string>(names: readonly T[], name: string, kind: string): T {
  const found = names.find((candidate) => candidate === name);
  if (found !== undefined) return found;
  throw new SallyportError("usage", `The metadata names an unknown ${kind}.`, {
    detail: `Known are ${names.join(", ")}.`,
    fix: `Use one of them, as the plugin's manifest does.`,
  });
}

function definedOf(expect: { id?: string | undefined; name?: string | undefined; version?: string | undefined }) {
  return {
    ...(expect.id !== undefined && { id: expect.id }),
    ...(expect.name !== undefined && { name: expect.name }),
    ...(expect.version !== undefined && { version: expect.version }),
  };
}
