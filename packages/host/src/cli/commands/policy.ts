import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import { displayLine } from "../../kernel/index.ts";
import {
  callExplanationAnswer,
  explanationAnswer,
  type PolicyCheckAnswer,
  policyAnswer,
  policyCheckAnswer,
  simulationAnswer,
} from "../../wire/index.ts";
import { isoTime, parsePast, table } from "../render/index.ts";
import type { Session } from "../session.ts";
import { type CommandContext, flag, globalOptions, path, text, usage, verb } from "./define.ts";
import { callText, explanationText, findingsText, ruleText, simulationText } from "./policy-views.ts";
import { defineOverrideCommands } from "./policy-override.ts";

type Options = Readonly<Record<string, unknown>>;

export function definePolicyCommands(program: Command, context: CommandContext): void {
  const policy = globalOptions(program.command("policy")).description(
    "what may happen without asking: see, check, explain and try the rules",
  );
  verb(policy, context, "show", "list the rules in force, layer by layer", "sallyport policy show", show);
  verb(
    policy,
    context,
    "check [file]",
    "find mistakes in the rules in force, or in those of a file; exits with 1 when there are any",
    "sallyport policy check config.yml",
    check(context),
  ).option("--installed", "with a file: also ask the owner what the installed tools say to it");
  verb(
    policy,
    context,
    "explain [tool]",
    "tell which gate, rule and grant decide a call, or decided one",
    `sallyport policy explain weather__forecast --agent local --input '{"city":"Bern"}'`,
    explain,
  )
    .option("--agent <name>", "who would call", "local")
    .option("--input <json>", "the arguments, as one JSON document")
    .option("--call <id>", "a call of the past, from the audit, instead of a tool");
  verb(
    policy,
    context,
    "simulate",
    "tell which calls of the audit other rules would decide otherwise; calls nothing",
    "sallyport policy simulate --against-audit --policy new.yml --since 7d",
    simulate,
  )
    .option("--against-audit", "decide the recorded calls again (the only thing there is to try on)")
    .option("--policy <file>", "rules to try instead of those of config.yml")
    .option("--since <time>", "30m, 12h, 7d or an ISO date", "7d");
  verb(
    policy,
    context,
    "test <file>",
    "run cases against the rules that their file names; for continuous integration, without an owner",
    "sallyport policy test policy.cases.yml",
    test(context),
  );
  verb(
    policy,
    context,
    "accept-clock",
    "believe the clock again, after it was ahead and has been put right",
    "sallyport policy accept-clock",
    acceptClock,
  );
  defineOverrideCommands(policy, context);
}

async function show(session: Session): Promise<void> {
  const { result } = await session.call("GET", "/api/policy");
  const { layers, defaults, snapshot, time } = policyAnswer.parse(result);
  session.print(result, () =>
    [
      table(
        ["RULE", "DECISION", "FOR"],
        [
          ...layers.flatMap(({ rules }) => rules.map((rule) => [rule.id, rule.decision, ruleText(rule)])),
          ...Object.entries(defaults).map(([effect, decision]) => [`default:${effect}`, decision, "no rule matches"]),
        ],
        "There is no rule and no default: everything is denied.",
      ),
      `snapshot ${snapshot}\n`,
      time.certain
        ? ""
        : `${session.style.warn("!")} The clock is behind what the audit has seen (${isoTime(time.now)}): rules with a time hold back. Once it is right: sallyport policy accept-clock\n`,
    ].join(""),
  );
}

function check(context: CommandContext) {
  return async (session: Session, [file]: readonly string[], options: Options): Promise<void> => {
    const answer =
      file !== undefined && !flag(options, "installed")
        ? await checkFile(session, file)
        : await session.get(policyCheckAnswer, "POST", "/api/policy/check", {
            body: file === undefined ? {} : { policy: readText(file) },
          });
    if (!answer.ok) context.exitWith(1);
    session.print(answer, () => findingsText(session.style, answer));
  };
}

