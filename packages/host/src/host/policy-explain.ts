import type { AuditLog, StoredAuditEvent } from "../audit/index.ts";
import type { CallExplanation, DecisionView, PolicyExplanation, PolicyQuestion } from "../host-api.ts";
import { canonicalJson, type Decision, displayLine, SallyportError } from "../kernel/index.ts";
import { compileSchema } from "../manifest/index.ts";
import { type FlowMemory, fixedPolicy, type PolicyTime } from "../policy/index.ts";
import { type Database, findApproval } from "../store/index.ts";
import type { InstalledTool, InstalledTools } from "./policy-tools.ts";
import type { Decisions } from "./state.ts";

export interface ExplainDeps {
  readonly db: Database;
  readonly audit: Pick<AuditLog, "query" | "flush">;
  readonly tools: InstalledTools;
  readonly flow: FlowMemory;
  decisions(): Decisions;
  time(): PolicyTime;
  isLoaded(tool: string): boolean;
}

type Gate = PolicyExplanation["gates"][number];

/** What would happen to a call, gate by gate, without making it. @throws {SallyportError} `unknown_tool`, `usage`. */
export function explainCallToBe(deps: ExplainDeps, { tool: name, agent, input }: PolicyQuestion): PolicyExplanation {
  const tool = deps.tools.find(name);
  if (!tool) {
    throw new SallyportError("unknown_tool", `No installed plugin declares the tool "${displayLine(name)}".`, {
      fix: "List the tools: sallyport tool list",
    });
  }
  const { policy, agents } = deps.decisions();
  const time = deps.time();
  const facts = { input: canonicalInput(input), time, flow: deps.flow };
  const hidden = agents.hides(agent, name, tool.effect);
  const rules = hidden ? fixedPolicy(hidden) : policy.forTool({ ...tool, agent });
  const decision = input === undefined ? (rules.fixed ?? rules.exposed(time)) : rules.decide(facts);
  const gates: Gate[] = [
    gate("plugin", deps.isLoaded(name), `${tool.ref.id} ${tool.ref.version} is ${tool.state}`),
    gate(
      "agent",
      agents.admits(agent) && !hidden,
      hidden?.reason ?? (agents.admits(agent) ? `${agent} may see it` : `${agent} is unknown here`),
    ),
    grantGate(tool, time),
    ...(input === undefined ? [] : [inputGate(tool, facts.input)]),
    gate("policy", decision.decision !== "deny", `${decision.decision} by ${decision.rule}`),
    ...(decision.decision === "require_approval"
      ? [gate("approval", false, "an operator must say yes, unless a yes is there that covers it")]
      : []),
  ];
  const first = gates.findIndex(({ ok }) => !ok);
  return {
    tool: name,
    agent,
    effect: tool.effect,
    plugin: tool.ref.id,
    grant: tool.permissions.filter((permission) => permission.includes(":")),
    snapshot: policy.snapshot,
    gates: first === -1 ? gates : gates.slice(0, first + 1),
    decision,
    rules: rules.explain(facts).map(({ rule, layer, met }) => ({
      rule: rule.id,
      layer,
      ...(rule.line === undefined ? {} : { line: rule.line }),
      decision: rule.decision,
      met,
    })),
    time,
  };
}

function gate(name: string, ok: boolean, detail: string): Gate {
  return { gate: name, ok, detail };
}

function grantGate({ expiresAt, scopes }: InstalledTool, { now }: PolicyTime): Gate {
  const over = expiresAt !== undefined && expiresAt <= now;
  const end = expiresAt === undefined ? "" : `, ${over ? "over since" : "until"} ${new Date(expiresAt).toISOString()}`;
  return gate("grant", !over, `${scopes.length} scope(s)${end}`);
}

function inputGate(tool: InstalledTool, input: unknown): Gate {
  const checked = compileSchema(tool.definition.inputSchema).check(input);
  if (checked.ok) return gate("input", true, "it is as the tool's schema wants it");
  const [first] = checked.problems;
  return gate("input", false, `${first?.path || "(top level)"} ${first?.problem ?? "does not match"}`);
}

function canonicalInput(input: unknown): unknown {
  if (input === undefined) return {};
  try {
    const copy: unknown = JSON.parse(canonicalJson(input));
    return copy;
  } catch (cause) {
    throw new SallyportError("usage", "The input is not plain JSON.", {
      fix: "Give the input as one JSON document.",
      cause,
    });
  }
}

