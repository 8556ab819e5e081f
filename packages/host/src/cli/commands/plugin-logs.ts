import { z } from "zod";
import { displayText } from "../../kernel/index.ts";
import { type LogLineAnswer, logLineAnswer } from "../../wire/index.ts";
import { parseAnswer } from "../owner-client.ts";
import { isoTime, safeJson } from "../render/index.ts";
import type { Session } from "../session.ts";
import { flag, path, query, text, usage } from "./define.ts";

const API = "/api/plugins/logs";

/** The last lines of a plugin's log, oldest first; with `--follow` also each new one. */
export async function showLogs(
  session: Session,
  [id = ""]: readonly string[],
  options: Readonly<Record<string, unknown>>,
): Promise<void> {
  const limit = text(options, "limit");
  if (limit !== undefined && !/^\d{1,4}$/.test(limit)) throw usage("--limit is no number.", "Write --limit 100.");
  if (flag(options, "follow")) return follow(session, `${path(API, id)}${query({ limit, follow: "true" })}`);
  const lines = await session.get(z.array(logLineAnswer), "GET", `${path(API, id)}${query({ limit })}`);
  session.print(lines, () => {
    if (lines.length === 0) return "It has logged nothing since this host started.\n";
    return lines.map((line) => logLine(session, line)).join("");
  });
}

async function follow(session: Session, target: string): Promise<void> {
  for await (const json of session.lines(target)) {
    const line = logLineAnswer.parse(parseAnswer(json));
    session.io.stdout.write(session.json ? `${safeJson(line)}\n` : logLine(session, line));
  }
}

/** Time, level and text, escaped; what the plugin broke into lines stays one entry, its further lines indented. */
export function logLine(session: Session, line: LogLineAnswer): string {
  const { style } = session;
  const level = line.level.padEnd(5);
  const shown = { debug: style.dim, info: style.bold, warn: style.warn, error: style.bad }[line.level](level);
  const message = displayText(line.message, 10_000)
    .trimEnd()
    .replaceAll("\n", `\n${" ".repeat(31)}`);
  return `${style.dim(isoTime(line.time))} ${shown} ${message}\n`;
}
