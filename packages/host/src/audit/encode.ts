import { canonicalJson, LIMITS, SallyportError } from "../kernel/index.ts";
import type { AuditEvent } from "./types.ts";

/** Everything but `input` is small; an event over this is a defect of the host. */
const MAX_BODY = 64 * 1024;

/**
 * Canonical JSON (RFC 8785) of an event: what its hash covers. Members in the order of their names, so that
 * `JSON.stringify` alone writes the canonical form; the two members of free shape are canonical on their own.
 * @throws {SallyportError} `internal` for an event that is no JSON or over 64 KiB.
 */
export function encodeEvent(event: AuditEvent): string {
  const body = write(event);
  if (body.length > MAX_BODY) throw new SallyportError("internal", "An audit event is too large.", { detail: `${event.type} is over ${MAX_BODY} characters.` });
  return body;
}

function write(event: AuditEvent): string {
  try {
    const data = event.data === undefined ? "" : `,"data":${canonicalJson(wellFormed(event.data))}`;
    const input = encodeInput(event.input);
    const head = JSON.stringify({
      actor: event.actor,
      agent: event.agent,
      approval: event.approval,
      bytes: event.bytes,
      call_id: event.call_id,
      capability: event.capability,
      contained: event.contained,
    });
    const middle = JSON.stringify({ decision: event.decision, duration_ms: event.duration_ms, from: event.from, id: event.id });
    const tail = JSON.stringify({
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
    const body = `${head.slice(0, -1)}${data},${middle.slice(1, -1)}${input},${tail.slice(1)}`;
    // JSON.stringify writes a lone surrogate as an escape, which has no canonical form; such text is a stranger's.
    return body.includes("\\ud") ? canonicalJson(wellFormed(JSON.parse(body))) : body;
  } catch (cause) {
    throw new SallyportError("internal", "An audit event cannot be written down.", { detail: `${event.type} holds what is not JSON.`, cause });
  }
}

/** Over its limit an input is left out; its digest still says which one it was. */
function encodeInput(input: unknown): string {
  if (input === undefined) return "";
  const text = canonicalJson(wellFormed(input));
  return Buffer.byteLength(text) > LIMITS.auditInputBytes ? "" : `,"input":${text}`;
}

/** The same value with every lone surrogate replaced, in strings and in keys. */
function wellFormed(value: unknown): unknown {
  if (typeof value === "string") return value.toWellFormed();
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(wellFormed);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key.toWellFormed(), wellFormed(member)]));
}