/** Gates by the reasons that they write into the audit. */
const GATES: readonly (readonly [gate: string, reasons: readonly string[]])[] = [
  ["caller", ["usage", "unauthenticated", "forbidden", "limit_exceeded"]],
  ["tool declared and exposed", ["unknown_tool"]],
  ["grant", ["not_approved", "grant_expired"]],
  ["input", ["invalid_input", "input_too_large"]],
  ["hooks", ["hook_denied", "hook_failed"]],
  ["policy", ["policy_denied"]],
  ["approval", ["approval_required", "approval_expired", "approval_denied"]],
  ["policy as it was at execution", ["conflict"]],
  ["audit", ["audit_unavailable"]],
  ["plugin", ["plugin_not_running", "busy", "isolation_unavailable"]],
  ["output", ["invalid_output", "output_too_large"]],
];

/** Why a call of the past went as it did, from the audit alone. @throws {SallyportError} `not_found`. */
export async function explainPastCall(deps: ExplainDeps, call: string): Promise<CallExplanation> {
  await deps.audit.flush();
  const events = await deps.audit.query({ call, limit: 1000, order: "asc" });
  const told = events.filter(({ type }) => type === "plugin_tool.invoked");
  const last = told.at(-1);
  if (!last) {
    throw new SallyportError("not_found", "The audit has no such call.", {
      fix: "List calls: sallyport audit list --type plugin_tool.invoked",
    });
  }
  const { policy } = deps.decisions();
  const decision = decisionOf(last);
  const rule = policy.layers.flatMap(({ rules }) => rules).find(({ id }) => id === last.rule);
  const inForce = last.policy_snapshot === policy.snapshot;
  return {
    call,
    time: last.time,
    tool: last.tool ?? "",
    agent: last.agent ?? "",
    actor: last.actor,
    plugin: last.plugin,
    outcome: last.outcome ?? (last.phase === "intent" ? "unknown" : undefined),
    decision,
    stoppedBy: stoppedBy(last),
    snapshot: last.policy_snapshot,
    snapshotInForce: inForce,
    ruleNow: rule === undefined ? undefined : { ...rule },
    grant: last.scope,
    isolation: last.isolation,
    approval: await approvalOf(deps.db, last.approval),
    parentCall: last.parent_call,
    path: await pathOf(deps.audit, decision?.after ?? []),
    actions: events.flatMap((event) => (event.type === "broker.action" ? [actionOf(event)] : [])),
  };
}

function stoppedBy({ outcome, reason }: StoredAuditEvent): CallExplanation["stoppedBy"] {
  if (outcome === "succeeded" || reason === undefined) return null;
  const found = GATES.find(([, reasons]) => reasons.includes(reason));
  return { gate: found?.[0] ?? (outcome === "not_started" ? "before the plugin" : "execution"), reason };
}

/** What the audit says that policy decided; a refusal by another gate is written as a deny, and its rule tells. */
export function decisionOf(event: StoredAuditEvent): DecisionView | undefined {
  const { decision, rule, data } = event;
  if (decision === undefined || rule === undefined) return undefined;
  const because = texts(data?.["because"]);
  const after = texts(data?.["after"]);
  return {
    decision: policyDecisionOf(event, decision),
    rule,
    ...(because.length === 0 ? {} : { because }),
    ...(after.length === 0 ? {} : { after }),
    ...(data?.["unclear"] === true ? { unclear: true } : {}),
  };
}

/** A call that policy allowed and a later gate refused is written as denied. */
function policyDecisionOf({ outcome, reason }: StoredAuditEvent, decision: Decision): Decision {
  const byPolicy = reason === "policy_denied" || reason === "unknown_tool";
  return decision === "deny" && outcome === "not_started" && !byPolicy ? "allow" : decision;
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : [];
}

async function approvalOf(db: Database, id: string | undefined): Promise<CallExplanation["approval"]> {
  if (id === undefined) return undefined;
  const approval = await findApproval(db, id);
  return { id, by: approval?.decidedBy ?? null, at: approval?.decidedAt ?? null };
}

async function pathOf(audit: Pick<AuditLog, "query">, calls: readonly string[]): Promise<CallExplanation["path"]> {
  return Promise.all(
    calls.map(async (call) => {
      const [event] = await audit.query({ call, type: "plugin_tool.invoked", limit: 1, order: "asc" });
      return event === undefined
        ? { call }
        : { call, ...(event.tool === undefined ? {} : { tool: event.tool }), time: event.time };
    }),
  );
}

function actionOf({ capability = "", target = "", method = "", decision = "deny", reason }: StoredAuditEvent) {
  return { capability, target, method, decision, ...(reason === undefined ? {} : { reason }) };
}
