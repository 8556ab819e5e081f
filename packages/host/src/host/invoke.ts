import { setMaxListeners } from "node:events";
import type { AuditLog } from "../audit/index.ts";
import type { InvokeAnswer, InvokeRequest } from "../host-api.ts";
import {
  type Caller,
  type CallOutcome,
  canonicalJson,
  type Clock,
  type ErrorCode,
  isContained,
  LIMITS,
  type PluginRef,
  SallyportError,
  sha256,
  toSallyportError,
} from "../kernel/index.ts";
import { systemTimers, type Timers } from "../rpc/index.ts";
import { askingRules, type PolicyDecision } from "../policy/index.ts";
import type { PluginProcess } from "../supervisor/index.ts";
import type { AgentGate } from "./agents.ts";
import { assertNamed, type Call, type CallInput, contentOf, fitsAudit, invokedEvent, newCall } from "./call.ts";
import { type CallHooksDeps, isWatched, sameGuards, tellObservers, throughHooks } from "./call-hooks.ts";
import { type CallApprovalDeps, passFor } from "./call-approval.ts";
import {
  auditUnavailable,
  cancelledBefore,
  changedMeanwhile,
  denied,
  deniedCall,
  invalidInput,
  startsTooLong,
  unknownTool,
} from "./invoke-errors.ts";
import type { FlowTracker } from "./flow.ts";
import type { Flights, MadeBy } from "./flights.ts";
import type { OutputGate } from "./outputs.ts";
import type { CallRoute, RouteTable } from "./route.ts";

export interface InvokeDeps extends CallApprovalDeps, CallHooksDeps {
  /** Whether the caller may ask at all, and how often. */
  readonly gate: AgentGate;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly routes: RouteTable;
  readonly flow: Pick<FlowTracker, "began" | "ended">;
  readonly flights: Flights;
  /** The plugin's process, if it runs; else starts it through the gates of a load. */
  running(plugin: PluginRef, agent: string): PluginProcess | undefined;
  wake(plugin: PluginRef, agent: string): Promise<PluginProcess>;
  /** Removes known secret values and credentials. */
  redact(value: unknown): unknown;
  readonly outputs: Pick<OutputGate, "accept" | "words">;
  /** Stops a plugin whose grant is over. @throws {SallyportError} `not_approved`. */
  expired(plugin: PluginRef): Promise<never>;
  counted(plugin: PluginRef, failure: string | null, agent: string): void;
  /** A call that a gate refused. */
  refused(): void;
  /** What the host last refused the plugin during a call, in words; asked once, when the call is over. */
  refusalOf(callId: string): string | undefined;
  readonly timers?: Timers;
  /** Told of a defect of ours, whose cause the caller does not see. */
  defect(error: unknown): void;
}

const DONE = Promise.resolve();
/** A call waits for the start of its plugin as long as it may take, but at least this long; then it has its whole time. */
const START_WAIT_MS = 10_000;
const STARTS = 10;
/** For calls that nobody can cancel; every call in flight listens to it. */
const NEVER_ABORTED = new AbortController().signal;
setMaxListeners(0, NEVER_ABORTED);

/**
 * The one way in. Gates, in order: the caller is admitted and within its limits, tool declared and exposed to this agent, input size, input schema, hooks (then the schema again), policy, approval,
 * process, the same decision again as it is now, intent in the audit; then the call with its deadline; then output size,
 * schema and redaction; then the outcome in the audit. The answer says what happened; nothing is thrown for a call that fails.
 */
export function createInvoke(
  deps: InvokeDeps,
): (caller: Caller, request: InvokeRequest, made?: MadeBy) => Promise<InvokeAnswer> {
  return async (caller, request, made) => {
    const call = newCall(caller, request, deps.clock, made);
    try {
      return finish(deps, call, await run(deps, call));
    } catch (thrown) {
      const error = toSallyportError(thrown);
      if (error.code === "internal") deps.defect(error.cause ?? error);
      return fail(deps, call, error);
    } finally {
      if (call.entered) deps.gate.leave(call.caller);
      deps.flow.ended(call.id);
      deps.flights.end(call.id);
    }
  };
}

