import { closeSync, constants, openSync, rmSync, writeSync } from "node:fs";
import type { Command } from "commander";
import { z } from "zod";
import { madeTokenAnswer, tokenAnswer, type TokenAnswer } from "../../wire/index.ts";
import { displayLine } from "../../kernel/index.ts";
import { isoTime, parseExpiry, table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { collectCommas, type CommandContext, globalOptions, list, path, text, usage, verb } from "./define.ts";

export function defineTokenCommands(program: Command, context: CommandContext): void {
  const token = globalOptions(program.command("token")).description("make credentials for agents and operators");
  verb(
    token,
    context,
    "create",
    "make a token; it is shown this once",
    "sallyport token create --agent research --expires 30d --out research.token",
    create,
  )
    .option("--agent <name>", "for an agent, which can list and call tools and nothing else")
    .option("--operator <name>", "for an operator, with --scopes")
    .option("--scopes <scopes>", "operate, approve, admin; by commas", collectCommas)
    .option("--expires <time>", "when it ends: 12h, 30d or an ISO date; never, unless given")
    .option("--out <file>", "write it to a new file that only you can read, and show it nowhere");
  verb(token, context, "list", "list tokens, never the tokens themselves", "sallyport token list", listTokens).alias(
    "ls",
  );
  verb(
    token,
    context,
    "revoke <id>",
    "end a token at once, with the sessions that it opened",
    "sallyport token revoke tok_1f…",
    revoke,
  );
}

async function create(session: Session, _args: readonly string[], options: Readonly<Record<string, unknown>>) {
  const owner = ownerOf(options);
  const expires = text(options, "expires");
  const body = { ...owner, ...(expires !== undefined && { expires_at: parseExpiry(expires, session.io.now()) }) };
  const file = text(options, "out");
  const place = file === undefined ? undefined : reserve(file);
  let made: z.infer<typeof madeTokenAnswer>;
  try {
    made = await session.get(madeTokenAnswer, "POST", "/api/tokens", { body });
    place?.write(`${made.token}\n`);
  } catch (error) {
    place?.remove();
    throw error;
  }
  const { token, ...rest } = made;
  session.print(file === undefined ? made : { ...rest, file }, () =>
    [
      `${session.style.good("✔")} ${whatItDoes(made)}\n`,
      file === undefined ? `${token}\n` : `It is in ${displayLine(file, 500)}, which only you can read.\n`,
    ].join(""),
  );
  if (file === undefined)
    session.remark("It is shown this once. Keep it out of arguments and of files that others can read.\n");
}

function ownerOf(options: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const agent = text(options, "agent");
  const operator = text(options, "operator");
  const scopes = list(options, "scopes");
  if ((agent === undefined) === (operator === undefined))
    throw usage("A token is an agent's or an operator's.", "Give --agent NAME, or --operator NAME with --scopes.");
  if (agent !== undefined && scopes !== undefined)
    throw usage("An agent's token has no scopes.", "Leave --scopes out: it lists and calls tools.");
  if (operator !== undefined && scopes === undefined)
    throw usage("What may it do?", "Give --scopes with some of operate, approve, admin.");
  return agent === undefined ? { kind: "operator", name: operator, scopes } : { kind: "agent", name: agent };
}

/** Before the token is made: one that cannot be written would be lost. */
function reserve(file: string): { write(content: string): void; remove(): void } {
  let descriptor: number;
  try {
    descriptor = openSync(
      file,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    );
  } catch {
    throw usage(`${file} cannot be made.`, "Give --out with a file that is not there yet, in a folder that is.");
  }
  return {
    write(content) {
      writeSync(descriptor, content);
      closeSync(descriptor);
    },
    remove: () => rmSync(file, { force: true }),
  };
}

function whatItDoes({ kind, name, scopes, id, expires_at: expires }: TokenAnswer): string {
  const may = kind === "agent" ? "list and call tools" : scopes.join(", ");
  const until = expires === null ? "until it is revoked" : `until ${isoTime(expires)}`;
  return `Token ${displayLine(id)} of the ${kind} ${displayLine(name)}: may ${may}, ${until}.`;
}

async function listTokens(session: Session) {
  const { result } = await session.call("GET", "/api/tokens");
  session.print(result, () =>
    table(
      ["ID", "OF", "NAME", "MAY", "STATE", "ENDS", "LAST USED"],
      z
        .array(tokenAnswer)
        .parse(result)
        .map((one) => [
          one.id,
          one.kind,
          one.name,
          one.kind === "agent" ? "list and call tools" : one.scopes.join(", "),
          one.state,
          one.expires_at === null ? "-" : isoTime(one.expires_at),
          one.last_used_at === null ? "never" : isoTime(one.last_used_at),
        ]),
      "There is no token.",
    ),
  );
}

async function revoke(session: Session, [id = ""]: readonly string[]) {
  const { result } = await session.call("DELETE", path("/api/tokens", id));
  session.print(result, `${session.style.good("✔")} Revoked ${displayLine(id)}; its sessions have ended.\n`);
}
