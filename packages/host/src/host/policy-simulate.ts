import type { AuditLog, StoredAuditEvent } from "../audit/index.ts";
import { assertUsable, readPolicyText } from "../config/index.ts";
import type { DecisionView, Simulation, SimulationRequest } from "../host-api.ts";
import { canonicalJson, type Decision, sha256 } from "../kernel/index.ts";
import {
  compilePolicy,
  createFlowMemory,
  type FlowLabel,
  type FlowRecord,
  fixedPolicy,
  type Policy,
  type PolicyQuery,
  type ToolPolicy,
} from "../policy/index.ts";
import { flowLabels, effectOfScope } from "./flow.ts";
import { decisionOf } from "./policy-explain.ts";
import type { InstalledTools } from "./policy-tools.ts";
import type { Decisions } from "./state.ts";

export interface SimulateDeps {
  readonly audit: Pick<AuditLog, "query" | "flush">;
  readonly tools: InstalledTools;
  decisions(): Decisions;
  now(): number;
}

const DEFAULT_MS = 7 * 24 * 3_600_000;
const MOST_EVENTS = 100_000;
const MOST_LISTED = 1000;
const PAGE = 1000;
const STRENGTH: readonly Decision[] = ["allow", "require_approval", "deny"];

/**
 * Which recorded calls other rules would decide otherwise. Reads only: nothing is called and nothing written. Each call is decided by its
 * recorded input at its recorded time, with what that agent had done before.
 */
export async function simulate(deps: SimulateDeps, request: SimulationRequest): Promise<Simulation> {
  const policy = candidate(deps.decisions().policy, request.policy);
  const since = request.since ?? deps.now() - DEFAULT_MS;
  await deps.audit.flush();
  const { events, complete } = await readSince(deps.audit, Math.max(0, since - policy.lookBackMs));
  const changed: Simulation["changed"][number][] = [];
  const unevaluated: Simulation["unevaluated"][number][] = [];
  const counts = { calls: 0, unchanged: 0, milder: 0, stricter: 0, notEvaluated: 0 };
  const flow = createFlowMemory(events[0]?.time ?? since);
  if (complete) flow.completeSince(0);
  const ended = endedCalls(events);
  const decided = new Set<string>();
  const note = createReplay(flow);
  for (const event of events) {
    const call = event.call_id ?? "";
    const end = decided.has(call) ? undefined : ended.get(call);
    decided.add(call);
    // Where a call begins, so that what it did itself is no earlier call.
    const was = end === undefined || event.time < since ? undefined : recorded(end.event);
    if (end !== undefined && was !== undefined) {
      counts.calls++;
      const about = { call, time: event.time, agent: end.event.agent ?? "", tool: end.event.tool ?? "" };
      const would = decideAgain(deps, policy, { ...end.event, time: event.time }, end.input, flow);
      if (typeof would === "string") {
        counts.notEvaluated++;
        if (unevaluated.length < MOST_LISTED) unevaluated.push({ ...about, why: would });
      } else {
        const difference = STRENGTH.indexOf(would.decision) - STRENGTH.indexOf(was.decision);
        if (difference === 0) counts.unchanged++;
        else counts[difference < 0 ? "milder" : "stricter"]++;
        if (difference !== 0 && changed.length < MOST_LISTED) changed.push({ ...about, was, would });
      }
    }
    note(event);
  }
  return { since, ...counts, changed, unevaluated, complete };
}

/** Outcomes by call, with the input that they or their intent have. */
function endedCalls(events: readonly StoredAuditEvent[]) {
  const inputs = new Map<string, unknown>();
  const ended = new Map<string, { readonly event: StoredAuditEvent; readonly input: unknown }>();
  for (const event of events) {
    const { type, call_id: call, phase } = event;
    if (type !== "plugin_tool.invoked" || call === undefined) continue;
    if (phase === "intent") inputs.set(call, event.input);
    else ended.set(call, { event, input: event.input ?? inputs.get(call) });
  }
  return ended;
}