async function run(deps: InvokeDeps, call: Call): Promise<unknown> {
  const { request, caller } = call;
  assertNamed(call);
  deps.gate.enter(caller);
  call.entered = true;
  const decided = exposedRoute(deps, call);
  if (isExpired(deps, decided)) return deps.expired(decided.plugin);
  const asked = (call.input = readInput(request.input));
  const checked = decided.input.check(asked.value);
  if (!checked.ok) throw invalidInput(decided, checked.problems);
  if (!deps.audit.healthy) throw auditUnavailable();

  const signal = request.signal ?? NEVER_ABORTED;
  const input = (call.input = isWatched(decided)
    ? await throughHooks(deps, call, decided, asked, signal, readInput)
    : asked);
  const decision = decideCall(call, decided, input);
  const asks = decision.decision === "require_approval";
  const pass = asks ? await passFor(deps, call, decided, decision, input, signal) : null;
  let process = deps.running(decided.plugin, caller.agent) ?? (await started(deps, call, decided, signal));
  if (pass !== null) await pass.spend();
  // It may have been stopped for want of calls, or to make room, between its start and now.
  for (let tries = 0; process.state !== "running" && tries < STARTS; tries++) {
    process = await started(deps, call, decided, signal);
  }
  call.level = process.level;

  // From here to the call nothing waits, so that what is decided now is what is executed, for one who still may ask.
  deps.gate.admit(caller);
  const route = decideAgain(deps, call, decided, input);
  if (isExpired(deps, route)) return deps.expired(route.plugin);
  if (route !== decided && !sameGuards(decided, route)) throw changedMeanwhile(route);
  if (signal.aborted) throw cancelledBefore();
  if (!deps.audit.healthy) throw auditUnavailable();
  const { plugin, name: tool, timeoutMs } = route;
  const { parent } = call;
  const place = deps.flights.begin({
    callId: call.id,
    caller,
    plugin,
    tool,
    trace: request.trace,
    parent,
    process,
    timeoutMs,
  });
  const intent = writeIntent(deps, call, route, input);
  call.outcome = "unknown";
  const { agent } = caller;
  deps.flow.began({ agent, plugin: route.plugin.id, tool: route.name, effect: route.effect, call: call.id });
  const answer = await process.call({
    callId: call.id,
    agent: caller.agent,
    tool: route.tool.name,
    input: input.value,
    ...place,
    intent,
    signal,
    ...(pass === null ? {} : { exclusive: true, within: pass.within }),
    ...(request.onProgress ? { progress: request.onProgress } : {}),
  });
  await intent;
  const { output, digest, changes } = deps.outputs.accept(route, answer);
  call.outputDigest = digest;
  call.changes = changes;
  return output;
}

/** A tool that policy denies is as unknown to an agent as one that does not exist. An operator is told the rule. */
function exposedRoute(deps: InvokeDeps, call: Call): CallRoute {
  const { caller, request } = call;
  const route = deps.routes.find(caller, request.tool);
  if (!route) throw unknownTool(request.tool);
  call.route = route;
  const { decision } = route;
  if (decision.decision !== "deny") return route;
  // Also when it waited under a milder one.
  call.decision = decision;
  throw caller.operator === undefined ? unknownTool(request.tool, "policy_denied") : denied(route);
}

/** What policy decides of this call, by what is in it. @throws {PolicyViolationError} `policy_denied`. */
function decideCall(call: Call, route: CallRoute, input: CallInput): PolicyDecision {
  const decision = (call.decision = route.decide(input.value));
  if (decision.decision === "deny") throw deniedCall(call, route, decision);
  return decision;
}

/** After a wait the current policy decides again, on the same tool of the same bytes; the stricter decision wins. */
function decideAgain(deps: InvokeDeps, call: Call, before: CallRoute, input: CallInput): CallRoute {
  const now = exposedRoute(deps, call);
  const same =
    now === before || (now.definitionDigest === before.definitionDigest && now.plugin.digest === before.plugin.digest);
  const asked = call.decision === undefined ? [] : askingRules(call.decision);
  const decision = decideCall(call, now, input);
  // A yes answers the rules that asked for it, and no other.
  const answered = call.approval !== undefined && askingRules(decision).every((rule) => asked.includes(rule));
  const covered = decision.decision === "allow" || answered;
  if (same && covered) return now;
  throw changedMeanwhile(now);
}

function isExpired(deps: InvokeDeps, route: CallRoute): boolean {
  return route.expiresAt !== undefined && route.expiresAt <= deps.clock.now();
}

/** A caller that gives up, or whose time is over, need not wait for a start; the start goes on for others. */
function started(deps: InvokeDeps, call: Call, route: CallRoute, signal: AbortSignal): Promise<PluginProcess> {
  const most = Math.max(route.timeoutMs, START_WAIT_MS);
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(cancelledBefore());
    if (signal.aborted) return abort();
    const cancel = (deps.timers ?? systemTimers).set(() => reject(startsTooLong(route, most)), most);
    if (signal !== NEVER_ABORTED) signal.addEventListener("abort", abort, { once: true });
    deps
      .wake(route.plugin, call.caller.agent)
      .then(resolve, reject)
      .finally(() => {
        cancel();
        signal.removeEventListener("abort", abort);
      });
  });
}

