import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { displayLine, SallyportError } from "../../kernel/index.ts";
import {
  gcAnswer,
  lockAnswer,
  upgradeAnswer,
  type UpgradeAnswerBody,
  upgradeRow,
  type UpgradeRowBody,
} from "../../wire/index.ts";
import { isInteractive } from "../io.ts";
import { askYes } from "../passphrase.ts";
import { createProgressBar, table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { collectCommas, type CommandContext, flag, list, path, text, usage, verb } from "./define.ts";
import { summaryLine } from "./views.ts";

type Options = Readonly<Record<string, unknown>>;

const API = "/api/plugins";
const NEEDS_APPROVAL = 4;

export function defineUpgradeCommands(plugin: Command, context: CommandContext): void {
  verb(
    plugin,
    context,
    "upgrade [id] [source]",
    "put a newer version in the place of the active one; asks about what it adds, while the old one runs",
    "sallyport plugin upgrade weather --to 1.3.0",
    (session, args, options) => upgrade(session, args, options, context),
  )
    .option("--to <version>", "exactly this version")
    .option("--all", "every plugin, from where each came")
    .option("--dry-run", "say what would be done, and do nothing")
    .option(
      "--allow-tools <tool>",
      "tools that agents may call without being asked; repeat or split by commas",
      collectCommas,
    )
    .option("--allow-downgrade", "take an older version too")
    .option("-y, --yes", "do not ask");
  verb(
    plugin,
    context,
    "rollback <id>",
    "go back to an earlier version that is installed, approved and not revoked",
    "sallyport plugin rollback weather",
    async (session, [id = ""], options) => {
      const to = text(options, "to");
      const { plugin: now } = await session.call("POST", path(`${API}/rollback`, id), {
        body: to === undefined ? {} : { to },
      });
      session.print({ success: true, plugin: now }, () => summaryLine(session, "Went back to", now));
    },
  ).option("--to <version>", "this version, or a digest; else the highest below the active one");
  verb(
    plugin,
    context,
    "lock",
    "compare plugin.lock.json of the home with what is installed, or write it anew",
    "sallyport plugin lock",
    (session, _args, options) => lock(session, options, context),
  ).option("--restore", "write it anew from what is installed: your word that this is right");
  verb(
    plugin,
    context,
    "gc",
    "remove from the store what no installed plugin names; the host does it at each start, too",
    "sallyport plugin gc",
    async (session) => {
      const { removed } = await session.get(gcAnswer, "POST", `${API}/gc`, { body: {} });
      const what = removed.length === 0 ? "Nothing was left over." : `Removed ${removed.length} left over.`;
      session.print({ success: true, removed }, `${session.style.good("✔")} ${what}\n`);
    },
  );
}

async function upgrade(
  session: Session,
  [id, source]: readonly string[],
  options: Options,
  context: CommandContext,
): Promise<void> {
  const dryRun = flag(options, "dryRun");
  if (flag(options, "all")) {
    if (id !== undefined) throw usage("--all is about every plugin.", "Leave out the id, or --all.");
    return upgradeAll(session, dryRun, context);
  }
  if (id === undefined) throw usage("It is not said which plugin to upgrade.", "Give its id, or --all.");
  const to = text(options, "to");
  const allowTools = list(options, "allowTools");
  const wanted = {
    ...(source !== undefined && { source: existsSync(source) ? resolve(source) : source }),
    ...(to !== undefined && { to }),
    ...(allowTools && { allow_tools: allowTools }),
    allow_downgrade: flag(options, "allowDowngrade"),
  };
  const seen = await ask(session, id, { ...wanted, dry_run: true });
  session.remark(differenceOf(session, seen));
  if (dryRun || seen.state === "current") return print(session, seen, context);
  const questions = seen.difference.questions.length;
  if (questions > 0 && !flag(options, "yes") && isInteractive(session.io) && !session.json) {
    if (!(await askYes(session.io, "Grant this, and upgrade?")))
      throw new SallyportError("cancelled", "Nothing was changed.");
  } else if (questions > 0 && !flag(options, "yes")) {
    // Nobody to ask: it waits for an answer, and the old version goes on.
    return print(session, await ask(session, id, wanted), context);
  }
  print(session, await ask(session, id, { ...wanted, approve: seen.digest }), context);
}

async function ask(session: Session, id: string, body: unknown): Promise<UpgradeAnswerBody> {
  const bar = createProgressBar(session.io.stderr);
  return session
    .get(upgradeAnswer, "POST", path(`${API}/upgrade`, id), { body, onStep: (step) => bar.update(step) })
    .finally(() => bar.end());
}

function print(session: Session, answer: UpgradeAnswerBody, context: CommandContext): void {
  if (answer.state === "waiting") context.exitWith(NEEDS_APPROVAL);
  const good = session.style.good("✔");
  const [id, from, to] = [answer.id, answer.from, answer.to].map((part) => displayLine(part));
  const said = {
    current: `${good} ${id} ${from} is the newest there.\n`,
    possible: `${id} ${from} can become ${to}.\n`,
    upgraded: `${good} Upgraded ${id} from ${from} to ${to}: ${answer.plugin.state}\nBack: sallyport plugin rollback ${id}\n`,
    waiting: `${id} ${to} is installed and waits for your yes; ${from} goes on.\n${answer.needs
      .map((other) => `First: sallyport plugin approve ${displayLine(other.id)}\n`)
      .join("")}Next: sallyport plugin upgrade ${id} --to ${to} --yes\n`,
  };
  session.print({ success: true, ...answer }, () =>
    [
      said[answer.state],
      ...answer.warnings.map((warning) => `${session.style.warn("!")} ${displayLine(warning, 500)}\n`),
    ].join(""),
  );
}

/** What the new version is that the old one is not; the sentences are the host's. */
function differenceOf(session: Session, { id, from, to, state, difference, needs }: UpgradeAnswerBody): string {
  if (state === "current") return "";
  const lines = [
    ...difference.questions.map((question) => `  ${session.style.warn("+")} ${displayLine(question, 500)}\n`),
    ...needs.map(
      (other) =>
        `  ${session.style.warn("+")} It needs ${displayLine(other.id)} ${displayLine(other.version)}, which waits for a yes of its own.\n`,
    ),
    ...difference.removed.map(({ sentence }) => `  - No longer: it ${displayLine(sentence, 500)}.\n`),
    ...difference.tools.removed.map((name) => `  - No longer has the tool ${displayLine(name)}.\n`),
  ];
  const nothing = "  It asks for nothing more than what was approved.\n";
  return `${session.style.bold(`${displayLine(id)} ${displayLine(from)} → ${displayLine(to)}`)}\n${lines.join("") || nothing}`;
}

async function upgradeAll(session: Session, dryRun: boolean, context: CommandContext): Promise<void> {
  const rows = await session.get(z.array(upgradeRow), "POST", `${API}/upgrades`, { body: { dry_run: dryRun } });
  if (rows.some(({ state }) => state === "waiting")) context.exitWith(NEEDS_APPROVAL);
  session.print({ success: true, upgrades: rows }, () =>
    table(
      ["ID", "NOW", "TO", "STATE", "WHAT IT ADDS"],
      rows.map((row) => [row.id, row.from, "to" in row ? row.to : "", row.state, addedBy(row)]),
      "No plugin is installed. Install one: sallyport plugin install DIR",
    ),
  );
}

function addedBy(row: UpgradeRowBody): string {
  if (row.state === "failed") return row.error;
  if (row.state === "current") return "";
  return row.difference.questions.join(" ") || "nothing that needs a yes";
}

async function lock(session: Session, options: Options, context: CommandContext): Promise<void> {
  const answer = flag(options, "restore")
    ? await session.get(lockAnswer, "POST", `${API}/lock/restore`, { body: {} })
    : await session.get(lockAnswer, "GET", `${API}/lock`);
  const intact = answer.state === "intact";
  if (!intact) context.exitWith(5);
  session.print({ success: intact, ...answer }, () =>
    intact
      ? `${session.style.good("✔")} ${answer.file} pins ${answer.plugins} installed version(s)${answer.sealed ? ", sealed" : ""}.\n`
      : [
          `${session.style.warn("!")} ${answer.file} is ${answer.state}: what differs is not loaded.\n`,
          table(
            ["PLUGIN", "WHAT", "THE LOCK SAYS", "INSTALLED"],
            answer.differences.map((own) => [own.plugin, own.field, own.expected, own.actual]),
            "No plugin differs: its text or its seal does.",
          ),
          "If what is installed is right: sallyport plugin lock --restore\n",
        ].join(""),
  );
}
