import { readFileSync } from "node:fs";
import { z } from "zod";
import { displayText } from "../../kernel/index.ts";
import { safeJson } from "../render/index.ts";
import type { Session } from "../session.ts";
import { path, text, usage } from "./define.ts";

/** Shows the effective configuration, or replaces the operator's values. */
export async function configure(
  session: Session,
  [id = ""]: readonly string[],
  options: Readonly<Record<string, unknown>>,
) {
  const target = path("/api/plugins/config", id);
  const set = text(options, "set");
  const file = text(options, "file");
  if (set !== undefined && file !== undefined) throw usage("--set and --file exclude each other.", "Give one of them.");
  if (set === undefined && file === undefined) {
    const { result } = await session.call("GET", target);
    session.print(result, () => `${displayText(safeJson(result, 2), 100_000)}\n`);
    return;
  }
  const values = await (set === undefined ? readFile(file ?? "") : parseValues(set, "--set"));
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
