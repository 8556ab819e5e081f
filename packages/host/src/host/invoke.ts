import { setMaxListeners } from "node:events";
import type { CallApprovals } from "../approval/index.ts";
import type { AuditEvent, AuditLog } from "../audit/index.ts";
import type { InvokeAnswer, InvokeRequest } from "../host-api.ts";
import {
  type Caller,
  type CallOutcome,
  canonicalJson,
  type Clock,
  type ErrorCode,
  type IsolationLevel,
  LIMITS,
  newId,
  type PluginRef,
  PolicyViolationError,
  SallyportError,
  sha256,
  toSallyportError,
} from "../kernel/index.ts";
import type { PluginProcess } from "../supervisor/index.ts";
import type { CallRoute, RouteTable } from "./route.ts";

export interface InvokeDeps {
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly routes: RouteTable;
  readonly approvals: CallApprovals;
  /** The plugin's process, if it runs; else starts it through the gates of a load. */
  running(plugin: PluginRef): PluginProcess | undefined;
  wake(plugin: PluginRef): Promise<PluginProcess>;
  /** Removes known secret values. */
  redact(value: unknown): unknown;
  /** Stops a plugin whose grant is over. @throws {SallyportError} `not_approved`. */
  expired(plugin: PluginRef): Promise<never>;
  counted(plugin: PluginRef, failure: string | null): void;
  /** A call that a gate refused. */
  refused(): void;
}

interface Call {
  readonly id: string;
  readonly caller: Caller;
  readonly request: InvokeRequest;
  readonly startedAt: number;
  outcome: CallOutcome;
  route?: CallRoute;
  input?: string;
  inputDigest?: string;
  approval?: string;
  level?: IsolationLevel;
}

const DONE = Promise.resolve();
/** For calls that nobody can cancel; every call in flight listens to it. */
const NEVER_ABORTED = new AbortController().signal;
setMaxListeners(0, NEVER_ABORTED);

/**
 * The one way in. Gates, in order: tool declared and exposed to this agent, input size, input schema, policy, approval,
 * process, intent in the audit; then the call with its deadline; then output size, schema and redaction; then the
 * outcome in the audit. The answer says what happened; nothing is thrown for a call that fails.
 */
export function createInvoke(deps: InvokeDeps): (caller: Caller, request: InvokeRequest) => Promise<InvokeAnswer> {
  return async (caller, request) => {
    const call: Call = {
      id: newId("call"),
      caller,
      request,
      startedAt: deps.clock.monotonic(),
      outcome: "not_started",
    };
    try {
      const result = await run(deps, call);
      return finish(deps, call, result);
    } catch (thrown) {
      return fail(deps, call, toSallyportError(thrown));
    }
  };
}

async function run(deps: InvokeDeps, call: Call): Promise<unknown> {
  const { request, caller } = call;
  const route = (call.route = exposedRoute(deps, call));
  if (route.expiresAt !== undefined && route.expiresAt <= deps.clock.now()) return deps.expired(route.plugin);
  const input = (call.input = canonicalInput(request.input));
  const inputDigest = (call.inputDigest = sha256(input));
  const checked = route.input.check(request.input);
  if (!checked.ok) throw invalidInput(route, checked.problems);
  if (!deps.audit.healthy) throw auditUnavailable();

  if (route.decision.decision === "require_approval") {
    const found = await deps.approvals.find(
      { ...route, tool: route.name, agent: caller.agent, inputDigest, input: deps.redact(request.input) },
      request.approvalId,
    );
    if ("pending" in found) throw approvalRequired(route, found.pending);
    call.approval = found.approved;
  }
  const process = deps.running(route.plugin) ?? (await deps.wake(route.plugin));
  call.level = process.level;
  if (call.approval !== undefined) {
    await deps.approvals.consume(call.approval, inputDigest);
    const now = deps.routes.find(caller, route.name);
    if (now?.decision.decision === "deny" || now?.definitionDigest !== route.definitionDigest) throw denied(route);
  }
  const intent = writeIntent(deps, call, route);
  call.outcome = "unknown";
  const answer = await process.call({
    callId: call.id,
    agent: caller.agent,
    tool: route.tool.name,
    input: request.input,
    timeoutMs: route.timeoutMs,
    intent,
    signal: request.signal ?? NEVER_ABORTED,
    ...(call.approval === undefined ? {} : { exclusive: true }),
    ...(request.onProgress ? { progress: request.onProgress } : {}),
  });
  await intent;
  if (answer.bytes > LIMITS.outputBytes) throw outputTooLarge(route, answer.bytes);
  const accepted = route.output?.check(answer.output);
  if (accepted?.ok === false) throw invalidOutput(route, accepted.problems);
  return deps.redact(answer.output);
}

