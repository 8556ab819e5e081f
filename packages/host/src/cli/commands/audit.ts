import { createReadStream, createWriteStream, existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import { z } from "zod";
import { auditEventAnswer, verificationAnswer } from "../../wire/index.ts";
import { displayLine, exitCodeOf, SallyportError } from "../../kernel/index.ts";
import { parseAnswer } from "../owner-client.ts";
import { isoTime, parsePast, safeJson, table } from "../render/index.ts";
import { isRecord, type Session } from "../session.ts";
import { type CommandContext, globalOptions, query, text, usage, verb } from "./define.ts";

type Event = z.infer<typeof auditEventAnswer>;
type Verification = z.infer<typeof verificationAnswer>;

export function defineAuditCommands(program: Command, context: CommandContext): void {
  const audit = globalOptions(program.command("audit")).description(
    "what happened: read, follow, verify and export the audit",
  );
  filters(
    verb(
      audit,
      context,
      "list",
      "list events, newest first",
      "sallyport audit list --plugin weather --since 1h",
      listEvents,
    ).alias("ls"),
  )
    .option("--since <time>", "30m, 12h, 7d or an ISO date")
    .option("--until <time>", "30m, 12h, 7d or an ISO date")
    .option("--limit <n>", "at most this many, 1 to 1000", "50");
  filters(
    verb(
      audit,
      context,
      "tail",
      "print events as they happen; one JSON document a line with --json",
      "sallyport audit tail --json",
      tail,
    ),
  ).option("--after <seq>", "begin after this event");
  verb(
    audit,
    context,
    "verify [file]",
    "recompute the chain, of this home or of an export",
    `sallyport audit verify --head 120:${"9f86d081884c7d65".repeat(4)}`,
    verify(context),
  )
    .option(
      "--head <seq:hash>",
      "a head that was kept elsewhere, as this command prints it; a cut tail or a fork shows against it",
    )
    .option("--key <key>", "for an export: the public key that must have signed it, base64 or a file with it");
  verb(
    audit,
    context,
    "export",
    "write all events as lines of JSON, ending with the signed head",
    "sallyport audit export --out audit.ndjson",
    exportEvents,
  ).option("--out <file>", "write to this new file instead of standard output");
}

function filters(command: Command): Command {
  return command
    .option("--type <type>", "such as plugin_tool.invoked or plugin.lifecycle")
    .option("--plugin <id>", "only events of this plugin")
    .option("--agent <name>", "only events of this agent")
    .option("--tool <name>", "only events of this tool")
    .option("--call <id>", "only events of this call")
    .option("--outcome <outcome>", "not_started, succeeded, failed or unknown");
}

function filterOf(options: Readonly<Record<string, unknown>>): Record<string, string | undefined> {
  return Object.fromEntries(
    ["type", "plugin", "agent", "tool", "call", "outcome"].map((name) => [name, text(options, name)]),
  );
}

async function listEvents(session: Session, _args: readonly string[], options: Readonly<Record<string, unknown>>) {
  const past = (name: string): number | undefined => {
    const value = text(options, name);
    return value === undefined ? undefined : parsePast(value, session.io.now());
  };
  const wanted = query({
    ...filterOf(options),
    since: past("since"),
    until: past("until"),
    limit: text(options, "limit"),
  });
  const { result } = await session.call("GET", `/api/audit${wanted}`);
  session.print(result, () =>
    table(
      ["SEQ", "TIME", "TYPE", "ACTOR", "WHAT"],
      z
        .array(auditEventAnswer)
        .parse(result)
        .map((event) => [String(event.seq), isoTime(event.time), event.type, event.actor, whatOf(event)]),
      "There is no such event.",
    ),
  );
}

async function tail(session: Session, _args: readonly string[], options: Readonly<Record<string, unknown>>) {
  for await (const line of session.lines(
    `/api/audit/tail${query({ ...filterOf(options), after: text(options, "after") })}`,
  )) {
    const parsed = parseAnswer(line);
    if (session.json) {
      session.io.stdout.write(`${safeJson(parsed)}\n`);
      continue;
    }
    const event = auditEventAnswer.parse(parsed);
    session.io.stdout.write(
      `${session.style.dim(isoTime(event.time))} ${displayLine(event.type)} ${displayLine(event.actor)} ${displayLine(whatOf(event))}\n`,
    );
  }
}

function whatOf(event: Event): string {
  const plugin = isRecord(event["plugin"]) ? event["plugin"]["id"] : undefined;
  const { from, to } = event;
  const edge = typeof to === "string" ? `${typeof from === "string" ? from : ""} → ${to}` : undefined;
  const known = [event["tool"] ?? plugin, event["phase"], edge, event["capability"], event["method"], event["target"]];
  return [...known, event["decision"], event["outcome"], event["reason"], ...saidIn(event)]
    .filter((part) => typeof part === "string")
    .join(" ");
}

/** Through which tools a call came, and what a plugin said in its own words. */
function saidIn({ type, data }: Event): readonly unknown[] {
  if (!isRecord(data)) return [];
  const { via, said, count } = data;
  const words = data["text"] ?? said;
  return [
    Array.isArray(via) ? `via ${via.map(String).join(" > ")}` : undefined,
    typeof words === "string" ? JSON.stringify(words) : undefined,
    type === "event.dropped" && typeof count === "number" ? `${count} dropped` : undefined,
  ];
}

function verify(context: CommandContext) {
  return async (
    session: Session,
    [file]: readonly string[],
    options: Readonly<Record<string, unknown>>,
  ): Promise<void> => {
    const head = text(options, "head");
    const answer =
      file === undefined
        ? await session.get(verificationAnswer, "GET", `/api/audit/verify${query({ head })}`)
        : await verifyFile(file, head, text(options, "key"));
    if (!answer.ok) context.exitWith(exitCodeOf("audit_broken"));
    session.print(answer, () => verdict(session, answer));
  };
}

function verdict(session: Session, answer: Verification): string {
  const head = answer.head ? `\n  head ${answer.head.seq}:${displayLine(answer.head.hash)}` : "";
  if (answer.ok) return `${session.style.good("✔")} ${answer.events} events, the chain is whole.${head}\n`;
  const problems = answer.problems.map(({ seq, problem }) => `  event ${seq}: ${displayLine(problem, 500)}\n`).join("");
  return `${session.style.bad("✖")} ${answer.events} events, and the chain does not verify.${head}\n${problems}`;
}

async function verifyFile(file: string, head: string | undefined, key: string | undefined): Promise<Verification> {
  if (!existsSync(file)) throw usage(`There is no file ${file}.`, "Give a file that `sallyport audit export` wrote.");
  const kept = head === undefined ? undefined : parseHead(head);
  let seen = kept === undefined || kept.seq === 0;
  async function* lines(): AsyncGenerator<string> {
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
      if (kept && !seen && line.includes(kept.hash)) seen = isHead(line, kept);
      yield line;
    }
  }
  const { verifyExport } = await import("../../audit/index.ts");
  const answer = await verifyExport(lines(), key === undefined ? undefined : readKey(key));
  const problems = answer.problems.map(({ seq, problem }) => ({ seq, problem }));
  if (kept && !seen)
    problems.push({
      seq: kept.seq,
      problem: "the head that was kept elsewhere is not in this export: it was cut or forked",
    });
  return { ok: problems.length === 0, events: answer.events, head: answer.head, problems };
}

