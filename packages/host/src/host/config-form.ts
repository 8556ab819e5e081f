import { sentenceOf } from "../capability/index.ts";
import type { ConfigField, ConfigForm } from "../host-api.ts";
import { displayLine } from "../kernel/index.ts";
import { type JsonSchema, type SensitiveKey, sensitiveKeys } from "../manifest/index.ts";

const MOST_FIELDS = 200;
const MOST_CHOICES = 100;
const LABEL_CHARS = 80;
const DESCRIPTION_CHARS = 500;

type Shape = Readonly<Record<string, unknown>>;

/**
 * A form for a config_schema, in the order of the schema. No text of the plugin is more than one escaped, bounded line, and none is
 * markup; a sensitive value is never in it.
 * @param values in clear, what is in force. @param kept sensitive keys that have a value.
 */
export function configForm(
  schema: JsonSchema,
  values: Readonly<Record<string, unknown>>,
  kept: ReadonlySet<string>,
): ConfigForm {
  const shape = recordOf(schema);
  const required = Array.isArray(shape["required"]) ? shape["required"] : [];
  const sensitive = new Map(sensitiveKeys(schema).map((each) => [each.key, each]));
  const all = Object.entries(recordOf(shape["properties"]));
  const fields = all.slice(0, MOST_FIELDS).map(([key, property]): ConfigField => {
    const of = recordOf(property);
    const secret = sensitive.get(key);
    const title = of["title"];
    const description = of["description"];
    return {
      key,
      label: displayLine(typeof title === "string" && title !== "" ? title : key, LABEL_CHARS),
      ...(typeof description === "string" && { description: displayLine(description, DESCRIPTION_CHARS) }),
      required: required.includes(key),
      ...(secret === undefined
        ? { sensitive: false, ...typed(of), ...valued(of, values, key) }
        : { sensitive: true, type: "text", notice: noticeOf(secret), isSet: kept.has(key), ...lengths(of) }),
    };
  });
  return { fields, more: all.length - fields.length, open: openTo(shape["additionalProperties"]) };
}

function openTo(additional: unknown): boolean {
  return additional !== false;
}

function valued(of: Shape, values: Readonly<Record<string, unknown>>, key: string) {
  const isSet = Object.hasOwn(values, key);
  const fallback = of["default"];
  return {
    isSet,
    ...(isSet ? { value: values[key] } : fallback === undefined ? {} : { value: fallback }),
    ...(fallback !== undefined && { default: fallback }),
  };
}

function typed(of: Shape): Pick<ConfigField, "type" | "choices" | "minimum" | "maximum" | "minLength" | "maxLength"> {
  const choices = choicesOf(of);
  if (choices !== undefined) return { type: "choice", choices };
  switch (of["type"]) {
    case "string":
      return { type: "text", ...lengths(of) };
    case "number":
    case "integer":
      return { type: of["type"], ...numberOf(of, "minimum"), ...numberOf(of, "maximum") };
    case "boolean":
      return { type: "boolean" };
    default:
      return { type: "json" };
  }
}

function choicesOf(of: Shape): ConfigField["choices"] | undefined {
  const values: unknown = of["enum"];
  if (!Array.isArray(values) || values.length === 0 || values.length > MOST_CHOICES) return undefined;
  const choices = values.flatMap((value: unknown) =>
    value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean"
      ? [{ value, label: displayLine(String(value), LABEL_CHARS) }]
      : [],
  );
  return choices.length === values.length ? choices : undefined;
}

function lengths(of: Shape): Pick<ConfigField, "minLength" | "maxLength"> {
  return { ...numberOf(of, "minLength"), ...numberOf(of, "maxLength") };
}

function numberOf<Key extends string>(of: Shape, key: Key): { readonly [name in Key]?: number } | object {
  const value = of[key];
  return typeof value === "number" ? { [key]: value } : {};
}

function noticeOf({ key, use }: SensitiveKey): string {
  const name = `config:${key}`;
  return sentenceOf({ capability: "secrets", name, ...(use === undefined ? { expose: true } : { use }) });
}

function recordOf(value: unknown): Shape {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}