/** A tool that policy denies is as unknown to an agent as one that does not exist. An operator is told the rule. */
function exposedRoute(deps: InvokeDeps, call: Call): CallRoute {
  const { caller, request } = call;
  const route = deps.routes.find(caller, request.tool);
  if (!route) throw unknownTool(request.tool);
  if (route.decision.decision !== "deny") return route;
  call.route = route;
  throw caller.operator === undefined ? unknownTool(request.tool, "policy_denied") : denied(route);
}

/** For `read`, order is enough; for anything else the intent must be durable before an effect or an answer leaves. */
function writeIntent(deps: InvokeDeps, call: Call, route: CallRoute): Promise<void> {
  const event = invokedEvent(deps, call, { phase: "intent" });
  if (route.effect === "read") {
    deps.audit.note(event);
    return DONE;
  }
  const intent = deps.audit.record(event);
  intent.catch(() => undefined);
  return intent;
}

function finish(deps: InvokeDeps, call: Call, result: unknown): InvokeAnswer {
  call.outcome = "succeeded";
  const durationMs = deps.clock.monotonic() - call.startedAt;
  deps.audit.note(invokedEvent(deps, call, { phase: "outcome", durationMs, output: result }));
  if (call.route) deps.counted(call.route.plugin, null);
  return { success: true, callId: call.id, result, durationMs };
}

function fail(deps: InvokeDeps, call: Call, error: SallyportError): InvokeAnswer {
  if (call.outcome === "unknown") call.outcome = outcomeOf(error.code, call);
  const durationMs = deps.clock.monotonic() - call.startedAt;
  const reason = typeof error.data["reason"] === "string" ? error.data["reason"] : error.code;
  deps.audit.note(invokedEvent(deps, call, { phase: "outcome", durationMs, reason }));
  if (call.route && call.outcome !== "not_started") deps.counted(call.route.plugin, error.message);
  else deps.refused();
  const approval = error.data["approval"];
  return {
    success: false,
    callId: call.id,
    error: error.message,
    code: error.code,
    ...(error.detail === undefined ? {} : { detail: error.detail }),
    ...(error.fix === undefined ? {} : { fix: error.fix }),
    ...(typeof approval === "string" ? { approval: { id: approval } } : {}),
  };
}

/** Whether an effect may have happened that nobody saw the end of. */
const UNSEEN: readonly ErrorCode[] = [
  "deadline_exceeded",
  "cancelled",
  "plugin_crashed",
  "protocol_violation",
  "internal",
];

function outcomeOf(code: ErrorCode, call: Call): CallOutcome {
  if (code === "busy" || code === "plugin_not_running") return "not_started";
  return UNSEEN.includes(code) && call.route?.effect !== "read" ? "unknown" : "failed";
}

interface EventFacts {
  readonly phase: "intent" | "outcome";
  readonly durationMs?: number;
  readonly reason?: string;
  readonly output?: unknown;
}

