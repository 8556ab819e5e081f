import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { displayLine, displayText, SallyportError } from "../../kernel/index.ts";
import { learnAnswer, type LearnAnswerBody, type LearnedPermissionBody } from "../../wire/index.ts";
import { isoTime, parsePast, type Style } from "../render/index.ts";
import type { Session } from "../session.ts";
import { type CommandContext, flag, path, query, text, verb } from "./define.ts";

export function defineLearnCommand(plugin: Command, context: CommandContext): void {
  verb(
    plugin,
    context,
    "learn <id>",
    "what a plugin really used, and the least permissions that would have been enough; changes nothing",
    "sallyport plugin learn weather --since 30d",
    learn,
  )
    .option("--since <time>", "look no further back: 30m, 12h, 7d or an ISO date")
    .option("--include-refused", "ask for what it was refused too, as narrow as it was wanted")
    .option("--all-versions", "count what other versions of it did")
    .option("--write <file>", "write the block of permissions for a manifest to a new file");
}

async function learn(session: Session, [id = ""]: readonly string[], options: Readonly<Record<string, unknown>>) {
  const since = text(options, "since");
  const yes = (name: string): "true" | undefined => (flag(options, name) ? "true" : undefined);
  const wanted = query({
    since: since === undefined ? undefined : parsePast(since, session.io.now()),
    include_refused: yes("includeRefused"),
    all_versions: yes("allVersions"),
  });
  const answer = await session.get(learnAnswer, "GET", `${path("/api/plugins/learn", id)}${wanted}`);
  const file = text(options, "write");
  if (file !== undefined) await writeNew(resolve(file), answer.yaml);
  session.print(answer, () =>
    file === undefined
      ? learnText(session.style, answer)
      : `${learnText(session.style, answer)}${session.style.good("✔")} Wrote ${displayLine(file, 500)}\n`,
  );
}

/** @throws {SallyportError} `conflict` when there is something already. */
export async function writeNew(file: string, content: string): Promise<void> {
  try {
    await writeFile(file, content, { flag: "wx" });
  } catch (cause) {
    throw new SallyportError("conflict", `${displayLine(file, 500)} cannot be written.`, {
      fix: "Give a file that does not exist yet.",
      cause,
    });
  }
}

const SAID: Readonly<Record<LearnedPermissionBody["change"], string>> = {
  keep: "keep",
  narrow: "narrow",
  remove: "REMOVE",
  unseen: "cannot be seen",
  add: "ADD",
};

/** The proposal for people. */
export function learnText(style: Style, answer: LearnAnswerBody): string {
  return [
    whence(answer),
    ...(answer.permissions.length === 0 ? ["It asks for nothing beyond its tools.\n"] : ["\n"]),
    ...answer.permissions.map((permission) => permissionLine(style, permission)),
    refusals(style, answer),
    `\nAs a manifest:\n\n${displayText(answer.yaml, 100_000)}`,
    approval(answer),
  ].join("");
}

function whence({
  plugin,
  calls,
  agents,
  from,
  to,
  confidence,
  never_called: never,
  truncated,
}: LearnAnswerBody): string {
  const name = `${displayLine(plugin.id)} ${displayLine(plugin.version)}`;
  if (calls === 0 || from === null || to === null)
    return `${name} was not called in this time: nothing is known of what it uses.\n`;
  const by = agents > 1 ? ` by ${agents} agents` : "";
  return [
    `${name}: ${calls} ${calls === 1 ? "call" : "calls"}${by}, ${isoTime(from)} to ${isoTime(to)}. Confidence: ${confidence}.\n`,
    never.length === 0 ? "" : `Never called: ${displayLine(never.join(", "), 500)}. What they need was not seen.\n`,
    truncated ? "There is more than was read; look at a shorter time with --since.\n" : "",
    "What follows is a record, not a grant: nothing has changed.\n",
  ].join("");
}

function permissionLine(style: Style, permission: LearnedPermissionBody): string {
  const { change, sentence, proposed, uses, last_used: last, key } = permission;
  const mark = change === "keep" || change === "unseen" ? style.dim(SAID[change]) : style.warn(SAID[change]);
  const used =
    change === "unseen"
      ? "what it does with the value leaves no trace"
      : uses === 0
        ? "never used"
        : `used ${uses} ${uses === 1 ? "time" : "times"}, last ${last === null ? "" : isoTime(last)}`;
  const instead = proposed.map((line) => `      instead: ${displayLine(line, 500)}\n`).join("");
  return `  ${mark}: ${displayLine(sentence, 500)} (${used})\n${instead}      ${style.dim(displayLine(key))}\n`;
}

function refusals(style: Style, { refused }: LearnAnswerBody): string {
  if (refused.length === 0) return "";
  const lines = refused.slice(0, 50).map(({ wish, reason, count, last, included }) => {
    const times = count === 1 ? "once" : `${count} times`;
    return `  - ${displayLine(wish, 400)} (${times}, last ${isoTime(last)}: ${displayLine(reason)})${included ? style.warn(" is asked for below") : ""}\n`;
  });
  const more = refused.length > 50 ? `  and ${refused.length - 50} more\n` : "";
  return `\nWanted, and was refused:\n${lines.join("")}${more}`;
}

function approval({ approve, plugin }: LearnAnswerBody): string {
  if (approve === null) return "";
  const options = [
    ...(approve.only.length === 0 ? [] : [`--only ${quoted(approve.only.join(","))}`]),
    ...approve.scopes.map((scope) => `--scope ${quoted(scope)}`),
  ];
  return `\nTo grant as much and no more:\n\n  sallyport plugin approve ${displayLine(plugin.id)} ${displayLine(options.join(" "), 20_000)}\n`;
}

/** One word of a shell's command line. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
