import { LIMITS, SallyportError } from "../../kernel/index.ts";
import type { JsonSchema } from "../types.ts";
import { checkSchema } from "./check.ts";
import { compileSchema } from "./compile.ts";

/**
 * A config_schema as it is enforced: an object whose unknown keys are refused, unless `additionalProperties` says otherwise.
 * @throws {SallyportError} `schema_unsupported`.
 */
export function configSchema(schema: JsonSchema): JsonSchema {
  if (schema === true || schema === false)
    return Object.freeze({ type: "object", properties: {}, additionalProperties: schema });
  const closed = {
    type: "object",
    ...schema,
    ...("additionalProperties" in schema ? {} : { additionalProperties: false }),
  };
  if (closed.type !== "object") {
    throw new SallyportError("schema_unsupported", "A plugin's configuration is an object.", {
      fix: "Write type: object.",
      data: { path: "type" },
    });
  }
  return closed;
}

/**
 * The effective configuration: top-level defaults filled in, then everything checked. Unknown keys are refused unless the schema
 * allows them in so many words. The values given are not changed.
 * @throws {SallyportError} `plugin_config_invalid`; `data.problems` is [{path, problem}]. No message holds a value.
 */
export function validateConfig(
  schema: JsonSchema,
  values: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const size = sizeOf(values);
  if (size === undefined || size > LIMITS.schemaBytes) {
    throw new SallyportError(
      "plugin_config_invalid",
      `The configuration is no plain JSON object of at most ${LIMITS.schemaBytes} bytes.`,
      {
        fix: "Use text, numbers, true, false, null, lists and objects.",
      },
    );
  }
  const enforced = configSchema(schema);
  checkSchema(enforced, "config_schema", { config: true });
  const effective = { ...defaultsOf(enforced), ...values };
  const answer = compileSchema(enforced).check(effective);
  if (answer.ok) return effective;
  const [first] = answer.problems;
  const where = first === undefined || first.path === "" ? "The configuration" : first.path;
  throw new SallyportError("plugin_config_invalid", `${where} ${first?.problem ?? "is not valid"}.`, {
    detail:
      "The plugin's configuration is checked with its config_schema whenever it is written and whenever it is loaded.",
    fix: "Correct the value, or look at the schema with `sallyport plugin info`.",
    data: { path: first?.path ?? "", problems: answer.problems },
  });
}

function sizeOf(values: Readonly<Record<string, unknown>>): number | undefined {
  try {
    return Array.isArray(values) ? undefined : Buffer.byteLength(JSON.stringify(values));
  } catch {
    return undefined;
  }
}

function defaultsOf(schema: JsonSchema): Record<string, unknown> {
  if (typeof schema === "boolean") return {};
  const { properties } = schema;
  if (typeof properties !== "object" || properties === null) return {};
  const defaults: Record<string, unknown> = {};
  for (const [key, property] of Object.entries<unknown>({ ...properties })) {
    if (typeof property === "object" && property !== null && "default" in property)
      defaults[key] = structuredClone(property.default);
  }
  return defaults;
}
