import type * as clack from "@clack/prompts";
import { displayLine, hasHiddenCharacters, SallyportError } from "../../kernel/index.ts";
import { type ConfigFieldAnswer, type ConfigFormAnswer } from "../../wire/index.ts";
import type { Io } from "../io.ts";

type Prompts = typeof clack;

/**
 * Asks for each value of a form on the terminal and gives the operator's values to save: what differs from the plugin's own, and of
 * sensitive values those that were typed. @throws {SallyportError} `cancelled` when the person gives up; then nothing is saved.
 */
export async function editConfig(io: Io, form: ConfigFormAnswer): Promise<Record<string, unknown>> {
  const prompts = await import("@clack/prompts");
  const entries: [string, unknown][] = [];
  for (const field of form.fields) {
    const entered = await ask(prompts, io, field);
    if (prompts.isCancel(entered)) throw new SallyportError("cancelled", "Nothing was saved.");
    if (entered !== undefined && !sameJson(entered, field.default)) entries.push([field.key, entered]);
  }
  return Object.fromEntries(entries);
}

/** What was entered; `undefined`: as the plugin has it, and of a sensitive field as it is. */
function ask(prompts: Prompts, io: Io, field: ConfigFieldAnswer): Promise<unknown> {
  const streams = { input: io.stdin, output: io.stderr };
  const message = messageOf(field);
  if (field.sensitive) return askSecret(prompts, streams, message, field);
  if (field.type === "choice") return askChoice(prompts, streams, message, field);
  if (field.type === "boolean") return prompts.confirm({ ...streams, message, initialValue: field.value === true });
  return askText(prompts, streams, message, field);
}

type Streams = { readonly input: Io["stdin"]; readonly output: Io["stderr"] };

async function askSecret(
  { password, isCancel }: Prompts,
  streams: Streams,
  message: string,
  field: ConfigFieldAnswer,
): Promise<unknown> {
  const answer = await password({
    ...streams,
    message: field.is_set ? `${message} (Enter keeps the one that is set)` : message,
    validate: (value) => (value || field.is_set || !field.required ? undefined : "It is required."),
  });
  return isCancel(answer) ? answer : answer || undefined;
}

async function askChoice(
  { select, isCancel }: Prompts,
  streams: Streams,
  message: string,
  { choices = [], value, required }: ConfigFieldAnswer,
): Promise<unknown> {
  const options = choices.map(({ label }, index) => ({ value: index, label }));
  const none = required ? [] : [{ value: -1, label: "(none)" }];
  const current = choices.findIndex((choice) => choice.value === value);
  const answer = await select({ ...streams, message, options: [...options, ...none], initialValue: current });
  return isCancel(answer) ? answer : choices[answer]?.value;
}

async function askText(
  { text, isCancel }: Prompts,
  streams: Streams,
  message: string,
  field: ConfigFieldAnswer,
): Promise<unknown> {
  const current = textOf(field, field.value);
  const answer = await text({
    ...streams,
    message,
    // What would not be shown as it is cannot be edited as it is shown.
    ...(hasHiddenCharacters(current) ? {} : { initialValue: current }),
    validate: (value) => problemOf(field, value ?? ""),
  });
  return isCancel(answer) ? answer : parsed(field, answer ?? "");
}

function messageOf({ label, description, required, notice, type }: ConfigFieldAnswer): string {
  const kind = type === "json" ? ", as JSON" : "";
  const lines = [`${displayLine(label, 100)}${required ? "" : " (optional)"}${kind}`];
  if (description !== undefined) lines.push(displayLine(description, 500));
  if (notice !== undefined) lines.push(`The plugin ${displayLine(notice, 500)}.`);
  return lines.join("\n");
}

function textOf({ type }: ConfigFieldAnswer, value: unknown): string {
  if (value === undefined) return "";
  return type !== "json" && typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

/** What was typed as a value; nothing is none. The host checks it with the schema. */
function parsed({ type }: ConfigFieldAnswer, typedText: string): unknown {
  if (typedText === "") return undefined;
  if (type === "number" || type === "integer") return Number(typedText);
  return type === "json" ? JSON.parse(typedText) : typedText;
}

/** What is wrong with a text, as early as it can be said. */
export function problemOf(field: ConfigFieldAnswer, typedText: string): string | undefined {
  const { type, required, minimum, maximum, min_length: least = 0, max_length: most = Infinity } = field;
  if (typedText === "") return required && type !== "text" ? "It is required." : undefined;
  if (type === "json") return isJson(typedText) ? undefined : "It is not JSON.";
  if (type === "text") {
    const { length } = Array.from(typedText);
    return length < least
      ? `It has less than ${least} characters.`
      : length > most
        ? `It has more than ${most} characters.`
        : undefined;
  }
  const value = Number(typedText);
  if (!Number.isFinite(value)) return "It is not a number.";
  if (type === "integer" && !Number.isInteger(value)) return "It is not a whole number.";
  if (minimum !== undefined && value < minimum) return `It is under ${minimum}.`;
  return maximum !== undefined && value > maximum ? `It is over ${maximum}.` : undefined;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function sameJson(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
