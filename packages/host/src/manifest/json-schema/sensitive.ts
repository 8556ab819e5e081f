import { type SecretUse, secretUse } from "../../capability/index.ts";
import { SallyportError } from "../../kernel/index.ts";
import type { JsonSchema } from "../types.ts";

/** A property of a `config_schema` whose value lives in the vault. Without a `use` the plugin needs the `expose` grant. */
export interface SensitiveKey {
  readonly key: string;
  readonly use?: SecretUse;
}

/** Top-level properties marked `x-sensitive: true`, in the order of the schema. */
export function sensitiveKeys(schema: JsonSchema): readonly SensitiveKey[] {
  if (typeof schema === "boolean" || !isRecord(schema["properties"])) return [];
  return Object.entries(schema["properties"]).flatMap(([key, property]) => {
    if (!isRecord(property) || property["x-sensitive"] !== true) return [];
    const use = readUse(property["x-use"]);
    return [{ key, ...(use === undefined ? {} : { use }) }];
  });
}

/** What a sensitive value looks like wherever it is shown. */
export const MASK = "••••••";

/** The values as they may be shown: sensitive ones are replaced by a mask, whatever they are. */
export function maskConfig(
  schema: JsonSchema,
  values: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const hidden = new Set(sensitiveKeys(schema).map(({ key }) => key));
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, hidden.has(key) ? MASK : value]));
}

/** Checks the two marks of one property against each other; `refuse` throws. */
export function checkSensitive(
  schema: Record<string, unknown>,
  path: string,
  refuse: (path: string, problem: string, fix: string) => never,
): void {
  if (schema["x-sensitive"] === true) {
    if (schema["type"] !== "string") refuse(path, "A sensitive property is text.", "Add type: string.");
    if ("default" in schema || "const" in schema || "enum" in schema || "examples" in schema) {
      refuse(
        path,
        "A sensitive property has a value in the manifest, where everyone reads it.",
        "Remove default, const, enum and examples.",
      );
    }
  }
  if (!("x-use" in schema)) return;
  if (schema["x-sensitive"] !== true)
    refuse(path, "x-use stands without x-sensitive: true.", "Add x-sensitive: true, or remove x-use.");
  try {
    if (readUse(schema["x-use"]) === undefined)
      refuse(
        path,
        "x-use is not { origin, in, format }.",
        'Write { origin: "https://api.example.com", in: "header:authorization", format: "Bearer {}" }.',
      );
  } catch (error) {
    if (error instanceof SallyportError && error.code === "usage")
      refuse(path, error.message, error.fix ?? "Correct x-use.");
    throw error;
  }
}

function readUse(value: unknown): SecretUse | undefined {
  if (!isRecord(value) || Object.keys(value).some((key) => !["origin", "in", "format"].includes(key))) return undefined;
  const { origin, format } = value;
  const place = value["in"];
  if (typeof origin !== "string" || typeof place !== "string" || (format !== undefined && typeof format !== "string"))
    return undefined;
  return secretUse({ origin, in: place, format });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
