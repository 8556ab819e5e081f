import type { AuditEvent, AuditLog } from "../audit/index.ts";
import { type Clock, newId, type PluginRef, SallyportError, toSallyportError } from "../kernel/index.ts";
import { createOutboxes } from "./outbox.ts";
import type { Tell, Told } from "./tell.ts";

/** Bounds of what one plugin is told of what others do, without anybody waiting for it. */
export const DELIVERY_LIMITS = {
  items: 256,
  bytes: 4 * 1024 * 1024,
  /** For one of them; with `background: true` as long as a call. */
  ms: 5_000,
  backgroundMs: 30_000,
  /** A plugin that could not be started is not started again for this long. */
  restMs: 10_000,
} as const;

export interface Delivery extends Pick<Told, "to" | "kind" | "message" | "agent" | "background" | "wake"> {
  readonly bytes: number;
  /** When the grant ends that it is told for. */
  readonly expiresAt: number | undefined;
  /** Its event in the audit, but for what becomes of it. */
  readonly event: Pick<AuditEvent, "type" | "actor" | "plugin" | "agent" | "parent_call" | "data"> &
    Partial<AuditEvent>;
  /** Told the id under which the plugin is told, before and after. */
  readonly begin?: (id: string) => void;
  readonly end?: (id: string) => void;
  /** What the audit shall know of the answer. */
  readonly facts?: (output: unknown) => Readonly<Record<string, unknown>>;
}

/** Tells plugins what nobody waits for: each in order, one at a time, bounded; what has no room is dropped and counted. */
export interface Deliveries {
  send(delivery: Delivery): void;
  /** No more; resolves when nothing is under way. */
  close(): Promise<void>;
}

export interface DeliveriesDeps {
  readonly tell: Tell;
  readonly audit: Pick<AuditLog, "note" | "record" | "healthy">;
  readonly clock: Clock;
}

export function createDeliveries({ tell, audit, clock }: DeliveriesDeps): Deliveries {
  const refs = new Map<string, PluginRef>();
  const resting = new Map<string, number>();
  let closed = false;

  const outboxes = createOutboxes({
    items: DELIVERY_LIMITS.items,
    bytes: DELIVERY_LIMITS.bytes,
    onDropped(key, count) {
      audit.note({
        v: 1,
        id: newId("evt"),
        time: clock.now(),
        type: "event.dropped",
        actor: "host",
        plugin: refs.get(key),
        reason: "queue_full",
        data: { count },
      });
    },
  });

  async function run(key: string, delivery: Delivery): Promise<void> {
    // What cannot be written down does not happen.
    if (closed || !audit.healthy || (delivery.expiresAt !== undefined && delivery.expiresAt <= clock.now())) return;
    const id = newId("told");
    const begun = clock.monotonic();
    const eventOf = (more: Partial<AuditEvent>): AuditEvent => ({
      v: 1,
      id: newId("evt"),
      time: clock.now(),
      ...delivery.event,
      call_id: id,
      ...more,
    });
    let failure: SallyportError | undefined;
    let facts: Readonly<Record<string, unknown>> = {};
    delivery.begin?.(id);
    try {
      if ((resting.get(key) ?? 0) > clock.monotonic())
        throw new SallyportError("plugin_not_running", "It could not be started a moment ago.");
      const intent = delivery.background ? audit.record(eventOf({ phase: "intent" })) : undefined;
      intent?.catch(() => undefined);
      const { output } = await tell({
        ...delivery,
        id,
        timeoutMs: delivery.background ? DELIVERY_LIMITS.backgroundMs : DELIVERY_LIMITS.ms,
        ...(intent === undefined ? {} : { intent }),
      });
      facts = delivery.facts?.(output) ?? {};
      resting.delete(key);
    } catch (thrown) {
      failure = toSallyportError(thrown);
      if (STARTING.has(failure.code)) resting.set(key, clock.monotonic() + DELIVERY_LIMITS.restMs);
    } finally {
      delivery.end?.(id);
    }
    audit.note(
      eventOf({
        phase: "outcome",
        outcome: failure === undefined ? "succeeded" : "failed",
        ...(failure === undefined ? {} : { reason: failure.code }),
        duration_ms: Math.round((clock.monotonic() - begun) * 1000) / 1000,
        data: { ...delivery.event.data, ...facts },
      }),
    );
  }

  return {
    send(delivery) {
      if (closed) return;
      const key = `${delivery.to.id}\n${delivery.to.digest}`;
      refs.set(key, delivery.to);
      outboxes.offer(key, delivery.bytes, () => run(key, delivery));
    },
    async close() {
      closed = true;
      await outboxes.settled();
    },
  };
}

/** How a start fails, rather than what a plugin that runs was told. */
const STARTING: ReadonlySet<string> = new Set([
  "plugin_not_running",
  "launch_failed",
  "handshake_failed",
  "load_failed",
  "initialize_failed",
  "isolation_unavailable",
  "not_approved",
  "not_allow_listed",
]);
