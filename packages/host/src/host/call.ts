import type { AuditEvent } from "../audit/index.ts";
import type { ContentMark, InvokeRequest, OutputChanges } from "../host-api.ts";
import {
  type Caller,
  type CallOutcome,
  type Clock,
  displayLine,
  hasHiddenCharacters,
  isContained,
  type IsolationLevel,
  LIMITS,
  newId,
  SallyportError,
} from "../kernel/index.ts";
import type { PolicyDecision } from "../policy/index.ts";
import type { Flight, MadeBy } from "./flights.ts";
import type { CallRoute } from "./route.ts";

/** One call, from the request to its outcome. Caller and request are copies: nobody else can change them meanwhile. */
export interface Call {
  readonly id: string;
  readonly caller: Caller;
  readonly request: InvokeRequest;
  readonly startedAt: number;
  /** The call of the plugin that asks for this one. */
  readonly parent?: Flight;
  outcome: CallOutcome;
  /** The names in it were checked, and can be written as they are. */
  named: boolean;
  /** It counts as one of its agent's calls. */
  entered: boolean;
  /** An event said before what the call would do. */
  announced: boolean;
  route?: CallRoute;
  /** By which it runs or does not. */
  decision?: PolicyDecision;
  input?: CallInput;
  /** Something was taken out of the input that the audit keeps. */
  redacted?: boolean;
  outputDigest?: string;
  approval?: string;
  level?: IsolationLevel;
  /** What was done to its output. */
  changes?: OutputChanges | undefined;
}

/** The one input of a call: what is checked, approved, audited and executed. */
export interface CallInput {
  readonly text: string;
  readonly digest: string;
  readonly value: unknown;
}

const NAME_CHARS = 100;
const TOOL_CHARS = 200;
const TRACE_CHARS = 64;
/** That an event names. */
const MOST_RULES = 20;

/** `made` is for the host's own use: whatever a caller says itself of how it came to ask is dropped. */
export function newCall(caller: Caller, request: InvokeRequest, clock: Clock, made?: MadeBy): Call {
  const { via: _, ...asked } = caller;
  return {
    id: newId("call"),
    caller: made === undefined ? asked : { ...asked, via: made.via },
    ...(made === undefined ? {} : { parent: made.parent }),
    request: { ...request },
    startedAt: clock.monotonic(),
    outcome: "not_started",
    named: false,
    entered: false,
    announced: false,
  };
}

/** @throws {SallyportError} `usage` for an agent's name that is none, or that would not be shown as it is. */
export function assertNamed(call: Call): void {
  const { caller } = call;
  for (const name of [caller.agent, caller.operator ?? "-"]) {
    if (name.length > 0 && name.length <= NAME_CHARS && !hasHiddenCharacters(name) && name.isWellFormed()) continue;
    throw new SallyportError("usage", `A caller's name has 1 to ${NAME_CHARS} visible characters.`, {
      fix: "Call under another name.",
    });
  }
  call.named = true;
}

export interface EventFacts {
  readonly phase: "intent" | "outcome";
  readonly time: number;
  readonly durationMs?: number | undefined;
  /** An error code or a short reason of ours. */
  readonly reason?: string | undefined;
  /** The input as the audit may keep it. */
  readonly input?: unknown;
}

export function invokedEvent(call: Call, facts: EventFacts): AuditEvent {
  const { caller, route, request } = call;
  const refused = call.outcome === "not_started" && facts.reason !== undefined;
  const policy = call.decision ?? route?.decision;
  const decision = policy?.decision ?? "deny";
  const shown = (name: string): string => (call.named ? name : displayLine(name, NAME_CHARS));
  const agent = shown(caller.agent);
  return {
    v: 1,
    id: newId("evt"),
    time: facts.time,
    type: "plugin_tool.invoked",
    actor: caller.operator === undefined ? `agent:${agent}` : `operator:${shown(caller.operator)}`,
    agent,
    tool: route?.name ?? displayLine(request.tool, TOOL_CHARS),
    call_id: call.id,
    parent_call: caller.via?.callId,
    phase: facts.phase,
    decision: refused && decision === "allow" ? "deny" : decision,
    plugin: route?.plugin,
    scope: route?.scope,
    rule: policy?.rule,
    data: dataOf(caller, policy),
    policy_snapshot: route?.policySnapshot,
    approval: call.approval,
    isolation: call.level,
    contained: call.level === undefined ? undefined : isContained(call.level),
    input: facts.input,
    // With all the rest in clear, a digest would tell what was taken out to whoever guesses it.
    input_digest: call.redacted === true ? undefined : call.input?.digest,
    output_digest: call.outputDigest,
    trace: request.trace === undefined ? undefined : displayLine(request.trace, TRACE_CHARS),
    reason: facts.reason,
    duration_ms: facts.durationMs === undefined ? undefined : Math.round(facts.durationMs * 1000) / 1000,
    outcome: facts.phase === "outcome" ? call.outcome : undefined,
  };
}

/** Small facts of a call: the tools that led to it, the token that proved who asks, and what of it decided. */
function dataOf({ via, token }: Caller, policy: PolicyDecision | undefined): AuditEvent["data"] {
  const facts = policy === undefined ? undefined : factsOf(policy);
  if (via === undefined && token === undefined) return facts;
  return { ...facts, ...(via && { via: via.chain }), ...(token !== undefined && { token }) };
}

/** What of the call itself decided; of a data-flow rule the calls that led to it. */
function factsOf({ because, unclear, after, asking }: PolicyDecision): AuditEvent["data"] {
  if (because === undefined && asking === undefined) return undefined;
  return { because, unclear, after, asking: asking?.slice(0, MOST_RULES) };
}

export function fitsAudit(input: CallInput): boolean {
  return input.text.length <= LIMITS.auditInputBytes;
}

/** Whose words the answer to a call holds. */
export function contentOf({ route, level, changes }: Call): { readonly content?: ContentMark } {
  if (route === undefined) return {};
  const { plugin, tool } = route;
  return {
    content: {
      untrusted: true,
      plugin: plugin.id,
      version: plugin.version,
      tool: tool.name,
      isolation: level ?? null,
      ...changes,
    },
  };
}