/** Notes events as the host did when they happened: what a call reached counts until it has ended. */
function createReplay(flow: FlowRecord): (event: StoredAuditEvent) => void {
  const reached = new Map<string, FlowLabel[]>();
  return (event) => {
    const call = event.call_id ?? "";
    const labels = flowLabels(event);
    for (const label of labels) flow.note(label);
    if (event.type === "broker.action") {
      const known = reached.get(call) ?? [];
      if (known.length < MOST_LISTED) known.push(...labels);
      reached.set(call, known);
      return;
    }
    const effect = effectOfScope(event.scope);
    for (const label of reached.get(call) ?? []) flow.note({ ...label, effect, time: event.time });
    if (event.phase === "outcome") reached.delete(call);
  };
}

/** The rules to try stand in for those of config.yml; what operators decided otherwise stays, but for what was for a time only. */
function candidate(current: Policy, text: string | undefined): Policy {
  if (text === undefined) return current;
  const read = readPolicyText(text, "the given file");
  assertUsable(read);
  const replaced = (name: string): boolean => name === "config.yml" || (read.whole && name.startsWith("config.yml "));
  const others = current.layers.filter(({ name, temporary }) => !replaced(name) && temporary !== true);
  return compilePolicy([...read.layers, ...others], read.defaults);
}

async function readSince(audit: Pick<AuditLog, "query">, since: number) {
  const events: StoredAuditEvent[] = [];
  for (let after = -1; ;) {
    const page = await audit.query({ since, afterSeq: after, limit: PAGE, order: "asc" });
    events.push(...page.filter(({ type }) => type === "plugin_tool.invoked" || type === "broker.action"));
    if (events.length > MOST_EVENTS) events.splice(0, events.length - MOST_EVENTS);
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return { events, complete: events.length < MOST_EVENTS };
    after = last.seq;
  }
}

/** What policy had decided; nothing when another gate refused before it was asked. */
function recorded(event: StoredAuditEvent): DecisionView | undefined {
  const before = [
    "invalid_input",
    "input_too_large",
    "limit_exceeded",
    "usage",
    "unauthenticated",
    "forbidden",
    "audit_unavailable",
    "not_approved",
    "hook_denied",
    "hook_failed",
  ];
  if (event.outcome === "not_started" && event.reason !== undefined && before.includes(event.reason)) return undefined;
  return decisionOf(event);
}

function decideAgain(
  deps: SimulateDeps,
  policy: Policy,
  event: StoredAuditEvent,
  input: unknown,
  flow: ReturnType<typeof createFlowMemory>,
): DecisionView | string {
  const { agent, tool, plugin } = event;
  if (agent === undefined || tool === undefined || plugin === undefined)
    return "the audit does not say which plugin it was";
  const query = queryOf(deps, event, plugin.id, tool, agent);
  const hidden = deps.decisions().agents.hides(agent, tool, query.effect);
  const rules = hidden ? fixedPolicy(hidden) : policy.forTool(query);
  if (usesUnknownRisk(rules, deps, event, tool))
    return "a rule asks for the risk, and this version of the plugin is gone";
  const facts = { input: input ?? {}, time: { now: event.time, certain: true }, flow };
  const asksInput = rules.fixed === undefined && rules.explain(facts).some(({ rule }) => rule.when !== undefined);
  if (asksInput && !isWhole(input, event.input_digest)) return "its input was redacted or too long to be kept";
  return rules.decide(facts);
}

/** The whole input as it was: what was redacted has another digest. */
function isWhole(input: unknown, digest: string | undefined): boolean {
  return input !== undefined && digest !== undefined && sha256(canonicalJson(input)) === digest;
}

function queryOf(
  deps: SimulateDeps,
  event: StoredAuditEvent,
  plugin: string,
  tool: string,
  agent: string,
): PolicyQuery {
  const keys = (event.scope ?? "")
    .split(" ")
    .slice(1)
    .filter((key) => key !== "");
  const known = event.plugin && deps.tools.of(event.plugin, tool);
  return {
    agent,
    plugin,
    tool,
    effect: effectOfScope(event.scope),
    risk: known?.risk ?? "critical",
    permissions: known?.permissions ?? [...new Set(keys.flatMap((key) => [key.split(":")[0] ?? key, key]))],
  };
}

function usesUnknownRisk(rules: ToolPolicy, deps: SimulateDeps, { plugin }: StoredAuditEvent, tool: string): boolean {
  const facts = { input: {}, time: { now: 0, certain: true }, flow: createFlowMemory(0) };
  const asks = rules.explain(facts).some(({ rule }) => rule.risk !== undefined);
  return asks && (plugin === undefined || deps.tools.of(plugin, tool) === undefined);
}
