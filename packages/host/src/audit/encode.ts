import { canonicalJson, LIMITS, SallyportError } from "../kernel/index.ts";
import type { AuditEvent } from "./types.ts";

/** Everything but `input` is small; an event over this is a defect of the host. In UTF-16 units. */
const MAX_BODY = 64 * 1024;

/**
 * Canonical JSON (RFC 8785) of an event: what its hash covers. An input over its limit is left out; lone surrogates,
 * which have no canonical form and may be a stranger's text, are replaced.
 * @throws {SallyportError} `internal` for an event that is no JSON or over 64 Ki characters.
 */
export function encodeEvent(event: AuditEvent): string {
  try {
    const body = encodeFast(event) ?? encodeSafely(event);
    if (body.length <= MAX_BODY) return body;
  } catch (cause) {
    throw new SallyportError("internal", "An audit event cannot be written down.", {
      detail: `${event.type} holds what is not JSON.`,
      cause,
    });
  }
  throw new SallyportError("internal", "An audit event is too large.", {
    detail: `${event.type} is over ${MAX_BODY} characters.`,
  });
}

/**
 * Members in the order of their names, so that `JSON.stringify`, three times as fast, writes the canonical form. The two
 * of free shape stand as 0 and are written by themselves. `null` when a text has no canonical form.
 */
function encodeFast(event: AuditEvent): string | null {
  const input = event.input === undefined ? undefined : canonicalOrNull(event.input);
  const data = event.data === undefined ? undefined : canonicalOrNull(event.data);
  if (input === null || data === null) return null;
  const keepsInput = input !== undefined && isSmall(input);
  let body = JSON.stringify({
    actor: event.actor,
    agent: event.agent,
    approval: event.approval,
    bytes: event.bytes,
    call_id: event.call_id,
    capability: event.capability,
    contained: event.contained,
    data: data === undefined ? undefined : 0,
    decision: event.decision,
    duration_ms: event.duration_ms,
    from: event.from,
    id: event.id,
    input: keepsInput ? 0 : undefined,
    input_digest: event.input_digest,
    isolation: event.isolation,
    method: event.method,
    outcome: event.outcome,
    output_digest: event.output_digest,
    parent_call: event.parent_call,
    phase: event.phase,
    plugin: event.plugin && { digest: event.plugin.digest, id: event.plugin.id, version: event.plugin.version },
    policy_snapshot: event.policy_snapshot,
    reason: event.reason,
    rule: event.rule,
    scope: event.scope,
    status: event.status,
    target: event.target,
    time: event.time,
    to: event.to,
    tool: event.tool,
    trace: event.trace,
    type: event.type,
    v: event.v,
  });
  if (body.includes("\\ud") && LONE_SURROGATE.test(body)) return null;
  // Inside a string a quote is escaped, so the first match is the member itself.
  if (keepsInput) body = body.replace(',"input":0', () => `,"input":${input}`);
  if (data !== undefined) body = body.replace(',"data":0', () => `,"data":${data}`);
  return body;
}

/** JSON.stringify escapes a lone surrogate; a backslash of the text itself comes doubled. */
const LONE_SURROGATE = /(?<!\\)(?:\\\\)*\\ud/;

function encodeSafely(event: AuditEvent): string {
  const { input, ...rest } = event;
  const whole = input === undefined || isSmall(canonicalJson(wellFormed(input)));
  return canonicalJson(wellFormed(whole ? event : rest));
}

function isSmall(input: string): boolean {
  return Buffer.byteLength(input) <= LIMITS.auditInputBytes;
}

function canonicalOrNull(value: unknown): string | null {
  try {
    return canonicalJson(value);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/** The same value with every lone surrogate replaced, in strings and in keys. */
function wellFormed(value: unknown): unknown {
  if (typeof value === "string") return value.toWellFormed();
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(wellFormed);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key.toWellFormed(), wellFormed(member)]));
}