/* Only a match counts here; whether the line is genuine, `verifyExport` decides. */
function isHead(line: string, kept: { seq: number; hash: string }): boolean {
  try {
    const event = parseAnswer(line);
    return isRecord(event) && event["seq"] === kept.seq && event["hash"] === kept.hash && event["kind"] === undefined;
  } catch {
    return false;
  }
}

function parseHead(given: string): { seq: number; hash: string } {
  const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(given);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw usage(
      "--head is not SEQ:HASH.",
      "Write the head as `sallyport audit verify` prints it: a number, a colon and 64 hexadecimal digits.",
    );
  }
  return { seq: Number(match[1]), hash: match[2] };
}

function readKey(given: string): string {
  return existsSync(given) ? readFileSync(given, "utf8").trim() : given;
}

async function exportEvents(session: Session, _args: readonly string[], options: Readonly<Record<string, unknown>>) {
  const out = text(options, "out");
  async function* lines(): AsyncGenerator<string> {
    for await (const line of session.lines("/api/audit/export")) yield `${line}\n`;
  }
  if (out === undefined) {
    for await (const line of lines()) session.io.stdout.write(line);
    return;
  }
  try {
    await pipeline(lines, createWriteStream(out, { flags: "wx", mode: 0o600 }));
  } catch (cause) {
    if (cause instanceof SallyportError) throw cause;
    throw new SallyportError("conflict", `${out} cannot be written.`, {
      fix: "Give a file that does not exist yet.",
      cause,
    });
  }
  session.print({ success: true, file: out }, `${session.style.good("✔")} Wrote ${displayLine(out)}.\n`);
}
