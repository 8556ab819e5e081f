import type { JsonSchema } from "./types.ts";

/** The properties that a tool's input schema names at its top. */
export function propertiesOf(schema: JsonSchema): Readonly<Record<string, unknown>> {
  return typeof schema !== "boolean" && isRecord(schema["properties"]) ? schema["properties"] : {};
}

export function requiredOf(schema: JsonSchema): readonly string[] {
  const required: unknown = typeof schema === "boolean" ? [] : schema["required"];
  return Array.isArray(required) ? required.filter((name): name is string => typeof name === "string") : [];
}

/**
 * A tool's input from texts, as a prompt, a command line or a query has them: what the tool takes as a number, a list or the
 * like is read as JSON where it is that. The schema says afterwards whether it fits.
 */
export function inputFromTexts(
  schema: JsonSchema,
  values: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  const properties = propertiesOf(schema);
  return Object.fromEntries(
    Object.entries(values).map(([name, text]) => [
      name,
      valueOf(Object.hasOwn(properties, name) ? properties[name] : undefined, text),
    ]),
  );
}

/**
 * The properties that the words of a command stand for, in order: those that its description writes in capitals
 * (`/weather CITY`), else the one that is required, or the only one there is.
 */
export function wordsOf(description: string, schema: JsonSchema): readonly string[] {
  const names = Object.keys(propertiesOf(schema));
  const said = (description.match(/\b[A-Z][A-Z0-9_-]*\b/g) ?? []).flatMap((word) => {
    const folded = word.toLowerCase().replaceAll("-", "_");
    return names.find((name) => name.toLowerCase() === folded) ?? [];
  });
  if (said.length > 0) return [...new Set(said)];
  const required = requiredOf(schema);
  if (required.length === 1) return required;
  return names.length === 1 ? names : [];
}

function valueOf(property: unknown, text: string): unknown {
  if (!isRecord(property) || property["type"] === undefined || property["type"] === "string") return text;
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return text;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