/**
 * For anything but `read` the intent must be durable before an effect or an answer leaves. A `read` has no effect to be
 * announced: its one event is the outcome, with the input. Unless its code has the host's rights: then nobody knows.
 */
function writeIntent(deps: InvokeDeps, call: Call, route: CallRoute, input: CallInput): Promise<void> {
  if (!deps.audit.healthy) throw auditUnavailable();
  if (route.effect === "read" && call.level !== undefined && isContained(call.level)) return DONE;
  call.announced = true;
  const event = invokedEvent(call, { phase: "intent", time: deps.clock.now(), input: auditedInput(deps, call, input) });
  const intent = deps.audit.record(event);
  intent.catch(() => undefined);
  return intent;
}

function auditedInput(deps: InvokeDeps, call: Call, input: CallInput): unknown {
  if (!fitsAudit(input)) return undefined;
  const kept = deps.redact(input.value);
  call.redacted = kept !== input.value;
  return kept;
}

function writeOutcome(deps: InvokeDeps, call: Call, durationMs: number, reason?: string): void {
  const { input } = call;
  deps.audit.note(
    invokedEvent(call, {
      phase: "outcome",
      time: deps.clock.now(),
      durationMs,
      reason,
      input: input === undefined || call.announced ? undefined : auditedInput(deps, call, input),
    }),
  );
}

function finish(deps: InvokeDeps, call: Call, result: unknown): InvokeAnswer {
  call.outcome = "succeeded";
  const durationMs = deps.clock.monotonic() - call.startedAt;
  writeOutcome(deps, call, durationMs);
  tellObservers(deps, call, durationMs, { result });
  deps.refusalOf(call.id);
  if (call.route) deps.counted(call.route.plugin, null, call.caller.agent);
  return { success: true, callId: call.id, result, durationMs, ...contentOf(call) };
}

function fail(deps: InvokeDeps, call: Call, error: SallyportError): InvokeAnswer {
  if (call.outcome === "unknown") call.outcome = outcomeOf(error, call);
  const durationMs = deps.clock.monotonic() - call.startedAt;
  const reason = typeof error.data["reason"] === "string" ? error.data["reason"] : error.code;
  writeOutcome(deps, call, durationMs, reason);
  tellObservers(deps, call, durationMs, { error });
  // A failure may be in the plugin's own words, and it may have put a secret into them.
  const { message, ...words } = deps.outputs.words(error.message, detailOf(deps, call, error));
  if (call.route && call.outcome !== "not_started") deps.counted(call.route.plugin, message, call.caller.agent);
  else deps.refused();
  const { approval: pending, retry_after_ms: retryAfterMs } = error.data;
  return {
    success: false,
    callId: call.id,
    error: message,
    code: error.code,
    ...words,
    ...(QUOTING.includes(error.code) ? contentOf(call) : {}),
    ...(error.fix === undefined ? {} : { fix: error.fix }),
    ...(typeof pending === "string" ? { approval: { id: pending } } : {}),
    ...(typeof retryAfterMs === "number" ? { retryAfterMs } : {}),
  };
}

/** Failures that are told in words, or with names, of the plugin's. */
const QUOTING: readonly ErrorCode[] = [
  "tool_failed",
  "invalid_output",
  "load_failed",
  "initialize_failed",
  "undeclared_tool",
];

/** A plugin rarely says that it failed because the host refused it something; the host knows. */
function detailOf(deps: InvokeDeps, call: Call, error: SallyportError): string | undefined {
  const refusal = deps.refusalOf(call.id);
  if (error.code !== "tool_failed" || refusal === undefined) return error.detail;
  return error.detail === undefined ? refusal : `${error.detail} ${refusal}`;
}

/** Whether an effect may have happened that nobody saw the end of. */
const UNSEEN: readonly ErrorCode[] = [
  "deadline_exceeded",
  "cancelled",
  "plugin_crashed",
  "protocol_violation",
  "internal",
];

function outcomeOf({ code, data }: SallyportError, call: Call): CallOutcome {
  if (code === "busy" || code === "plugin_not_running" || data["started"] === false) return "not_started";
  return UNSEEN.includes(code) && call.route?.effect !== "read" ? "unknown" : "failed";
}

/** A copy that nobody holds: what is checked here is what runs, whatever the caller does to its own object meanwhile. */
function readInput(input: unknown): CallInput {
  let text: string;
  try {
    text = canonicalJson(input);
  } catch (error) {
    throw new SallyportError("invalid_input", "The input is not plain JSON.", { cause: error });
  }
  if (Buffer.byteLength(text) <= LIMITS.inputBytes) return { text, digest: sha256(text), value: JSON.parse(text) };
  throw new SallyportError("input_too_large", `The input is over ${LIMITS.inputBytes} bytes.`, {
    fix: "Send less in one call.",
  });
}