async function checkFile(session: Session, file: string): Promise<PolicyCheckAnswer> {
  const [{ readPolicyText }, { analysePolicy }] = await Promise.all([
    import("../../config/index.ts"),
    import("../../policy/index.ts"),
  ]);
  const { layers, errors } = readPolicyText(readText(file), displayLine(file));
  const findings = [...errors, ...analysePolicy(layers, session.io.now())];
  return policyCheckAnswer.parse({
    ok: findings.every(({ severity }) => severity !== "error"),
    rules: layers.reduce((sum, { rules }) => sum + rules.length, 0),
    findings,
  });
}

async function explain(session: Session, [tool]: readonly string[], options: Options): Promise<void> {
  const call = text(options, "call");
  if ((tool === undefined) === (call === undefined)) {
    throw usage("Explain a tool or a call, not both.", "Write `policy explain TOOL` or `policy explain --call ID`.");
  }
  if (call !== undefined) {
    const { result } = await session.call("GET", path("/api/policy/calls", call));
    session.print(result, () => callText(session.style, callExplanationAnswer.parse(result)));
    return;
  }
  const input = text(options, "input");
  const { result } = await session.call("POST", "/api/policy/explain", {
    body: { tool, agent: text(options, "agent"), ...(input === undefined ? {} : { input: readJson(input) }) },
  });
  session.print(result, () => explanationText(session.style, explanationAnswer.parse(result)));
}

function readJson(given: string): unknown {
  try {
    const value: unknown = JSON.parse(given);
    return value;
  } catch {
    throw usage("--input is not JSON.", `Write it in single quotes: --input '{"city":"Bern"}'`);
  }
}

async function simulate(session: Session, _args: readonly string[], options: Options): Promise<void> {
  if (!flag(options, "againstAudit")) {
    throw usage("Say on what to try the rules.", "Write `policy simulate --against-audit`.");
  }
  const file = text(options, "policy");
  const since = parsePast(text(options, "since") ?? "7d", session.io.now());
  const { result } = await session.call("POST", "/api/policy/simulate", {
    body: { since, ...(file === undefined ? {} : { policy: readText(file) }) },
  });
  session.print(result, () => simulationText(simulationAnswer.parse(result)));
}

function test(context: CommandContext) {
  return async (session: Session, [file = ""]: readonly string[]): Promise<void> => {
    const { runPolicyCases } = await import("../../config/index.ts");
    const load = (name: string): string => readText(resolve(dirname(file), name));
    const results = runPolicyCases(readText(file), displayLine(file), session.io.now(), load);
    const failed = results.filter(({ ok }) => !ok);
    if (failed.length > 0) context.exitWith(1);
    session.print({ success: failed.length === 0, cases: results.length, failed: failed.length, results }, () =>
      [
        ...failed.map(
          ({ name, line, expected, got }) =>
            `${session.style.bad("✖")} ${displayLine(name)}${line === undefined ? "" : ` (line ${line})`}: expected ${expected.decision}${expected.rule === undefined ? "" : ` by ${displayLine(expected.rule)}`}, got ${got.decision} by ${displayLine(got.rule)}${got.unclear === true ? ", since something is unclear" : ""}\n`,
        ),
        `${failed.length === 0 ? session.style.good("✔") : session.style.bad("✖")} ${results.length - failed.length} of ${results.length} cases hold.\n`,
      ].join(""),
    );
  };
}

async function acceptClock(session: Session): Promise<void> {
  const { result } = await session.call("POST", "/api/policy/accept-clock", { body: {} });
  session.print({ success: true, result }, `${session.style.good("✔")} Rules with a time go by the clock again.\n`);
}

const MOST_BYTES = 4 * 1024 * 1024;

function readText(file: string): string {
  let read: string;
  try {
    read = readFileSync(file, "utf8");
  } catch {
    throw usage(`${displayLine(file)} cannot be read.`, "Give a file that is there.");
  }
  if (read.length <= MOST_BYTES) return read;
  throw usage(`${displayLine(file)} is over 4 MiB.`, "Give a smaller file.");
}