function invokedEvent(deps: InvokeDeps, call: Call, facts: EventFacts): AuditEvent {
  const { caller, route, request } = call;
  const refused = call.outcome === "not_started" && facts.reason !== undefined;
  const decision = route?.decision.decision ?? "deny";
  return {
    v: 1,
    id: newId("evt"),
    time: deps.clock.now(),
    type: "plugin_tool.invoked",
    actor: caller.operator === undefined ? `agent:${caller.agent}` : `operator:${caller.operator}`,
    agent: caller.agent,
    tool: route?.name ?? request.tool.slice(0, 200),
    call_id: call.id,
    phase: facts.phase,
    decision: refused && decision === "allow" ? "deny" : decision,
    ...(route ? { plugin: route.plugin, scope: route.scope, rule: route.decision.rule } : {}),
    ...(route ? { policy_snapshot: route.policySnapshot } : {}),
    ...(call.approval === undefined ? {} : { approval: call.approval }),
    ...(call.level === undefined ? {} : { isolation: call.level, contained: call.level !== "in-process" }),
    ...(call.inputDigest === undefined ? {} : { input_digest: call.inputDigest }),
    ...(facts.phase === "intent" ? auditInput(deps, call) : {}),
    ...(request.trace === undefined ? {} : { trace: request.trace }),
    ...(facts.reason === undefined ? {} : { reason: facts.reason }),
    ...(facts.durationMs === undefined ? {} : { duration_ms: Math.round(facts.durationMs * 1000) / 1000 }),
    ...(facts.phase === "outcome" ? { outcome: call.outcome } : {}),
    ...(facts.output === undefined ? {} : { output_digest: sha256(canonicalJson(facts.output)) }),
  };
}

function auditInput(deps: InvokeDeps, call: Call): { input?: unknown } {
  if (call.input === undefined || call.input.length > LIMITS.auditInputBytes) return {};
  return { input: deps.redact(call.request.input) };
}

function canonicalInput(input: unknown): string {
  let text: string;
  try {
    text = canonicalJson(input);
  } catch (error) {
    throw new SallyportError("invalid_input", "The input is not plain JSON.", { cause: error });
  }
  if (Buffer.byteLength(text) <= LIMITS.inputBytes) return text;
  throw new SallyportError("input_too_large", `The input is over ${LIMITS.inputBytes} bytes.`, {
    fix: "Send less in one call.",
  });
}

function unknownTool(name: string, reason: ErrorCode = "unknown_tool"): SallyportError {
  return new PolicyViolationError("unknown_tool", `There is no tool "${name.slice(0, 200)}" for this agent.`, {
    fix: "List the tools: sallyport tool list",
    data: { reason },
  });
}

function denied(route: CallRoute): SallyportError {
  return new PolicyViolationError("policy_denied", `Policy denies ${route.name}.`, {
    detail: `Rule ${route.decision.rule}${route.decision.reason === undefined ? "" : `: ${route.decision.reason}`}.`,
    fix: "An operator can add a rule to config.yml, or approve the plugin again with --allow-tools.",
  });
}

function approvalRequired(route: CallRoute, approval: string): SallyportError {
  return new PolicyViolationError("approval_required", `An operator must approve this call of ${route.name}.`, {
    detail: `Rule ${route.decision.rule} asks for approval of ${route.effect} tools.`,
    fix: `Run: sallyport approval approve ${approval} — then make the same call again.`,
    data: { approval },
  });
}

type Problems = readonly { readonly path: string; readonly problem: string }[];

function invalidInput(route: CallRoute, problems: Problems): SallyportError {
  return new SallyportError("invalid_input", `The input of ${route.name} is not valid: ${firstOf(problems)}.`, {
    fix: `See its input_schema: sallyport tool info ${route.name}`,
    data: { problems },
  });
}

function invalidOutput(route: CallRoute, problems: Problems): SallyportError {
  return new SallyportError(
    "invalid_output",
    `${route.name} answered something that its output_schema does not allow.`,
    {
      detail: firstOf(problems),
      fix: "The plugin's author must mend the tool or its output_schema.",
      data: { problems },
    },
  );
}

function firstOf(problems: Problems): string {
  const [first] = problems;
  return first ? `${first.path || "(top level)"} ${first.problem}` : "it does not match";
}

function outputTooLarge(route: CallRoute, bytes: number): SallyportError {
  return new SallyportError(
    "output_too_large",
    `${route.name} answered ${bytes} bytes; the limit is ${LIMITS.outputBytes}.`,
    {
      fix: "Ask the tool for less, or its author to answer in pages.",
    },
  );
}

function auditUnavailable(): SallyportError {
  return new SallyportError("audit_unavailable", "The audit cannot be written, so nothing runs.", {
    fix: "Free disk space or mend the store, then restart Sallyport.",
  });
}
