import { displayLine } from "../../kernel/index.ts";
import type {
  CallExplanationAnswer,
  DecidedAnswer,
  ExplanationAnswer,
  PolicyCheckAnswer,
  SimulationAnswer,
} from "../../wire/index.ts";
import { fields, isoTime, type Style, table } from "../render/index.ts";

const UNSAID = ["id", "decision", "line", "reason"];

/** What a rule is about, in the words of its file. */
export function ruleText(rule: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(rule).filter(([key, value]) => !UNSAID.includes(key) && value !== undefined);
  return parts.length === 0 ? "everything" : parts.map(([key, value]) => `${key}: ${shown(value)}`).join(", ");
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

export function findingsText(style: Style, { ok, rules, findings }: PolicyCheckAnswer): string {
  const lines = findings.map(({ severity, rule, line, problem }) => {
    const mark = severity === "error" ? style.bad("✖") : style.warn("!");
    return `${mark} ${line === undefined ? "" : `line ${line}: `}${displayLine(rule)}: ${displayLine(problem, 500)}\n`;
  });
  const warnings = findings.filter(({ severity }) => severity === "warning").length;
  const verdict = ok
    ? `${style.good("✔")} ${rules} rule(s), no error, ${warnings} warning(s).\n`
    : `${style.bad("✖")} ${findings.length - warnings} error(s), ${warnings} warning(s).\n`;
  return [...lines, verdict].join("");
}

function decidedText({ decision, rule, reason, because, unclear, after }: DecidedAnswer): string {
  const why = because === undefined ? "" : `, because of its ${because.join(" and ")}`;
  const doubt = unclear === true ? ", which cannot be told with certainty" : "";
  const path = after === undefined ? "" : ` (${after.join(", ")})`;
  return `${decision} by ${rule}${why}${doubt}${path}${reason === undefined ? "" : `: ${reason}`}`;
}

export function explanationText(style: Style, answer: ExplanationAnswer): string {
  const { tool, agent, effect, grant, gates, decision, rules, snapshot, time } = answer;
  return [
    fields([
      ["tool", `${tool} (${effect})`],
      ["agent", agent],
      ["decision", decidedText(decision)],
      ["grant", grant.join(", ") || "nothing"],
      ["snapshot", snapshot],
      ...(time.certain ? [] : [["time", `uncertain: the clock is behind ${isoTime(time.now)}`] as const]),
    ]),
    ...gates.map(
      ({ gate, ok, detail }) => `${ok ? style.good("✔") : style.bad("✖")} ${gate}: ${displayLine(detail, 500)}\n`,
    ),
    table(
      ["RULE", "DECISION", "MET", "LINE"],
      rules.map(({ rule, decision: its, met, line }) => [rule, its, met, line === undefined ? "" : String(line)]),
      "No rule is about this tool and agent; its default decides.",
    ),
  ].join("");
}

export function callText(style: Style, call: CallExplanationAnswer): string {
  const { plugin, decision, approval, stopped_by: stopped } = call;
  const facts: (readonly [string, string])[] = [
    ["call", `${call.call} at ${isoTime(call.time)}`],
    ["tool", call.tool],
    ["by", call.actor === `agent:${call.agent}` ? call.actor : `${call.actor} as ${call.agent}`],
    ["outcome", call.outcome ?? "not known"],
    ["stopped by", stopped === null ? "nothing" : `${stopped.gate} (${stopped.reason})`],
  ];
  if (plugin) facts.push(["plugin", `${plugin.id} ${plugin.version} ${plugin.digest}`]);
  if (decision) facts.push(["decision", decidedText(decision)]);
  if (call.rule_now) facts.push(["rule now", ruleText(call.rule_now)]);
  if (call.snapshot !== undefined)
    facts.push(["snapshot", `${call.snapshot}, ${call.snapshot_in_force ? "in force" : "not the rules in force now"}`]);
  if (call.grant !== undefined) facts.push(["grant", call.grant]);
  if (approval) {
    const by =
      approval.by === null
        ? "nobody yet"
        : `${approval.by}${approval.at === null ? "" : ` at ${isoTime(approval.at)}`}`;
    facts.push(["approval", `${approval.id} by ${by}`]);
  }
  if (call.isolation !== undefined) facts.push(["isolation", call.isolation]);
  if (call.parent_call !== undefined) facts.push(["made by call", call.parent_call]);
  return [
    fields(facts),
    ...call.path.map(
      ({ call: id, tool, time }) =>
        `${style.warn("←")} after ${id}${tool === undefined ? "" : ` of ${displayLine(tool)}`}${time === undefined ? "" : ` at ${isoTime(time)}`}\n`,
    ),
    ...(call.actions.length === 0
      ? []
      : [
          table(
            ["DID", "TARGET", "HOW", "DECISION"],
            call.actions.map(({ capability, target, method, decision: its, reason }) => [
              capability,
              target,
              method,
              reason === undefined ? its : `${its}: ${reason}`,
            ]),
            "",
          ),
        ]),
  ].join("");
}

export function simulationText(answer: SimulationAnswer): string {
  const { calls, unchanged, milder, stricter, changed, unevaluated, not_evaluated: unknown, complete, since } = answer;
  return [
    table(
      ["CALL", "TIME", "AGENT", "TOOL", "WAS", "WOULD BE"],
      changed.map(({ call, time, agent, tool, was, would }) => [
        call,
        isoTime(time),
        agent,
        tool,
        `${was.decision} by ${was.rule}`,
        `${would.decision} by ${would.rule}`,
      ]),
      "No call would be decided otherwise.",
    ),
    ...unevaluated.map(({ call, tool, why }) => `? ${call} of ${displayLine(tool)}: ${displayLine(why)}\n`),
    `${calls} calls since ${isoTime(since)}: ${unchanged} the same, ${stricter} stricter, ${milder} milder, ${unknown} that cannot be told.\n`,
    complete ? "" : "The audit holds more calls than were looked at; these are the newest.\n",
  ].join("");
}
