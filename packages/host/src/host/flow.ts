import type { AuditLog, StoredAuditEvent } from "../audit/index.ts";
import type { BrokerAction } from "../broker/index.ts";
import { type Effect, EFFECTS, LIMITS } from "../kernel/index.ts";
import { createFlowMemory, type FlowLabel, type FlowMemory, type PolicyClock } from "../policy/index.ts";

/** What agents' calls did: fed by calls and the broker, asked by rules with `after`. */
export interface FlowTracker {
  readonly memory: FlowMemory;
  /** From here on a call counts as an earlier one. */
  began(call: Begun): void;
  ended(callId: string): void;
  /** What a plugin really did during a call, also for an agent that called it through another plugin. */
  acted(action: BrokerAction): void;
  /** Learns from the audit what was done before this host started, so far as rules look back. */
  recall(audit: Pick<AuditLog, "query">, lookBackMs: number): Promise<void>;
}

export type Begun = Pick<FlowLabel, "agent" | "plugin" | "tool" | "effect" | "call">;

type Target = NonNullable<FlowLabel["target"]>;
/** Of one call, those that count until its end; any more count until they were reached. */
const MOST_TARGETS = 1000;
const MOST_EVENTS = 50_000;
const PAGE = 1000;

export function createFlowTracker(time: PolicyClock): FlowTracker {
  const started = time.read().now;
  const memory = createFlowMemory(started);
  const inFlight = new Map<string, { readonly begun: Begun; readonly targets: Map<string, Target> }>();
  let recalledMs = 0;

  /** With several calls in flight nobody can tell whose a connection of a program is: then it is each one's. */
  function callsOf({ callId, plugin }: BrokerAction) {
    if (callId === null) return [...inFlight.values()].filter(({ begun }) => begun.plugin === plugin.id);
    const call = inFlight.get(callId);
    return call === undefined ? [] : [call];
  }

  return {
    memory,
    began(begun) {
      inFlight.set(begun.call, { begun, targets: new Map() });
      memory.note({ ...begun, time: time.read().now });
    },
    ended(callId) {
      const call = inFlight.get(callId);
      inFlight.delete(callId);
      if (call === undefined) return;
      // An agent has what was read when it has the answer: until then no window is over.
      const label = { ...call.begun, time: time.read().now };
      memory.note(label);
      for (const target of call.targets.values()) memory.note({ ...label, target });
    },
    acted(action) {
      for (const target of targetsOf({ ...action, denied: action.outcome === "denied" })) {
        for (const call of callsOf(action)) {
          memory.note({ ...call.begun, time: time.read().now, target });
          if (call.targets.size < MOST_TARGETS) call.targets.set(`${target.kind} ${target.text}`, target);
        }
      }
    },
    async recall(audit, lookBackMs) {
      if (lookBackMs <= recalledMs) return;
      // What a call did counts until its end, which may be so much later.
      const { events, since } = await readBack(audit, started - lookBackMs - LIMITS.maxTimeoutMs, started);
      for (const label of labelsOf(events)) memory.note(label);
      memory.completeSince(since + LIMITS.maxTimeoutMs);
      recalledMs = lookBackMs;
    },
  };
}

/** Newest first, and the moment since which they are all. */
async function readBack(audit: Pick<AuditLog, "query">, since: number, until: number) {
  const events: StoredAuditEvent[] = [];
  let to = until;
  const seen = new Set<number>();
  while (events.length < MOST_EVENTS) {
    const page = await audit.query({ since, until: to, limit: PAGE, order: "desc" });
    const fresh = page.filter(({ seq }) => !seen.has(seq));
    for (const event of fresh) seen.add(event.seq);
    events.push(...fresh);
    const oldest = page.at(-1);
    if (oldest === undefined || page.length < PAGE) return { events, since };
    // A page full of one millisecond cannot be turned by time.
    to = fresh.length === 0 ? oldest.time - 1 : oldest.time;
  }
  return { events, since: (events.at(-1)?.time ?? until) + 1 };
}

function* labelsOf(newestFirst: readonly StoredAuditEvent[]): Generator<FlowLabel> {
  const events = newestFirst.toReversed();
  const calls = new Map<string, StoredAuditEvent>();
  for (const event of events) {
    if (event.type === "plugin_tool.invoked" && event.call_id !== undefined) calls.set(event.call_id, event);
  }
  for (const event of events) {
    const last = calls.get(event.call_id ?? "");
    const time = Math.max(event.time, last?.time ?? 0);
    for (const label of flowLabels(event, last && effectOfScope(last.scope))) yield { ...label, time };
  }
}

/** What one event of the audit says that a call did. @param effect of the call, when the event does not say it. */
export function flowLabels(event: StoredAuditEvent, effect?: Effect): readonly FlowLabel[] {
  const { agent, plugin, tool, call_id: call, time, type } = event;
  if (agent === undefined || plugin === undefined || tool === undefined || call === undefined) return [];
  const known = type === "plugin_tool.invoked" ? effectOfScope(event.scope) : (effect ?? "destructive");
  const label = { agent, plugin: plugin.id, tool, call, time, effect: known } as const;
  if (type === "plugin_tool.invoked") return event.outcome === "not_started" ? [] : [label];
  if (type !== "broker.action") return [];
  return targetsOf({ ...event, denied: event.decision === "deny" }).map((target) => ({ ...label, target }));
}

/** The audit's scope begins with the computed effect. One that cannot be read counts as the strongest. */
export function effectOfScope(scope: string | undefined): Effect {
  const word = scope?.split(" ")[0];
  return EFFECTS.find((effect) => effect === word) ?? "destructive";
}

interface Reached extends Pick<StoredAuditEvent, "capability" | "target" | "method" | "bytes" | "status"> {
  readonly denied: boolean;
}

/** What was reached, as rules name it. A denial that comes after an answer or some bytes took nothing back. */
function targetsOf({ capability, target = "", method, bytes = 0, status, denied }: Reached): readonly Target[] {
  if (denied && bytes === 0 && status === undefined) return [];
  if (capability === "filesystem" && target !== "") return [{ kind: "path", text: target }];
  if (capability !== "network") return [];
  // Of a program's tunnel only host and port are known, not what is spoken in it.
  const urls = method === "CONNECT" ? [`https://${target}`, `http://${target}`] : [target];
  return urls.flatMap((url) => {
    const [origin] = /^[a-z]+:\/\/[^/]+/.exec(url) ?? [];
    return origin === undefined ? [] : [{ kind: "origin", text: origin }];
  });
}
