import { networkScope } from "../capability/index.ts";
import { digestOf, EFFECTS, type Effect, LIMITS, SallyportError } from "../kernel/index.ts";
import { hookOf, mcpServerOf, mergeRequests, requestFor, requestsOf, requestsOfContributions } from "./requests.ts";
import { canonicalEntry } from "./entry.ts";
import { respell } from "./foreign.ts";
import { checkFullToolName } from "./ids.ts";
import { addIssues } from "./issues.ts";
import { checkSchema, configSchema, sensitiveKeys } from "./json-schema/index.ts";
import { collectProblems, manifestError, type PathPart, type Problems } from "./problems.ts";
import { manifestShape, type RawManifest } from "./shape.ts";
import { readSource } from "./source.ts";
import type { JsonSchema, Manifest, ProgramInterpreter, ToolDefinition } from "./types.ts";

const NAMES = ["plugin.yml", "plugin.yaml", "plugin.json"] as const;

/** A manifest file as it was found: its name (`plugin.yml`, `plugin.yaml`, `plugin.json`) and bytes. */
export interface ManifestFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface ReadManifest {
  /** Frozen, all the way down. */
  readonly manifest: Manifest;
  /** `sha256:…` over the normalised manifest. */
  readonly digest: string;
  /** What was read otherwise than it is written; for people. */
  readonly warnings: readonly string[];
}

/**
 * Which of a directory's names is the manifest.
 * @throws {SallyportError} `manifest_missing` for none, `manifest_invalid` for more than one.
 */
export function findManifest(names: readonly string[]): string {
  const found = NAMES.filter((name) => names.includes(name));
  const [first] = found;
  if (first === undefined) {
    throw new SallyportError("manifest_missing", "There is no manifest at the plugin's root.", {
      fix: "Add plugin.yml (or plugin.yaml, or plugin.json); `sallyport plugin new` writes one.",
    });
  }
  if (found.length > 1) {
    throw new SallyportError("manifest_invalid", `There is more than one manifest: ${found.join(", ")}.`, {
      fix: "Keep one of them.",
      data: { files: found },
    });
  }
  return first;
}

/**
 * Reads a manifest that a stranger wrote. Nothing of the plugin runs; time and memory are bounded by the size limits.
 * @throws {SallyportError} `manifest_too_large`, `manifest_invalid`, `entry_invalid`, `schema_unsupported`, after the first problem; `data` has `file`,
 * `path` and all `problems` as [{path, problem, fix}].
 */
export function readManifest(file: ManifestFile): ReadManifest {
  if (!NAMES.some((name) => name === file.name)) {
    throw manifestError("manifest_invalid", file.name, [
      { path: "", problem: "This is not the name of a manifest.", fix: `Use ${NAMES.join(", ")}.` },
    ]);
  }
  const source = readSource(file);
  const problems = collectProblems(file.name);
  if (!isRecord(source)) {
    throw manifestError("manifest_invalid", file.name, [
      {
        path: "",
        problem: "The manifest is not a map of keys and values.",
        fix: "Start it with id:, name: and version:.",
      },
    ]);
  }
  const respelled = respell(source, problems);
  const parsed = manifestShape.safeParse(respelled.raw);
  if (!parsed.success) addIssues(parsed.error, respelled.raw, problems);
  checkSchemas(respelled.raw, problems);
  problems.settle();
  if (!parsed.success)
    throw manifestError("manifest_invalid", file.name, [{ path: "", problem: "The manifest is not valid." }]);
  const raw = parsed.data;
  const warnings = [...respelled.warnings];
  checkReferences(raw, problems);
  problems.settle();
  const permissions = mergeRequests([
    ...requestsOfContributions(raw.contributes),
    ...respelled.requests,
    ...requestsOf(raw.permissions),
    ...requestsOfConfig(raw),
  ]);
  const manifest = deepFreeze(normalise(raw, permissions, warnings));
  return { manifest, digest: digestOf("sallyport-manifest-v1", manifest), warnings };
}

