import { displayLine } from "../kernel/index.ts";
import type { Problems } from "./problems.ts";

type Raw = Record<string, unknown>;

const TYPE_NAMES: Readonly<Record<string, string>> = {
  str: "string",
  string: "string",
  text: "string",
  int: "integer",
  integer: "integer",
  float: "number",
  number: "number",
  bool: "boolean",
  boolean: "boolean",
  list: "array",
  array: "array",
  dict: "object",
  object: "object",
};

/**
 * `actions` (Powerhouse: name, description, parameters) or a top-level `tools` becomes `contributes.tools`; where nothing is declared and the
 * system has one `execute(...)` for a plugin (Missy), that is the tool.
 */
export function toolsOfActions(raw: Raw, problems: Problems, warnings: string[], oneExecute: boolean): void {
  const contributes: unknown = raw["contributes"] ?? {};
  if (!isRecord(contributes)) return;
  const given = ["actions", "tools"].filter((key) => key in raw);
  const [key] = given;
  if (key === undefined) {
    raw["contributes"] =
      oneExecute && raw["contributes"] === undefined
        ? { ...contributes, tools: [executeTool(raw, warnings)] }
        : contributes;
    return;
  }
  const items = raw[key];
  delete raw[key];
  if (given.length > 1 || "tools" in contributes || !Array.isArray(items)) {
    problems.add(
      "manifest_invalid",
      [key],
      "It is not the one list of the plugin's tools.",
      "Keep contributes.tools alone.",
    );
    raw["contributes"] = contributes;
    return;
  }
  problems.rename("contributes.tools", key);
  raw["contributes"] = {
    ...contributes,
    tools: items.map((item: unknown, index) => toolOfAction(item, index, key, problems)),
  };
}

function executeTool(raw: Raw, warnings: string[]): Raw {
  warnings.push("The manifest declares no tool; the plugin's execute(...) is its one tool, with any arguments.");
  const description = typeof raw["description"] === "string" ? raw["description"] : "Runs the plugin.";
  return { name: "execute", description, input_schema: { type: "object" } };
}

function toolOfAction(item: unknown, index: number, key: string, problems: Problems): unknown {
  if (!isRecord(item)) return item;
  const { parameters, ...rest } = item;
  if ("input_schema" in rest) {
    if (parameters !== undefined)
      problems.add(
        "manifest_invalid",
        [key, index, "parameters"],
        "It stands beside input_schema.",
        "Keep one of the two.",
      );
    return rest;
  }
  return { ...rest, input_schema: schemaOfParameters(parameters) };
}

/** A JSON Schema as it is; a map of name → type, description or schema becomes one; a list of names too. */
function schemaOfParameters(parameters: unknown): unknown {
  if (parameters === undefined || parameters === null) return { type: "object", additionalProperties: false };
  if (isRecord(parameters) && (parameters["type"] === "object" || isRecord(parameters["properties"])))
    return parameters;
  const entries = Array.isArray(parameters)
    ? parameters.map((name: unknown): [string, unknown] => [String(name), {}])
    : isRecord(parameters)
      ? Object.entries(parameters)
      : undefined;
  if (entries === undefined) return parameters;
  return {
    type: "object",
    properties: Object.fromEntries(entries.map(([name, value]) => [name, schemaOfParameter(value)])),
    additionalProperties: false,
  };
}

function schemaOfParameter(value: unknown): unknown {
  if (typeof value !== "string") return value;
  const folded = value.toLowerCase();
  const type = Object.hasOwn(TYPE_NAMES, folded) ? TYPE_NAMES[folded] : undefined;
  return type === undefined ? { description: displayLine(value, 500) } : { type };
}

function isRecord(value: unknown): value is Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
