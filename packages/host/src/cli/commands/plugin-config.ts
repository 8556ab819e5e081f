import { readFileSync } from "node:fs";
import { z } from "zod";
import { displayLine, displayText } from "../../kernel/index.ts";
import { configFormAnswer } from "../../wire/index.ts";
import { isInteractive } from "../io.ts";
import { safeJson } from "../render/index.ts";
import type { Session } from "../session.ts";
import { editConfig } from "./config-edit.ts";
import { path, text, usage } from "./define.ts";

/** Shows the effective configuration, or replaces the operator's values: from an argument, a file, or a form on the terminal. */
export async function configure(
  session: Session,
  [id = ""]: readonly string[],
  options: Readonly<Record<string, unknown>>,
) {
  const target = path("/api/plugins/config", id);
  const set = text(options, "set");
  const file = text(options, "file");
  if (set !== undefined && file !== undefined) throw usage("--set and --file exclude each other.", "Give one of them.");
  if (options["edit"] === true) {
    if (set !== undefined || file !== undefined) throw usage("--edit asks for the values itself.", "Give it alone.");
    if (!isInteractive(session.io)) throw usage("--edit needs a terminal.", "Give --file FILE instead.");
    const form = configFormAnswer.parse((await session.call("GET", `${target}/form`)).result);
    return save(session, target, await editConfig(session.io, form));
  }
  if (set === undefined && file === undefined) {
    const { result } = await session.call("GET", target);
    session.print(result, () => `${displayText(safeJson(result, 2), 100_000)}\n`);
    return;
  }
  if (set === undefined) return save(session, target, await readFile(file ?? ""));
  const values = await parseValues(set, "--set");
  await refuseSensitive(session, target, values);
  return save(session, target, values);
}

/* An argument is seen by every process of the machine and kept in the shell's history. */
async function refuseSensitive(session: Session, target: string, values: Record<string, unknown>): Promise<void> {
  const { fields } = configFormAnswer.parse((await session.call("GET", `${target}/form`)).result);
  const sensitive = fields.find(({ key, sensitive: yes }) => yes && typeof values[key] === "string");
  if (sensitive === undefined) return;
  throw usage(
    `${displayLine(sensitive.key)} is sensitive and is not taken from an argument.`,
    "Give it with --edit or --file FILE.",
  );
}

async function save(session: Session, target: string, values: Record<string, unknown>): Promise<void> {
  const { result } = await session.call("PUT", target, { body: { values } });
  session.print(
    { success: true, config: result },
    () => `${session.style.good("✔")} Saved; it holds from the next load on.\n`,
  );
}

async function readFile(file: string): Promise<Record<string, unknown>> {
  let content: string;
  try {
    content = readFileSync(file, "utf8");
  } catch {
    throw usage(`${file} cannot be read.`, "Give a YAML or JSON file with the values.");
  }
  return parseValues(content, file);
}

async function parseValues(content: string, where: string): Promise<Record<string, unknown>> {
  const { parse } = await import("yaml");
  try {
    // YAML reads JSON too.
    return z.record(z.string(), z.unknown()).parse(parse(content, { maxAliasCount: 0 }) ?? {});
  } catch {
    throw usage(`${where} holds no object of values.`, `Write a mapping, such as {"units": "metric"}.`);
  }
}