/** Every JSON Schema of the manifest, whether or not the rest is well formed. */
function checkSchemas(raw: Record<string, unknown>, problems: Problems): void {
  const check = (schema: unknown, path: readonly PathPart[], config: boolean): void => {
    if (typeof schema !== "object" || schema === null || Array.isArray(schema)) return; // the shape says so
    problems.attempt("schema_unsupported", path, () => checkSchema(schema, "", { config }));
  };
  check(raw["config_schema"], ["config_schema"], true);
  const tools: unknown = isRecord(raw["contributes"]) ? raw["contributes"]["tools"] : undefined;
  if (!Array.isArray(tools)) return;
  tools.slice(0, 128).forEach((tool: unknown, index) => {
    if (!isRecord(tool)) return;
    for (const key of ["input_schema", "output_schema"]) check(tool[key], ["contributes", "tools", index, key], false);
  });
}

function checkReferences(raw: RawManifest, problems: Problems): void {
  const { tools = [], commands = [], routes = [], hooks = [], mcp_servers: servers = [] } = raw.contributes;
  const declared = new Set(tools.map((tool) => tool.name));
  const unique = (place: string, names: readonly string[]): void => {
    names.forEach((name, index) => {
      if (names.indexOf(name) !== index)
        problems.add(
          "manifest_invalid",
          ["contributes", place, index],
          `It is there twice: ${name}.`,
          "Keep one of the two.",
        );
    });
  };
  unique(
    "tools",
    tools.map((tool) => tool.name),
  );
  unique(
    "commands",
    commands.map((command) => command.name),
  );
  unique(
    "routes",
    routes.map((route) => `${route.method} ${route.path}`),
  );
  unique(
    "hooks",
    hooks.map((hook) => `${hook.event} ${hook.handler}`),
  );
  unique(
    "mcp_servers",
    servers.map((server) => server.name),
  );
  tools.forEach((tool, index) =>
    problems.attempt("manifest_invalid", ["contributes", "tools", index, "name"], () =>
      checkFullToolName(raw.id, tool.name),
    ),
  );
  tools.forEach(({ input_schema: schema }, index) => {
    if (schema === true || (typeof schema === "object" && (schema["type"] ?? "object") === "object")) return;
    problems.add(
      "manifest_invalid",
      ["contributes", "tools", index, "input_schema"],
      "The input of a tool is an object.",
      "Write type: object.",
    );
  });
  for (const [place, items] of Object.entries({ commands, routes })) {
    items.forEach((item, index) => {
      if (!declared.has(item.tool))
        problems.add(
          "manifest_invalid",
          ["contributes", place, index, "tool"],
          `No tool ${JSON.stringify(item.tool)} is declared.`,
          "Declare it in contributes.tools, or name another.",
        );
    });
  }
  problems.attempt("entry_invalid", ["entry"], () => canonicalEntry(raw.entry, interpreterOf(raw)));
  servers.forEach((server, index) => {
    const at = (key: string): PathPart[] => ["contributes", "mcp_servers", index, key];
    for (const own of Object.keys(server.tools ?? {})) {
      if (!declared.has(own))
        problems.add(
          "manifest_invalid",
          [...at("tools"), own],
          "No such tool is declared.",
          "Declare it in contributes.tools.",
        );
    }
    if (server.program !== undefined && server.program !== raw.entry.replace(/^\.\//, ""))
      problems.add("manifest_invalid", at("program"), "It is not the entry.", "Name the same file as entry.");
    if (server.program !== undefined && interpreterOf(raw) === undefined)
      problems.add(
        "manifest_invalid",
        at("program"),
        "A server is a program.",
        "Say interpreter: python, node or none.",
      );
    if ((server.program === undefined) === (server.url === undefined))
      problems.add(
        "manifest_invalid",
        ["contributes", "mcp_servers", index],
        "It has not exactly one of program and url.",
        "Say where the server is.",
      );
  });
  raw.permissions.network?.forEach((item, index) =>
    problems.attempt("manifest_invalid", ["permissions", "network", index], () => networkScope(item)),
  );
  raw.permissions.agent?.forEach((item, index) => {
    if (item.notify !== true && (item.tools ?? []).length === 0)
      problems.add(
        "manifest_invalid",
        ["permissions", "agent", index],
        "It asks for nothing.",
        "Name tools, or notify: true.",
      );
  });
  problems.attempt("schema_unsupported", ["config_schema"], () => configSchema(raw.config_schema));
}

/** A sensitive configuration value is a secret like any other: sent where `x-use` says, or exposed in so many words. */
function requestsOfConfig(raw: RawManifest): ReturnType<typeof requestsOf> {
  return sensitiveKeys(raw.config_schema).map(({ key, use }) => {
    const name = `config:${key}`;
    return use === undefined
      ? requestFor({ capability: "secrets", name, expose: true })
      : requestFor({ capability: "secrets", name, use });
  });
}

function normalise(raw: RawManifest, permissions: Manifest["permissions"], warnings: string[]): Manifest {
  const { contributes, limits, engines } = raw;
  return {
    id: raw.id,
    name: raw.name,
    version: raw.version,
    description: raw.description,
    ...(raw.author === undefined ? {} : { author: raw.author }),
    ...(raw.license === undefined ? {} : { license: raw.license }),
    ...(raw.homepage === undefined ? {} : { homepage: raw.homepage }),
    entry: canonicalEntry(raw.entry, interpreterOf(raw)),
    ...withInterpreter(raw),
    categories: [...new Set(raw.categories ?? [])],
    tools: (contributes.tools ?? []).map((tool) => toolOf(tool, warnings)),
    commands: contributes.commands ?? [],
    routes: contributes.routes ?? [],
    hooks: (contributes.hooks ?? []).map(hookOf),
    mcpServers: (contributes.mcp_servers ?? []).map(mcpServerOf),
    permissions,
    configSchema: configSchema(raw.config_schema),
    dependencies: raw.dependencies ?? {},
    engines: engines?.sallyport === undefined ? {} : { sallyport: engines.sallyport },
    isolation: { minimum: raw.isolation?.minimum ?? "runtime" },
    limits: {
      ...(limits?.memory_mb === undefined ? {} : { memoryMb: limits.memory_mb }),
      ...(limits?.concurrency === undefined ? {} : { concurrency: limits.concurrency }),
    },
  };
}

function interpreterOf({ interpreter }: RawManifest): ProgramInterpreter | undefined {
  return interpreter === "deno" ? undefined : interpreter;
}

function withInterpreter(raw: RawManifest): Pick<Manifest, "interpreter"> {
  const interpreter = interpreterOf(raw);
  return interpreter === undefined ? {} : { interpreter };
}

function toolOf(tool: NonNullable<RawManifest["contributes"]["tools"]>[number], warnings: string[]): ToolDefinition {
  return {
    name: tool.name,
    description: tool.description,
    effect: effectOf(tool.name, tool.effect, warnings),
    inputSchema: objectSchema(tool.input_schema),
    ...(tool.output_schema === undefined ? {} : { outputSchema: tool.output_schema }),
    timeoutMs: tool.timeout_ms ?? LIMITS.defaultTimeoutMs,
  };
}

function effectOf(tool: string, effect: string | undefined, warnings: string[]): Effect {
  const known = EFFECTS.find((item) => item === effect);
  if (known === undefined)
    warnings.push(`The tool ${tool} states no effect that is known here; it counts as destructive.`);
  return known ?? "destructive";
}

/** Inputs are objects; MCP and every model say so. */
function objectSchema(schema: JsonSchema): JsonSchema {
  return typeof schema === "object" ? { type: "object", ...schema } : { type: "object" };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
