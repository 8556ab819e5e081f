import type { Io } from "../io.ts";
import { parseExpiry } from "../render/index.ts";
import { list, text as textOf, usage } from "./define.ts";

/** The body of a yes from the options of the command line, or from words that were typed. */
export function approveBody(options: Readonly<Record<string, unknown>>, now: number): Record<string, unknown> {
  const uses = textOf(options, "uses");
  if (uses !== undefined && uses !== "any" && !/^[1-9]\d{0,5}$/.test(uses)) {
    throw usage("--uses is no number.", "Write --uses 1, or --uses any with --until.");
  }
  const until = textOf(options, "until") ?? textOf(options, "expires");
  const [match, hosts, paths] = [list(options, "match"), list(options, "host"), list(options, "path")];
  return {
    ...(uses !== undefined && { uses: uses === "any" ? null : Number(uses) }),
    ...(until !== undefined && { expires_at: parseExpiry(until, now) }),
    ...(match !== undefined && { match }),
    ...(hosts !== undefined && { hosts }),
    ...(paths !== undefined && { paths }),
  };
}

/** What a yes may be limited to, asked one after the other; an empty answer asks for nothing. Undefined when the person gave up. */
export async function askScope(io: Io): Promise<Readonly<Record<string, unknown>> | undefined> {
  const { isCancel, text } = await import("@clack/prompts");
  const streams = { input: io.stdin, output: io.stderr };
  const words: Record<string, unknown> = {};
  for (const [name, message, many] of QUESTIONS) {
    const answer = await text({ message, ...streams });
    if (isCancel(answer)) return undefined;
    const given = (answer ?? "").trim();
    if (given !== "") words[name] = many ? given.split(/\s+/) : given;
  }
  return words;
}

const QUESTIONS: readonly (readonly [string, string, boolean])[] = [
  ["match", "Arguments that may vary, as city=Be* (empty: exactly this call)", true],
  ["host", "Only these hosts (empty: as granted)", true],
  ["path", "Only below these folders (empty: as granted)", true],
  ["uses", "How many calls: a number, or any (empty: one)", false],
  ["until", "Until when: 2h, 18:00 (empty: a quarter of an hour)", false],
];
