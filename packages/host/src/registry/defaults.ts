import { parseDocument } from "yaml";
import { displayLine, LIMITS, parseBoundedJson, SallyportError } from "../kernel/index.ts";
import { DEFAULTS_BYTES } from "./limits.ts";
import type { SourceFile } from "./walk.ts";

const NAMES: ReadonlySet<string> = new Set(["config.yml", "config.yaml", "config.json"]);

/**
 * Default values that the plugin ships in `config.yml|yaml|json` at its root; `{}` when it ships none. Plain data: what they must
 * look like is the manifest's config_schema, checked elsewhere.
 * @throws {SallyportError} `plugin_config_invalid` for two files, syntax, aliases, over 64 KiB, or anything but an object.
 */
export function readDefaults(files: readonly SourceFile[]): Readonly<Record<string, unknown>> {
  const [file, second] = files.filter((candidate) => NAMES.has(candidate.path));
  if (file === undefined) return {};
  if (second !== undefined) throw invalid(second.path, `stands beside ${file.path}; there may be one of them`);
  if (file.size > DEFAULTS_BYTES) throw invalid(file.path, `is over ${DEFAULTS_BYTES} bytes`);
  return parse(file.path, file.bytes);
}

function parse(name: string, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let json: string;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    json = name.endsWith(".json") ? text : (JSON.stringify(fromYaml(name, text)) ?? "null");
    const value = parseBoundedJson(json, { maxDepth: LIMITS.jsonDepth });
    if (value === null && !name.endsWith(".json")) return {};
    if (isRecord(value)) return value;
  } catch (error) {
    if (error instanceof SallyportError && error.code === "plugin_config_invalid") throw error;
    const why = error instanceof SallyportError ? error.message : "not valid UTF-8, JSON or YAML";
    throw invalid(name, `cannot be read: ${why}`, error);
  }
  throw invalid(name, "must be an object of names and values");
}

function fromYaml(name: string, text: string): unknown {
  const document = parseDocument(text, { uniqueKeys: true, merge: false, stringKeys: true });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem)
    throw invalid(name, `line ${problem.linePos?.[0].line ?? 1}: ${displayLine(problem.message.split("\n")[0] ?? "")}`);
  return document.toJS({ maxAliasCount: 0 });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(file: string, problem: string, cause?: unknown): SallyportError {
  return new SallyportError("plugin_config_invalid", `${file} ${problem}.`, {
    detail: "A shipped configuration is plain data and holds only defaults.",
    fix: `Mend or remove ${file}.`,
    data: { file, problem },
    cause,
  });
}
