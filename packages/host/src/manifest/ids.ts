import { displayLine, SallyportError } from "../kernel/index.ts";

const PART = /^[a-z][a-z0-9-]*$/;
const TOOL = /^[a-z][a-z0-9_]*$/;
const MAX_ID = 60;
/* What MCP clients accept for `<plugin>__<tool>`. */
const MAX_FULL_NAME = 64;

/* Names of ours, of the system or of everyone; a plugin with one of them would be mistaken for it. */
const RESERVED = [
  "sallyport",
  "host",
  "system",
  "mcp",
  "core",
  "kernel",
  "root",
  "admin",
  "operator",
  "api",
  "agent",
  "agents",
  "console",
  "broker",
  "policy",
  "approval",
  "approvals",
  "audit",
  "secret",
  "secrets",
  "vault",
  "registry",
  "catalog",
  "runner",
  "supervisor",
  "plugin",
  "plugins",
  "tool",
  "tools",
  "builtin",
  "internal",
  "official",
  "trusted",
  "verified",
  "default",
  "all",
  "any",
  "none",
  "null",
  "undefined",
  "true",
  "false",
  "deno",
  "node",
  "npm",
];

function refuse(message: string, fix: string): never {
  throw new SallyportError("manifest_invalid", message, { fix });
}

/**
 * What an id looks like at a glance: two ids with one skeleton are told apart by nobody.
 * `0` as `o`, `1` and `i` as `l`, `5` as `s`, `rn` as `m`, `vv` as `w`, hyphens left out.
 */
export function idSkeleton(id: string): string {
  return id
    .replaceAll("-", "")
    .replaceAll("rn", "m")
    .replaceAll("vv", "w")
    .replace(/[0135i8]/g, (char) => ({ "0": "o", "1": "l", "3": "e", "5": "s", i: "l", "8": "b" })[char] ?? char);
}

const RESERVED_SKELETONS = new Map(RESERVED.map((name) => [idSkeleton(name), name]));

/** The id in its one spelling: `_` read as `-`, either case folded. Not yet checked. */
export function foldId(text: string): string {
  return text.toLowerCase().replaceAll("_", "-");
}

/**
 * Checks an id in its one spelling: `name` or `publisher/name`.
 * @throws {SallyportError} `manifest_invalid`.
 */
export function checkPluginId(id: string): void {
  const shown = JSON.stringify(displayLine(id, 80));
  if (id.length > MAX_ID) refuse(`The id ${shown} is longer than ${MAX_ID} characters.`, "Shorten it.");
  const parts = id.split("/");
  if (parts.length > 2 || !parts.every((part) => PART.test(part) && !part.endsWith("-") && !part.includes("--"))) {
    refuse(
      `The id ${shown} is not a name of lower-case ASCII letters, digits and single hyphens.`,
      "Write it as in weather, or publisher/weather.",
    );
  }
  for (const part of parts) {
    const like = RESERVED_SKELETONS.get(idSkeleton(part));
    if (like === part) refuse(`The name "${part}" is reserved.`, "Choose another.");
    if (like !== undefined) refuse(`The name "${part}" looks like the reserved name "${like}".`, "Choose another.");
  }
}

/**
 * Checks a tool's name.
 * @throws {SallyportError} `manifest_invalid`.
 */
export function checkToolName(name: string): void {
  const shown = JSON.stringify(displayLine(name, 80));
  if (!TOOL.test(name))
    refuse(
      `The tool name ${shown} is not made of lower-case ASCII letters, digits and _.`,
      "Write it as in get_forecast.",
    );
  if (name.includes("__"))
    refuse(`The tool name ${shown} has two underscores in a row, which separate plugin and tool.`, "Use one.");
}

/** Name of a tool for agents: `<plugin>__<tool>`, a `/` in the id as `_`. */
export function fullToolName(pluginId: string, tool: string): string {
  return `${pluginId.replace("/", "_")}__${tool}`;
}

export function checkFullToolName(pluginId: string, tool: string): void {
  const full = fullToolName(pluginId, tool);
  if (full.length > MAX_FULL_NAME)
    refuse(
      `The full name ${full} has ${full.length} characters; ${MAX_FULL_NAME} are allowed.`,
      "Shorten the id or the tool's name.",
    );
}
